// Apple's push service as mockttp mocks it: node mockttp_apns.cjs CA-FILE
// Makes a certificate authority and writes its certificate to CA-FILE; its server is called localhost. Prints {"port": ...}; answers until its standard input ends, then prints what it has seen.

const fs = require('fs');
const mockttp = require('mockttp');

async function main() {
  const https = await mockttp.generateCACertificate();
  fs.writeFileSync(process.argv[2], https.cert);
  const server = mockttp.getLocal({ https, http2: true });
  await server.start();
  const device = (pattern) => server.forPost(new RegExp(`/3/device/${pattern}`));
  const seen = [];
  const json = (status, reason) => (request) => {
    seen.push({ status, id: request.headers['apns-id'], type: request.headers['apns-push-type'],
                http: request.httpVersion });
    return { statusCode: status, headers: { 'apns-id': request.headers['apns-id'] },
             body: reason ? JSON.stringify({ reason, timestamp: 1700000000000 }) : undefined };
  };
  await device('dead').always().thenCallback(json(410, 'Unregistered'));
  await device('beef').once().thenResetConnection();
  await device('beef').always().thenCallback(json(200));
  await device('feed').once().thenCallback(json(503, 'ServiceUnavailable'));
  await device('feed').always().thenCallback(json(200));
  await device('').always().thenCallback(json(200));
  console.log(JSON.stringify({ port: server.port }));
  process.stdin.on('end', async () => {
    console.log(JSON.stringify(seen));
    await server.stop();
    process.exit(0);
  });
  process.stdin.resume();
}

main();

// @parse/node-apn against an address file: argv is addresses.json, mode (token or certificate), device tokens.
// Prints JSON: [device, status, reason, timestamp] for each, in the order of the arguments.
"use strict";

const fs = require("node:fs");
const apn = require("@parse/node-apn");

const [file, mode, ...devices] = process.argv.slice(2);
const addresses = JSON.parse(fs.readFileSync(file, "utf8"));
const [address, port] = addresses.apns.split(":");

const credentials =
  mode === "certificate"
    ? { cert: addresses.client_certificate_file, key: addresses.client_certificate_file }
    : { token: { key: addresses.apns_key_file, keyId: "KEY1234567", teamId: "TEAM123456" } };

const provider = new apn.Provider({
  ...credentials,
  address,
  port: Number(port),
  ca: fs.readFileSync(addresses.ca_file),
  production: true,
});

async function main() {
  const outcomes = [];
  for (const device of devices) {
    const notification = new apn.Notification({ alert: "hello", topic: "org.example.chat" });
    notification.pushType = "alert";
    notification.expiry = Math.floor(Date.now() / 1000) + 3600;
    const { sent, failed } = await provider.send(notification, device);
    for (const one of sent) {
      outcomes.push([one.device, "sent", null, null]);
    }
    for (const one of failed) {
      const response = one.response || {};
      outcomes.push([one.device, String(one.status || one.error), response.reason || null, response.timestamp || null]);
    }
  }
  console.log(JSON.stringify(outcomes));
  await provider.shutdown();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

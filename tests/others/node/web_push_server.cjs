// web-push-testing on loopback: its own command would listen on all interfaces. Prints its port; ends with its stdin.
"use strict";

const Server = require("web-push-testing/src/server.js");
const { PushApiModel } = require("web-push-testing/src/PushApiModel.js");

const model = new PushApiModel();
const server = new Server(model, 0);
server.setRequestHandlers();
const listener = server._app.listen(0, "127.0.0.1", () => {
  const { port } = listener.address();
  model.notifyUrl = `http://127.0.0.1:${port}/notify/`;
  console.log(port);
});
process.stdin.on("end", () => process.exit(0)).resume();

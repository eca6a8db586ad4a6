// Preloaded into a program that listens on every address: it listens on this machine's only.
const net = require("node:net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  if (typeof args[0] === "number" || typeof args[0] === "string") {
    const done = args.find((a) => typeof a === "function");
    return listen.call(this, { port: Number(args[0]), host: "127.0.0.1" }, done);
  }
  return listen.call(this, { ...args[0], host: "127.0.0.1" }, ...args.slice(1));
};

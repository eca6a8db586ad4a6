// grammY as a client of the Bot API, by long polling and as a webhook.
import { createServer } from "node:http";
import { load, serve } from "./party.mjs";
const { Bot, webhookCallback } = load("grammy");

const seen = [];
let bot;

function watch(b) {
  b.on("callback_query:data", async (ctx) => {
    seen.push({ kind: "button", data: ctx.callbackQuery.data, from: ctx.from, message: ctx.msg });
    await ctx.answerCallbackQuery({ text: "taken" });
    await ctx.editMessageText("taken: " + ctx.callbackQuery.data, {
      entities: [{ type: "code", offset: 0, length: 5 }],
    });
  });
  b.on("message:text", (ctx) => {
    seen.push({ kind: "text", text: ctx.msg.text, from: ctx.from, reply: ctx.msg.reply_to_message });
  });
  b.catch((e) => seen.push({ kind: "error", text: String(e.error) }));
}

serve({
  call({ url, token, method, args }) {
    const raw = new Bot(token, { client: { apiRoot: url } }).api.raw;
    return Object.keys(args).length ? raw[method](args) : raw[method]();
  },
  async poll({ url, token }) {
    bot = new Bot(token, { client: { apiRoot: url } });
    watch(bot);
    await bot.init();
    bot.start({ timeout: 5 }).catch((e) => seen.push({ kind: "stopped", text: String(e) }));
    return bot.botInfo;
  },
  stop: () => bot.stop(),
  async hook({ url, token, secret }) {
    const b = new Bot(token, { client: { apiRoot: url } });
    watch(b);
    await b.init();
    const server = createServer(webhookCallback(b, "http", { secretToken: secret }));
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return server.address().port;
  },
  seen: () => seen,
});

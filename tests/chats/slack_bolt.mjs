// @slack/bolt behind its own HTTP receiver, which checks signatures.
import { load, serve } from "./party.mjs";
const { App, HTTPReceiver, LogLevel } = load("@slack/bolt");

const seen = [];
const section = (text) => ({ type: "section", text: { type: "plain_text", text } });
const modal = (text) => ({
  type: "modal",
  title: { type: "plain_text", text: "Flopinio" },
  blocks: [section(text)],
});

serve({
  async start({ url, token, secret, port }) {
    const receiver = new HTTPReceiver({
      signingSecret: secret,
      endpoints: "/hooks",
      logLevel: LogLevel.ERROR,
    });
    const app = new App({
      token,
      receiver,
      logLevel: LogLevel.ERROR,
      clientOptions: { slackApiUrl: url + "/", retryConfig: { retries: 0 } },
    });
    app.action(/.*/, async ({ ack, action, body, respond, client }) => {
      await ack();
      seen.push({ kind: "action", action, body });
      if (action.value?.startsWith("v")) {
        await client.views.open({ trigger_id: body.trigger_id, view: modal("Loading...") });
      } else {
        await respond({
          response_type: "ephemeral",
          replace_original: false,
          text: "taken",
          blocks: [section("taken: " + (action.value ?? action.selected_option.value))],
        });
      }
    });
    app.view(/.*/, async ({ ack, view, body }) => {
      seen.push({ kind: "view", view, body });
      await ack({ response_action: "update", view: modal("read: " + view.state.values.reason.reason.value) });
    });
    app.command("/flopinio", async ({ ack, command, respond }) => {
      await ack();
      seen.push({ kind: "command", command });
      await respond({ text: "done", blocks: [section("did: " + command.text)] });
    });
    await app.start({ port, host: "127.0.0.1" });
  },
  seen: () => seen,
});

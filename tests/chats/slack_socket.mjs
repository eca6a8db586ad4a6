// @slack/socket-mode as a client: keeps what came, acknowledges with what it was told to.
import { load, serve } from "./party.mjs";
const { SocketModeClient, LogLevel } = load("@slack/socket-mode");

let client;
const seen = [];
const acks = [];
const states = [];

serve({
  async start({ url, token }) {
    client = new SocketModeClient({
      appToken: token,
      clientPingTimeout: 1000, // also how long it waits before it connects again
      logLevel: LogLevel.ERROR,
      clientOptions: { slackApiUrl: url + "/", retryConfig: { retries: 0 } },
    });
    for (const kind of ["interactive", "slash_commands"]) {
      client.on(kind, async ({ ack, body, envelope_id, accepts_response_payload }) => {
        seen.push({ kind, body, envelope_id, accepts_response_payload });
        await ack(acks.shift());
      });
    }
    for (const state of ["connected", "disconnected", "reconnecting"]) {
      client.on(state, () => states.push(state));
    }
    await client.start();
  },
  ack: ({ payload }) => void acks.push(payload),
  seen: () => ({ seen, states }),
  stop: () => client.disconnect(),
});

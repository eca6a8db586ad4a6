// @slack/web-api as a client.
import { load, serve } from "./party.mjs";
const { WebClient, LogLevel } = load("@slack/web-api");

serve({
  call: ({ url, token, method, args }) =>
    new WebClient(token, {
      slackApiUrl: url + "/",
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      logLevel: LogLevel.ERROR,
    }).apiCall(method, args),
});

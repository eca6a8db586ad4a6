// One party of tests/chats/run.py: reads {"op", ...} line by line, answers each with one line. Packages
// come from build/chats, beside which this file does not lie.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

export const load = createRequire(process.env.CHATS + "/package.json");

export function serve(operations) {
  const out = (value) => process.stdout.write(JSON.stringify(value) + "\n");
  createInterface({ input: process.stdin })
    .on("line", async (line) => {
      const { op, ...args } = JSON.parse(line);
      try {
        out({ result: (await operations[op](args)) ?? null });
      } catch (e) {
        const { code, data, retryAfter, error_code, description, parameters } = e;
        out({ error: { code, data, retryAfter, error_code, description, parameters, text: String(e) } });
      }
    })
    .on("close", () => process.exit(0));
}

// What most people write: 50 calls at a time, and after a 429 an exponential backoff with jitter.
//
// node script.mjs BASE_URL TOKEN_URL FILE    deactivates the user on each line of the file
import { readFileSync } from "node:fs";
import { deactivate, token } from "./zoom.mjs";

const [base, tokenUrl, file] = process.argv.slice(2);
const users = readFileSync(file, "utf8").split("\n").filter(Boolean);
const bearer = await token(tokenUrl);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function worker() {
  for (let user = users.shift(); user !== undefined; user = users.shift()) {
    for (let attempt = 0; ; attempt += 1) {
      const status = await deactivate(base, bearer, user);
      if (status === 204) break;
      if (status !== 429) throw new Error(`${user}: HTTP ${status}`);
      await sleep(Math.min(30_000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2));
    }
  }
}

await Promise.all(Array.from({ length: 50 }, worker));

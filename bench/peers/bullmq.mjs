// BullMQ as its documents tell to use it. Run by usher-bench in the directory where the packages are installed.
//
// node bullmq.mjs noop PORT JOBS CONCURRENCY keep|remove   jobs that do nothing, a second
// node bullmq.mjs add PORT JOBS CHUNK                      jobs added a second
// node bullmq.mjs fill PORT FILE                           a job for each line of a file
// node bullmq.mjs work PORT BASE_URL TOKEN_URL             deactivates, with a global limiter at 80/s, until it is ended
// The first three print one line of JSON: {"per_second": N}.
import { readFileSync } from "node:fs";
import { Queue, Worker } from "bullmq";
import { deactivate, token } from "./zoom.mjs";

const [mode, port, ...rest] = process.argv.slice(2);
const connection = { host: "127.0.0.1", port: Number(port) };
const queue = new Queue("bench", { connection });
// Eight attempts, as usher's default.
const options = { attempts: 8, backoff: { type: "exponential", delay: 500 } };

function say(jobs, began) {
  console.log(JSON.stringify({ per_second: jobs / ((performance.now() - began) / 1000) }));
}

const job = (n) => ({
  name: "deactivate",
  data: { line: n + 2, user: `first${n}.last${n}@corp.example`, action: "deactivate" },
});

async function add(jobs, chunk, opts) {
  for (let first = 0; first < jobs; first += chunk) {
    const length = Math.min(chunk, jobs - first);
    await queue.addBulk(Array.from({ length }, (_, n) => ({ ...job(first + n), opts })));
  }
}

if (mode === "noop") {
  const [jobs, concurrency] = [Number(rest[0]), Number(rest[1])];
  await add(jobs, 1000, { ...options, removeOnComplete: rest[2] === "remove" });
  let began, left = jobs;
  const worker = new Worker("bench", async () => { began ??= performance.now(); }, { connection, concurrency, autorun: false });
  const done = new Promise((resolve) => worker.on("completed", () => --left === 0 && resolve()));
  await worker.waitUntilReady();
  worker.run();
  await done;
  say(jobs, began);
  await worker.close();
} else if (mode === "add") {
  const [jobs, chunk] = [Number(rest[0]), Number(rest[1])];
  await queue.waitUntilReady();
  const began = performance.now();
  await add(jobs, chunk, options);
  say(jobs, began);
} else if (mode === "fill") {
  const users = readFileSync(rest[0], "utf8").split("\n").filter(Boolean);
  const began = performance.now();
  await queue.addBulk(users.map((user) => ({ name: "deactivate", data: { user }, opts: options })));
  say(users.length, began);
} else if (mode === "work") {
  const [base, tokenUrl] = rest;
  const bearer = await token(tokenUrl);
  const worker = new Worker("bench", async ({ data }) => {
    const status = await deactivate(base, bearer, data.user);
    if (status !== 204) throw new Error(`HTTP ${status}`);
  }, { connection, concurrency: 50, limiter: { max: 80, duration: 1000 } });
  worker.on("error", (error) => console.error(error.message));
  await new Promise((resolve) => process.once("SIGTERM", resolve));
  await worker.close();
} else {
  throw new Error(`no such mode: ${mode}`);
}
await queue.close();

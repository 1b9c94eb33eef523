// Lists, deactivates and reactivates users of a Zoom account with npm's @zoom/rivet, Zoom's own client.
//
// usage: node rivet_roundtrip.mjs --base-url URL --token-url URL --users N
// Prints one line of JSON: {"listed": N, "changed": [ids]}; exits 1 with a message where Zoom would have failed it.
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

// The packages lie beside the copy of this script's package.json, wherever that was installed.
const require = createRequire(`${process.cwd()}/package.json`);
const { UsersS2SAuthClient } = require("@zoom/rivet/users");

const { values: args } = parseArgs({
  options: {
    "base-url": { type: "string" },
    "token-url": { type: "string" },
    users: { type: "string", default: "3" },
  },
});

function fail(message) {
  console.error(`rivet: ${message}`);
  process.exit(1);
}

// rivet's own token URL can't be changed: the token comes to it ready, as from a store that all workers share.
async function token() {
  const reply = await fetch(`${args["token-url"]}?grant_type=account_credentials&account_id=sim-account`, {
    method: "POST",
    headers: { Authorization: `Basic ${btoa("sim-client:sim-secret")}` },
  });
  if (reply.status !== 200) fail(`token: ${reply.status} ${await reply.text()}`);
  const body = await reply.json();
  return {
    accessToken: body.access_token,
    expirationTimeIso: new Date(Date.now() + body.expires_in * 1000).toISOString(),
    scopes: body.scope.split(" "),
  };
}

const good = await token();
const client = new UsersS2SAuthClient({
  clientId: "sim-client",
  clientSecret: "sim-secret",
  accountId: "sim-account",
  baseUrl: args["base-url"],
  disableReceiver: true,
  tokenStore: { getLatestToken: () => good, storeToken: () => {} },
});
const users = client.endpoints.users;

async function listAll(status) {
  const all = [];
  let next_page_token = "";
  do {
    const { data } = await users.listUsers({ query: { status, page_size: 300, next_page_token } });
    all.push(...data.users);
    next_page_token = data.next_page_token;
    if (!next_page_token && data.total_records !== all.length) {
      fail(`listed ${all.length} ${status} users, total_records says ${data.total_records}`);
    }
  } while (next_page_token);
  return all;
}

const expect = async (what, call, status) => {
  const { statusCode, data, trackingId } = await call;
  if (statusCode !== status) fail(`${what}: ${statusCode}, not ${status}`);
  if (!trackingId) fail(`${what}: no tracking id`);
  return data;
};

const listed = await listAll("active");
const wanted = Number(args.users);
const chosen = listed.filter((u) => u.role_id === "2" && u.type === 2).slice(-wanted);
if (chosen.length !== wanted) fail(`only ${chosen.length} licensed members among ${listed.length} users`);

for (const { id } of chosen) {
  const path = { userId: id };
  await expect("deactivate", users.updateUserStatus({ path, body: { action: "deactivate" } }), 204);
  await expect("sign out", users.revokeUsersSSOToken({ path }), 204);
}
const inactive = new Set((await listAll("inactive")).map((u) => u.id));
for (const { id, email } of chosen) {
  if (!inactive.has(id)) fail(`${id} is not listed as inactive`);
  const path = { userId: id };
  const gone = await expect("get", users.getUser({ path: { userId: email } }), 200);
  if (gone.status !== "inactive" || gone.type !== 1) fail(`after deactivate: ${JSON.stringify(gone)}`);
  await expect("activate", users.updateUserStatus({ path, body: { action: "activate" } }), 204);
  const back = await expect("get", users.getUser({ path }), 200);
  if (back.status !== "active" || back.type !== 1) fail(`after activate: ${JSON.stringify(back)}`);
  await expect("update", users.updateUser({ path, body: { type: 2 } }), 204);
}
const summary = await expect("summary", users.getUserSummary({}), 200);
if (!(summary.licensed_users_count >= wanted)) fail(`summary: ${JSON.stringify(summary)}`);

const unknown = users.updateUserStatus({ path: { userId: "nobody" }, body: { action: "deactivate" } });
const refused = await unknown.then(() => "success", (error) => error.message);
if (!refused.includes("[404/1001]")) fail(`unknown user: ${refused}`);

console.log(JSON.stringify({ listed: listed.length, changed: chosen.map((u) => u.id) }));

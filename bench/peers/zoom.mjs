// The two calls of Zoom's API that the peers make, as anybody would write them.

export async function token(url) {
  const reply = await fetch(`${url}?grant_type=account_credentials&account_id=sim-account`, {
    method: "POST",
    headers: { Authorization: `Basic ${btoa("sim-client:sim-secret")}` },
  });
  if (!reply.ok) throw new Error(`no token: HTTP ${reply.status}`);
  return (await reply.json()).access_token;
}

/** Deactivates a user and returns the status of the answer. */
export async function deactivate(base, bearer, user) {
  const reply = await fetch(`${base}/users/${encodeURIComponent(user)}/status`, {
    method: "PUT",
    headers: { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" },
    body: JSON.stringify({ action: "deactivate" }),
  });
  await reply.arrayBuffer();
  return reply.status;
}

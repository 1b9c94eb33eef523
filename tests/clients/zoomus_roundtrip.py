"""Lists, deactivates and reactivates users of a Zoom account with PyPI's zoomus, and looks at what came of it.

usage: zoomus_roundtrip.py --base-url URL --token-url URL --users N
Prints one line of JSON: {"listed": N, "changed": [ids]}; exits 1 with a message where Zoom would have failed it.
"""

import argparse
import json
import sys

from zoomus import ZoomClient


def fail(message):
    sys.exit(f"zoomus: {message}")


def expect(response, status, what):
    if response.status_code != status:
        fail(f"{what}: {response.status_code} {response.text}, not {status}")
    return response


def list_all(client, status):
    users, token = [], ""
    while True:
        page = expect(client.user.list(status=status, page_size=300, next_page_token=token), 200, "list").json()
        users.extend(page["users"])
        token = page["next_page_token"]
        if not token:
            if len(users) != page["total_records"]:
                fail(f"listed {len(users)} {status} users, total_records says {page['total_records']}")
            return users


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--token-url", required=True)
    parser.add_argument("--users", type=int, default=3)
    args = parser.parse_args()
    client = ZoomClient(
        "sim-client", "sim-secret", "sim-account", base_uri=args.base_url, oauth_uri=args.token_url
    )

    users = list_all(client, "active")
    chosen = [u for u in users if u["role_id"] == "2" and u["type"] == 2][: args.users]
    if len(chosen) != args.users:
        fail(f"only {len(chosen)} licensed members among {len(users)} users")
    for user in chosen:
        expect(client.user.update_status(id=user["id"], action="deactivate"), 204, "deactivate")
    inactive = {u["id"] for u in list_all(client, "inactive")}
    missing = [u["id"] for u in chosen if u["id"] not in inactive]
    if missing:
        fail(f"not listed as inactive: {missing}")
    for user in chosen:
        shown = expect(client.user.get(id=user["email"]), 200, "get").json()
        if (shown["status"], shown["type"]) != ("inactive", 1):
            fail(f"after deactivate: {shown}")
        expect(client.user.update_status(id=user["email"], action="activate"), 204, "activate")
        shown = expect(client.user.get(id=user["id"]), 200, "get").json()
        if (shown["status"], shown["type"]) != ("active", 1):
            fail(f"after activate: {shown}")
        expect(client.user.update(id=user["id"], type=2), 204, "update")
        if expect(client.user.get(id=user["id"]), 200, "get").json()["type"] != 2:
            fail("the licence was not given back")

    unknown = client.user.update_status(id="nobody@corp.example", action="deactivate")
    if (unknown.status_code, unknown.json()["code"]) != (404, 1001):
        fail(f"unknown user: {unknown.status_code} {unknown.text}")
    print(json.dumps({"listed": len(users), "changed": [u["id"] for u in chosen]}))


main()

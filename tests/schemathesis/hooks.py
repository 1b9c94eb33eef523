"""What OpenAPI can't say of a submission, so that calls meant to be good are.

Only calls that are generated as good ones are mended, and only in what relates two fields to each other, or to the time of day. Whatever
one field alone may be is for the schema to say; calls generated as bad ones are sent as they are.
"""

import datetime
import json
import uuid

import schemathesis
from hypothesis import strategies as st


@schemathesis.hook
def before_call(context, case, kwargs):
    if not case.meta.generation.mode.is_positive:
        return
    if case.headers and "Idempotency-Key" in case.headers:
        # A key stands for one body: the same key with another one is refused.
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    said = [terms for terms in (case.query, case.body) if isinstance(terms, dict)]
    for terms in said:
        in_the_future(terms)
    if case.operation.label == "POST /v1/runs":
        if case.media_type == "application/json":
            # The query says what rows can't; JSON says it in the body.
            case.query = {}
            of_one_mind(case.body)
        else:
            case.query = {**(case.query or {}), "account": "zoom-main", "action": "deactivate"}


def in_the_future(terms):
    """Begins before it ends, and neither has passed."""
    now = datetime.datetime.now(datetime.timezone.utc)
    for hours, name in ((1, "not_before"), (2, "deadline")):
        if terms.get(name) is not None:
            terms[name] = (now + datetime.timedelta(hours=hours)).isoformat()


def of_one_mind(body):
    """Something is wanted of everybody, and of nobody two different things."""
    wanted = {}
    for place, entry in enumerate(body["users"]):
        stated = {"user": entry} if isinstance(entry, str) else entry
        own = stated.get("action")
        action = body.get("action") or wanted.setdefault(stated["user"].strip().lower(), own or "deactivate")
        if (own or body.get("action")) != action:
            body["users"][place] = {**stated, "action": action}


users = st.from_regex(r"[a-z]{1,8}\.[a-z]{1,8}[0-9]{0,3}@corp\.example", fullmatch=True)
some_users = st.lists(users, min_size=1, max_size=5, unique=True)


def lines(first, of):
    return lambda names: "".join(f"{line}\n" for line in [*first, *map(of, names)])


# What a text is made of, its type alone says.
schemathesis.openapi.media_type("text/csv", some_users.map(lines(["email"], str)).map(str.encode))
schemathesis.openapi.media_type("text/plain", some_users.map(lines([], str)).map(str.encode))
schemathesis.openapi.media_type(
    "application/x-ndjson",
    some_users.map(lines([], lambda user: json.dumps({"email": user}))).map(str.encode),
)

//! The same call sent again is the same run.

use serde_json::{Value, json};

use crate::{
    served::{Answer, BOTH, Served, place},
    support::Kind,
};

fn keyed(served: &Served, token: &str, key: &str, path: &str, body: &Value) -> Answer {
    served.send(served.call("POST", path, Some(token)).header("Idempotency-Key", key).json(body))
}

const ONE: &str = "/v1/accounts/zoom-main/deactivate";

#[test]
fn the_same_key_and_call_are_the_same_run_and_another_body_is_refused() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 5);
        let served = Served::start(&place, &["--work"]);
        let user = place.ordinary()[0].email.to_string();
        let ann = json!({"user": user});
        let first = keyed(&served, &tokens.submit, "ticket 7", ONE, &ann).status(201).run();
        let again = keyed(&served, &tokens.submit, "ticket 7", ONE, &ann).status(200);
        assert_eq!((again.run(), &again.json()["created"]), (first.clone(), &json!(false)));
        place.usher(&["status", &first, "--watch"]).succeeded();
        // For good, unlike the same content without a key.
        assert_eq!(keyed(&served, &tokens.submit, "ticket 7", ONE, &ann).status(200).run(), first);
        let other = keyed(&served, &tokens.submit, "ticket 7", ONE, &json!({"user": "bob@x"}));
        assert_eq!(other.problem(422, "idempotency-key-reused", "another submission").json()["run"], first);
        // The same users on other terms are another body.
        let bulk = json!({"user": user, "priority": "bulk"});
        keyed(&served, &tokens.submit, "ticket 7", ONE, &bulk).problem(
            422,
            "idempotency-key-reused",
            "another",
        );
        // Another token's key is another key.
        assert_ne!(keyed(&served, &tokens.all, "ticket 7", ONE, &ann).status(201).run(), first);
    }
}

#[test]
fn without_a_key_the_same_content_is_the_same_run_until_that_is_over() {
    let (place, tokens) = place(Kind::Sqlite, 5);
    let served = Served::start(&place, &[]);
    let body = json!({"account": "zoom-main", "action": "deactivate", "users": ["ann@x"]});
    let first = served.post(&tokens.submit, "/v1/runs", &body).status(201).run();
    assert_eq!(served.post(&tokens.submit, "/v1/runs", &body).status(200).run(), first);
    place.usher(&["cancel", &first, "--yes"]).succeeded();
    let worker = place.start(&["worker"]);
    place.usher(&["status", &first, "--watch"]).code(1);
    drop(worker);
    let next = served.post(&tokens.submit, "/v1/runs", &body).status(201);
    assert_ne!(next.run(), first);
    assert_eq!(next.json()["previous"], first);
}

#[test]
fn a_key_whose_call_is_still_on_its_way_is_busy_until_it_ends() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 5);
        let served = Served::start(&place, &[]);
        let stream = served.begin(&tokens.submit, "Idempotency-Key: k1\r\n", 30, "email\nann@corp.example\n");
        let send = || {
            let path = "/v1/runs?account=zoom-main&action=deactivate";
            let call = served.call("POST", path, Some(&tokens.submit)).header("Idempotency-Key", "k1");
            served.send(call.header("content-type", "text/csv").body("email\nann@corp.example\n"))
        };
        let busy = send();
        assert_eq!(busy.header("retry-after"), Some("1"));
        busy.problem(409, "idempotency-key-in-use", "on its way");
        drop(stream);
        // Broken off: the key is free again, and nothing is left behind.
        crate::support::wait_until("the key to be free", || send().status == 201);
        assert_eq!(send().status, 200);
        assert_eq!(place.usher(&["runs", "--json"]).succeeded().json().as_array().unwrap().len(), 1);
    }
}

#[test]
fn what_was_taken_before_its_deadline_is_the_same_run_after_it() {
    let (place, tokens) = place(Kind::Sqlite, 5);
    let served = Served::start(&place, &["--work"]);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let ann = json!({"user": place.ordinary()[0].email.to_string(), "deadline": soon.to_string()});
    let many = json!({"account": "zoom-main", "action": "deactivate", "users": [ann["user"]], "deadline": ann["deadline"]});
    let one = keyed(&served, &tokens.submit, "one", ONE, &ann).status(201).run();
    let all = keyed(&served, &tokens.submit, "all", "/v1/runs", &many).status(201).run();
    let passed = soon + jiff::SignedDuration::from_millis(500);
    crate::support::wait_until("the deadline to pass", || jiff::Timestamp::now() > passed);
    assert_eq!(keyed(&served, &tokens.submit, "one", ONE, &ann).status(200).run(), one);
    assert_eq!(keyed(&served, &tokens.submit, "all", "/v1/runs", &many).status(200).run(), all);
    keyed(&served, &tokens.submit, "another", ONE, &ann).problem(422, "invalid-input", "has passed");
}

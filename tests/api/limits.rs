//! Calls that are too many.

use serde_json::json;

use crate::{
    served::{Served, place, serve_lines},
    support::{Kind, wait_until},
};

#[test]
fn a_token_that_calls_too_often_is_told_when_to_come_again_and_others_go_on() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    serve_lines(&place, "calls_per_second = 2");
    let served = Served::start(&place, &[]);
    let call = || served.post(&tokens.submit, "/v1/accounts/zoom-main/deactivate", &json!({"user": "a"}));
    let mut refused = call();
    wait_until("a refusal", || {
        if refused.status != 429 {
            refused = call();
        }
        refused.status == 429
    });
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.problem(429, "too-many-calls", "submit");
    served.post(&tokens.all, "/v1/accounts/zoom-main/deactivate", &json!({"user": "a"})).status(200);
}

#[test]
fn whoever_guesses_tokens_is_slowed_down_and_a_good_token_from_there_still_gets_in() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    let served = Served::start(&place, &[]);
    let guess = |token: &str| served.post(token, "/v1/accounts/zoom-main/deactivate", &json!({"user": "a"}));
    guess("usher_guess").problem(401, "unauthenticated", "[tokens.NAME]");
    wait_until("guessing to be refused", || guess("usher_guess").status == 429);
    guess("usher_guess").problem(429, "too-many-calls", "this address");
    served.post(&tokens.submit, "/v1/accounts/zoom-main/deactivate", &json!({"user": "a"})).status(201);
}

#[test]
fn one_stream_more_than_is_allowed_is_told_to_come_again() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    serve_lines(&place, "streams = 1");
    let served = Served::start(&place, &[]);
    let stream = served.begin(&tokens.submit, "", 100, "email\n");
    let send = || {
        let query = "account=zoom-main&action=deactivate";
        served.rows(&tokens.submit, "text/csv", query, "email\nann@corp.example\n")
    };
    let refused = send();
    assert_eq!(refused.header("retry-after"), Some("2"));
    refused.problem(503, "unavailable", "streams");
    drop(stream);
    wait_until("the place to be free", || matches!(send().status, 200 | 201));
}

#[test]
fn behind_a_proxy_the_audit_names_the_address_that_the_proxy_put_last_and_else_the_connections() {
    for (line, expected) in [("behind_proxy = true", "192.0.2.7"), ("behind_proxy = false", "127.0.0.1")] {
        let (place, tokens) = place(Kind::Sqlite, 3);
        serve_lines(&place, line);
        let served = Served::start(&place, &[]);
        let call = served.call("POST", "/v1/accounts/zoom-main/deactivate", Some(&tokens.submit));
        let call = call.header("x-forwarded-for", "10.0.0.1, 192.0.2.7");
        served.send(call.json(&json!({"user": "ann@corp.example"}))).status(201);
        let audit = place.usher(&["audit", "export"]).succeeded().out;
        let submitted: serde_json::Value =
            audit.lines().map(|line| serde_json::from_str(line).unwrap()).next().unwrap();
        assert!(submitted.to_string().contains(&format!("\"from\":\"{expected}\"")), "{line}: {audit}");
    }
}

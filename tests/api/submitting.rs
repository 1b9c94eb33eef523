//! Runs and single users are submitted, in all forms; what is wrong is told.

use serde_json::{Value, json};
use usher_shared::{
    RunId,
    identity::{PersonalToken, submission_text},
};

use crate::{
    served::{BOTH, Served, Tokens, place},
    support::{Kind, Workplace, wait_until},
};

fn finished(place: &Workplace, run: &str) -> Value {
    wait_until("a run to end", || place.status(run)["state"] == "finished");
    place.status(run)
}

#[test]
fn every_form_becomes_a_run_that_is_carried_out() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 30);
        let served = Served::start(&place, &["--work"]);
        let users: Vec<String> = place.ordinary().iter().map(|user| user.email.to_string()).collect();
        let lines = |users: &[String]| users.join("\n");
        let query = "account=zoom-main&action=deactivate";
        let answers = [
            served.post(
                &tokens.submit,
                "/v1/runs",
                &json!({"account": "zoom-main", "action": "deactivate", "users": users[..4]}),
            ),
            served.post(
                &tokens.submit,
                "/v1/runs",
                &json!({"account": "zoom-main", "reason": "left", "users": [
                    {"user": users[4], "action": "deactivate", "reason": "dismissed"},
                    {"user": users[5], "action": "deactivate"},
                ]}),
            ),
            served.rows(&tokens.submit, "text/csv", query, &format!("email\n{}\n", lines(&users[6..10]))),
            served.rows(
                &tokens.submit,
                "text/csv; charset=utf-8",
                "account=zoom-main",
                &format!("Work e-mail;Action\r\n{};deactivate\r\n", users[10]),
            ),
            served.rows(
                &tokens.submit,
                "application/x-ndjson",
                query,
                &format!("{{\"email\": {:?}}}\n{{\"email\": {:?}}}\n", users[11], users[12]),
            ),
            served.rows(&tokens.submit, "text/plain", query, &lines(&users[13..15])),
            served.rows(
                &tokens.submit,
                "text/tab-separated-values",
                "account=zoom-main&priority=bulk",
                &format!("email\taction\n{}\tdeactivate\n", users[15]),
            ),
            served.post(
                &tokens.submit,
                "/v1/accounts/zoom-main/deactivate",
                &json!({"user": users[16], "reason": "dismissed a minute ago"}),
            ),
        ];
        let numbers = [4, 2, 4, 1, 2, 2, 1, 1];
        for (answer, number) in answers.into_iter().zip(numbers) {
            let answer = answer.status(201);
            let taken = answer.json();
            let run = answer.run();
            assert_eq!(answer.header("location"), Some(format!("/v1/runs/{run}").as_str()));
            assert_eq!(
                (&taken["account"], &taken["requests"], &taken["created"]),
                (&json!("zoom-main"), &json!(number), &json!(true)),
                "{taken}"
            );
            assert_eq!(finished(&place, &run)["outcomes"], json!({"applied": number}), "{taken}");
            place.assert_directory_agrees(&run);
        }
        assert_eq!(place.sim.report().changes.len(), 17);
        let back = served
            .post(&tokens.submit, "/v1/accounts/zoom-main/activate", &json!({"user": users[16]}))
            .status(201)
            .run();
        assert_eq!(finished(&place, &back)["outcomes"], json!({"applied": 1}));
    }
}

#[test]
fn a_run_names_its_submitter_by_a_proof_that_others_can_verify() {
    let (place, tokens) = place(Kind::Redis, 3);
    let served = Served::start(&place, &[]);
    let run = served
        .post(&tokens.submit, "/v1/accounts/zoom-main/deactivate", &json!({"user": "ann@corp.example"}))
        .status(201)
        .run();
    let id: RunId = run.parse().unwrap();
    let status = place.block_on(place.store().run(&id)).unwrap().unwrap();
    let run = &status.run;
    assert_eq!((run.asked_by.as_str(), run.source.as_deref()), ("token:submit", Some("api")));
    assert_eq!(run.priority.as_str(), "urgent");
    let proof = run.terms.proof.as_ref().unwrap();
    let key = tokens.submit.parse::<PersonalToken>().unwrap().key().unwrap();
    assert!(key.verifies(&submission_text(&id, &run.account, "submit", run.created_at), &proof.signature));
    let told = place.block_on(place.store().audit(1, 10)).unwrap();
    assert_eq!(told.len(), 1);
    let event: Value = serde_json::from_str(&told[0].event).unwrap();
    assert_eq!((&event["by"], &event["from"]), (&json!("token:submit"), &json!("127.0.0.1")), "{event}");
}

#[test]
fn repeated_users_are_kept_once_and_bad_ones_are_left_out_where_that_is_asked_for() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    let served = Served::start(&place, &[]);
    let submit = |more: Value, users: Value| {
        let mut body = json!({"account": "zoom-main", "action": "deactivate", "users": users});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        served.post(&tokens.submit, "/v1/runs", &body)
    };
    let twice = submit(json!({}), json!(["ann@x", "bob@x", "ANN@x"])).status(201).json();
    assert_eq!(twice["requests"], 2);
    assert_eq!(
        twice["duplicates"],
        json!({"total": 1, "first": [{"line": 3, "user": "ANN@x", "first_line": 1}]})
    );
    let bad = submit(json!({}), json!(["ann@x", "me", {"user": "a/b"}]));
    let bad = bad.problem(422, "invalid-input", "2 rows can't be used; nothing was submitted").json();
    assert_eq!(bad["rows"].as_array().unwrap().len(), 2, "{bad}");
    assert_eq!(bad["rows"][0]["line"], 2);
    assert!(bad["rows"][0]["problem"].as_str().unwrap().starts_with("user: \"me\""), "{bad}");
    let skipped =
        submit(json!({"skip_invalid": true}), json!(["ann@x", "me", {"user": "a/b"}])).status(201).json();
    assert_eq!((&skipped["requests"], &skipped["skipped"]["total"]), (&json!(1), &json!(2)), "{skipped}");
    let two_wishes = json!(["eve@x", {"user": "bob@x", "action": "deactivate"}]);
    let activate = json!({"action": "activate", "skip_invalid": true});
    let row = submit(activate, two_wishes).status(201).json();
    assert_eq!(row["skipped"]["rows"][0]["line"], 2, "{row}");
    let contradiction = json!({"account": "zoom-main", "skip_invalid": true, "users": [
        {"user": "ann@x", "action": "activate"}, {"user": "ann@x", "action": "deactivate"}]});
    served.post(&tokens.submit, "/v1/runs", &contradiction).problem(
        422,
        "invalid-input",
        "skip_invalid can't say which is right",
    );
    submit(json!({"skip_invalid": true}), json!(["me"])).problem(422, "invalid-input", "no row is left");
    submit(json!({}), json!([])).problem(422, "invalid-input", "nothing to submit");
}

#[test]
fn a_plan_waits_for_somebody_and_is_new_each_time() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    let served = Served::start(&place, &[]);
    let body = json!({"account": "zoom-main", "action": "deactivate", "plan": true, "users": ["ann@x"]});
    let first = served.post(&tokens.submit, "/v1/runs", &body).status(201).run();
    let second = served.post(&tokens.submit, "/v1/runs", &body).status(201).run();
    assert_ne!(first, second);
    assert_eq!(place.usher(&["runs", "--json"]).succeeded().json().as_array().unwrap().len(), 2);
}

/// What a caller gets wrong, and what it is told.
#[test]
fn wrong_input_is_told_with_its_cure() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    let served = Served::start(&place, &[]);
    let json_cases = [
        (json!({}), 422, "invalid-input", "account"),
        (json!({"account": "zoom-main"}), 422, "invalid-input", "users"),
        (json!({"account": "Zoom", "users": ["a"]}), 422, "invalid-input", "can't name an account"),
        (
            json!({"account": "zoom-mian", "users": ["a"], "action": "activate"}),
            422,
            "invalid-input",
            "there is zoom-main",
        ),
        (json!({"account": "zoom-main", "users": ["a"]}), 422, "invalid-input", "add \"action\""),
        (json!({"account": "zoom-main", "users": ["a"], "action": "fire"}), 422, "invalid-input", "fire"),
        (
            json!({"account": "zoom-main", "users": ["a"], "actoin": "activate"}),
            422,
            "invalid-input",
            "actoin",
        ),
        (json!({"account": "zoom-main", "users": [7]}), 422, "invalid-input", "a user: a text"),
        (
            json!({"account": "zoom-main", "users": ["a"], "deadline": "tomorrow"}),
            422,
            "invalid-input",
            "with an offset",
        ),
        (
            json!({"account": "zoom-main", "users": ["a"], "deadline": "2026-12-24T17:00:00"}),
            422,
            "invalid-input",
            "with an offset",
        ),
        (
            json!({"account": "zoom-main", "users": ["a"], "action": "activate", "deadline": "2020-01-01T00:00:00Z"}),
            422,
            "invalid-input",
            "has passed",
        ),
        (
            json!({"account": "zoom-main", "users": ["a"], "action": "activate",
                "not_before": "2090-01-02T00:00:00Z", "deadline": "2090-01-01T00:00:00+02:00"}),
            422,
            "invalid-input",
            "is not after not_before",
        ),
        (
            json!({"account": "zoom-main", "users": ["a"], "action": "activate", "reason": "x".repeat(1_001)}),
            422,
            "invalid-input",
            "1001 characters",
        ),
    ];
    for (body, status, word, says) in json_cases {
        served.post(&tokens.submit, "/v1/runs", &body).problem(status, word, says);
    }
    let row_cases = [
        ("text/csv", "account=zoom-main&action=deactivate", "", 422, "invalid-input", "is empty"),
        ("text/csv", "account=zoom-main&action=deactivate", "email\n", 422, "invalid-input", "no rows"),
        (
            "text/csv",
            "account=zoom-main&action=deactivate",
            "name,age\nann,7\n",
            422,
            "invalid-input",
            "no column",
        ),
        ("text/csv", "account=zoom-main&action=deactivate", "PK\u{3}\u{4}", 422, "invalid-input", "workbook"),
        ("text/csv", "account=zoom-main", "email\na@x\n", 422, "invalid-input", "add \"action\""),
        ("text/csv", "action=deactivate", "email\na@x\n", 400, "bad-request", "account"),
        ("text/csv", "account=zoom-main&colour=red", "email\na@x\n", 400, "bad-request", "colour"),
        ("text/csv", "account=zoom-main&plan=maybe", "email\na@x\n", 400, "bad-request", "plan"),
        ("application/xml", "account=zoom-main", "<a/>", 415, "unsupported-media-type", "text/csv"),
        (
            "application/json",
            "account=zoom-main",
            "{}",
            400,
            "bad-request",
            "a JSON body says everything itself",
        ),
        ("application/json", "", "{", 400, "bad-request", "not JSON"),
        (
            "text/plain",
            "account=zoom-main&action=activate",
            "[{\"email\": \"a@x\"}]",
            422,
            "invalid-input",
            "one object a line",
        ),
    ];
    for (content_type, query, rows, status, word, says) in row_cases {
        served.rows(&tokens.submit, content_type, query, rows).problem(status, word, says);
    }
    let one = |path: &str, body: Value| served.post(&tokens.submit, path, &body);
    let path = "/v1/accounts/zoom-main/deactivate";
    one(path, json!({})).problem(422, "invalid-input", "user");
    one(path, json!({"user": "me"})).problem(422, "invalid-input", "\"me\" does not name one user");
    one("/v1/accounts/Zoom%20main/deactivate", json!({"user": "a"})).problem(
        400,
        "bad-request",
        "can't name an account",
    );
    one("/v1/accounts/nowhere/deactivate", json!({"user": "a"})).problem(
        422,
        "invalid-input",
        "there is no account nowhere",
    );
    served.get(&tokens.submit, path).problem(405, "method-not-allowed", "/openapi.json");
    served.get(&tokens.submit, "/v1/nothing").problem(404, "no-such-path", "/docs");
    let keyed = served.call("POST", path, Some(&tokens.submit)).header("idempotency-key", "x".repeat(201));
    served.send(keyed.json(&json!({"user": "a"}))).problem(400, "bad-request", "Idempotency-Key");
    assert_eq!(place.usher(&["runs", "--json"]).succeeded().json(), json!([]), "nothing of it became a run");
}

#[test]
fn without_tokens_or_in_clear_text_for_others_nothing_is_served() {
    let place = Workplace::new(Kind::Sqlite, crate::served::directory(1));
    place.usher(&["serve"]).code(4).says("usher token new");
    let _tokens = Tokens::known_in(&place);
    place.usher(&["serve", "--listen", "0.0.0.0:0"]).code(4).says("--listen").says("behind_proxy");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place.usher(&["serve", "--listen", &address]).code(4).says(&address).says("--listen");
}

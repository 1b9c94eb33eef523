//! Plan, approve, apply, undo: over HTTP alone, as the command line has them.

use serde_json::{Value, json};
use usher_shared::audit::AuditKind;
use usher_simulator::zoom::Status;

use crate::{
    served::{Answer, BOTH, Served, Tokens, place},
    support::{Workplace, wait_until},
};

/// Another person has to approve every run.
fn guarded(place: &Workplace) {
    let config = std::fs::read_to_string(place.path("usher.toml")).unwrap();
    place.file("usher.toml", format!("{config}\n[accounts.zoom-main.approval]\nrequired = \"always\"\n"));
}

/// The run, once it is in this state.
fn once(served: &Served, tokens: &Tokens, run: &str, state: &str) -> Value {
    let see = || served.get(&tokens.read, &format!("/v1/runs/{run}")).status(200).json();
    wait_until(&format!("{run} to be {state}"), || see()["state"] == state);
    see()
}

fn steer(served: &Served, token: &str, run: &str, what: &str, body: &Value) -> Answer {
    served.post(token, &format!("/v1/runs/{run}/{what}"), body)
}

/// The plan's hash, as its reader sees it.
fn hash(served: &Served, tokens: &Tokens, run: &str) -> String {
    let plan = served.get(&tokens.read, &format!("/v1/runs/{run}/plan")).status(200).json();
    plan["hash"].as_str().unwrap().to_owned()
}

#[test]
fn a_plan_is_seen_approved_by_another_applied_and_undone_and_every_user_is_as_before() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 20);
        guarded(&place);
        let served = Served::start(&place, &["--work"]);
        let users: Vec<String> = place.ordinary()[..10].iter().map(|user| user.email.to_string()).collect();
        let mut named = users.clone();
        named.push("nobody@corp.example".to_owned());
        let body = json!({
            "account": "zoom-main", "action": "deactivate", "users": named, "plan": true, "reason": "left",
        });
        // Submitted by a token that may approve, too: but not its own.
        let run = served.post(&tokens.all, "/v1/runs", &body).status(201).run();
        let status = once(&served, &tokens, &run, "planned");
        assert_eq!(status["waiting"][0]["why"], "planned", "{status}");
        let words = status["waiting"][0]["message"].as_str().unwrap();
        assert!(words.contains("/apply") && !words.contains('`'), "{words}");

        let plan = served.get(&tokens.read, &format!("/v1/runs/{run}/plan")).status(200).json();
        assert_eq!(plan["counts"], json!({"change": 10, "not_found": 1}), "{plan}");
        assert!(plan["guards"][0].as_str().unwrap().contains("Another person has to approve"), "{plan}");
        let hash = plan["hash"].as_str().unwrap();
        assert_eq!(status["plan"]["hash"], hash);
        let mut from = json!(0);
        let mut seen = Vec::new();
        while let Some(place) = from.as_u64() {
            let path = format!("/v1/runs/{run}/plan/users?limit=4&from={place}");
            let page = served.get(&tokens.read, &path).status(200).json();
            seen.extend(page["users"].as_array().unwrap().clone());
            from = page["next"].clone();
        }
        let lines = served.call("GET", &format!("/v1/runs/{run}/plan/users"), Some(&tokens.read));
        let lines = served.send(lines.header("accept", "application/x-ndjson")).status(200);
        let lines: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, seen);
        assert_eq!((seen.len(), &seen[10]["kind"]), (11, &json!("not_found")));

        let (this, other) = (json!({"plan": hash}), json!({"plan": "0".repeat(64)}));
        steer(&served, &tokens.submit, &run, "apply", &other).problem(409, "refused", "look at it again");
        steer(&served, &tokens.approve, &run, "approve", &other).problem(409, "refused", "look at it again");
        steer(&served, &tokens.all, &run, "approve", &this).problem(409, "refused", "another person");
        for _twice in 0..2 {
            let approved = steer(&served, &tokens.approve, &run, "approve", &this).status(200).json();
            assert_eq!(approved["approved_by"], "approve");
        }
        for _twice in 0..2 {
            let applied = steer(&served, &tokens.submit, &run, "apply", &this).status(200).json();
            assert_eq!(applied["applied_by"], "token:submit");
        }
        let ended = once(&served, &tokens, &run, "finished");
        assert_eq!(ended["outcomes"], json!({"applied": 10, "not_found": 1}), "{ended}");
        place.assert_directory_agrees(&run);
        // Told again, whatever has become of it.
        steer(&served, &tokens.submit, &run, "apply", &this).status(200);
        steer(&served, &tokens.submit, &run, "apply", &other).problem(409, "refused", "");

        let undo = undone(&served, &tokens, &run);
        once(&served, &tokens, &undo, "planned");
        let this = json!({"plan": self::hash(&served, &tokens, &undo)});
        steer(&served, &tokens.approve, &undo, "approve", &this).status(200);
        steer(&served, &tokens.submit, &undo, "apply", &this).status(200);
        let ended = once(&served, &tokens, &undo, "finished");
        assert_eq!((&ended["outcomes"], &ended["undoes"]), (&json!({"applied": 10}), &json!(run)));
        let back = place.sim.users();
        let back = back.iter().filter(|user| users.contains(&user.email.to_string()));
        assert_eq!(back.filter(|user| user.status == Status::Active).count(), 10);
        // The undo decided about all of them since.
        steer(&served, &tokens.submit, &run, "undo", &json!({})).problem(
            409,
            "wrong-state",
            "10 whom it changed",
        );
        told(&place, &run, &undo);
    }
}

/// Asks for an undo under a key: the same again is the same run, another body is refused.
fn undone(served: &Served, tokens: &Tokens, run: &str) -> String {
    let ask = |body: Value| {
        let call = served.call("POST", &format!("/v1/runs/{run}/undo"), Some(&tokens.submit));
        served.send(call.header("Idempotency-Key", "back again").json(&body))
    };
    let new = ask(json!({"reason": "a mistake"})).status(201);
    let view = new.json();
    let undo = view["run"]["run"].as_str().unwrap().to_owned();
    assert_eq!(new.header("location"), Some(format!("/v1/runs/{undo}").as_str()));
    assert_eq!((&view["created"], &view["left_out"]["total"]), (&json!(true), &json!(0)), "{view}");
    assert_eq!(view["run"]["reason"], "a mistake");
    let again = ask(json!({"reason": "a mistake"})).status(200).json();
    assert_eq!((&again["run"]["run"], &again["created"]), (&json!(undo), &json!(false)));
    ask(json!({"reason": "another"})).problem(422, "idempotency-key-reused", "another");
    // Without a key, too, the one that is under way is meant.
    let under_way = steer(served, &tokens.submit, run, "undo", &json!({})).status(200).json();
    assert_eq!(under_way["run"]["run"], undo.as_str());
    undo
}

/// The audit was told of each step, by whom.
fn told(place: &Workplace, run: &str, undo: &str) {
    let entries = place.block_on(place.store().audit(1, 1_000)).unwrap();
    let events: Vec<_> = entries.iter().filter_map(|entry| entry.read()).collect();
    for run in [run, undo] {
        let steps = [(AuditKind::Approved, "token:approve"), (AuditKind::Applied, "token:submit")];
        for (what, by) in steps {
            let found: Vec<_> = events
                .iter()
                .filter(|event| event.what == what && event.run.as_ref().is_some_and(|of| of.as_str() == run))
                .collect();
            assert_eq!(found.len(), 1, "{what} of {run} is told once");
            assert_eq!((found[0].by.as_str(), found[0].from.as_deref()), (by, Some("127.0.0.1")));
        }
    }
}

#[test]
fn what_is_no_plan_or_not_looked_up_yet_is_refused_in_the_apis_own_words() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 5);
        // Nobody works it: nothing is looked up.
        let served = Served::start(&place, &[]);
        let this = json!({"plan": "0".repeat(64)});
        let submitted = |plan: bool| {
            let body =
                json!({"account": "zoom-main", "action": "deactivate", "users": ["ann@x"], "plan": plan});
            served.post(&tokens.submit, "/v1/runs", &body).status(201).run()
        };
        let (plan, run) = (submitted(true), submitted(false));
        let refused = [
            (steer(&served, &tokens.submit, &run, "apply", &this), "no plan"),
            (steer(&served, &tokens.submit, &plan, "apply", &this), "looked up"),
            (steer(&served, &tokens.approve, &run, "approve", &this), "looked up"),
            (served.get(&tokens.read, &format!("/v1/runs/{plan}/plan")), "no plan yet"),
            (served.get(&tokens.read, &format!("/v1/runs/{plan}/plan/users")), "no plan yet"),
            (steer(&served, &tokens.submit, &run, "undo", &json!({})), "a cancel ends it now"),
        ];
        for (answer, says) in refused {
            let problem = answer.problem(409, "wrong-state", says).json();
            let detail = problem["detail"].as_str().unwrap();
            assert!(!detail.contains("usher "), "no command is named to a caller: {detail}");
            assert!(problem["run"].is_string(), "{problem}");
        }
        steer(&served, &tokens.submit, &run, "apply", &json!({"plan": "abc"})).problem(
            422,
            "invalid-input",
            "hash",
        );
    }
}

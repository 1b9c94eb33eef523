//! Pause, resume, priority, cancel, retry: over HTTP.

use serde_json::{Value, json};

use crate::{
    served::{Answer, BOTH, Served, place},
    support::{Kind, wait_until},
};

fn steer(served: &Served, token: &str, run: &str, what: &str) -> Answer {
    served.send(served.call("POST", &format!("/v1/runs/{run}/{what}"), Some(token)))
}

#[test]
fn a_run_is_paused_goes_on_is_made_urgent_cancelled_and_tried_again() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 5);
        // Nobody works it, so that it stays where it is put.
        let served = Served::start(&place, &[]);
        let users: Vec<String> = (0..1_200).map(|n| format!("user{n}@corp.example")).collect();
        let body = json!({"account": "zoom-main", "action": "deactivate", "users": users});
        let run = served.post(&tokens.submit, "/v1/runs", &body).status(201).run();
        for _twice in 0..2 {
            let paused = steer(&served, &tokens.operate, &run, "pause").status(200).json();
            assert_eq!(
                (&paused["state"], &paused["waiting"][0]["why"]),
                (&json!("paused"), &json!("paused"))
            );
            assert!(paused["waiting"][0]["message"].as_str().unwrap().contains("/resume"), "{paused}");
        }
        for _twice in 0..2 {
            let resumed = steer(&served, &tokens.operate, &run, "resume").status(200).json();
            assert_eq!(resumed["state"], "resolving");
        }
        let set = |priority: &str| {
            let path = format!("/v1/runs/{run}/priority");
            served.post(&tokens.operate, &path, &json!({"priority": priority}))
        };
        assert_eq!(set("urgent").status(200).json()["priority"], "urgent");
        set("now").problem(422, "invalid-input", "urgent");
        served.post(&tokens.operate, &format!("/v1/runs/{run}/retry"), &json!({})).problem(
            409,
            "wrong-state",
            "once it is over",
        );

        for _twice in 0..2 {
            let cancelled = steer(&served, &tokens.operate, &run, "cancel").status(200).json();
            assert_eq!(cancelled["outcomes"], json!({"cancelled": 1_200}), "{cancelled}");
            assert_eq!(cancelled["state"], "cancelled");
        }
        for what in ["pause", "resume"] {
            let problem =
                steer(&served, &tokens.operate, &run, what).problem(409, "wrong-state", "cancelled");
            assert_eq!(problem.json()["run"], run);
        }
        set("bulk").problem(409, "wrong-state", "");

        let retry = |body: Value| served.post(&tokens.operate, &format!("/v1/runs/{run}/retry"), &body);
        retry(json!({"outcomes": ["applied"]})).problem(422, "invalid-input", "as wished");
        retry(json!({"outcomes": ["gone"]})).problem(422, "invalid-input", "superseded");
        retry(json!({"codes": ["300"]})).problem(409, "wrong-state", "nobody to be tried again");
        let again = retry(json!({"outcomes": ["cancelled"]})).status(200).json();
        assert_eq!((&again["state"], &again["pending"]), (&json!("resolving"), &json!(1_200)), "{again}");
        let again = steer(&served, &tokens.operate, &run, "retry");
        again.problem(409, "wrong-state", "once it is over");

        let told = place.usher(&["audit", "export"]).succeeded().out;
        for (word, times) in
            [("paused", 1), ("resumed", 1), ("reprioritized", 1), ("cancelled", 1), ("retried", 1)]
        {
            let found = told.lines().filter(|line| {
                line.contains(&format!("\"{word}\"")) && line.contains("token:operate") && line.contains(&run)
            });
            assert_eq!(found.count(), times, "{word}:\n{told}");
        }
    }
}

#[test]
fn a_cancel_in_the_midst_of_work_lets_calls_in_flight_finish() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 600);
        let served = Served::start(&place, &["--work"]);
        let users: Vec<String> = place.ordinary().iter().map(|user| user.email.to_string()).collect();
        let body = json!({"account": "zoom-main", "action": "deactivate", "users": users});
        let run = served.post(&tokens.submit, "/v1/runs", &body).status(201).run();
        place.wait_for_changes(40);
        let cancelled = steer(&served, &tokens.operate, &run, "cancel");
        let state = cancelled.json()["state"].clone();
        let expected = if cancelled.status == 202 { "cancelling" } else { "cancelled" };
        assert!(matches!(cancelled.status, 200 | 202) && state == expected, "{}", cancelled.text);
        wait_until("the run to be over", || place.status(&run)["state"] == "cancelled");
        let counts = place.status(&run)["outcomes"].clone();
        assert!(counts["applied"].as_u64().unwrap() >= 40, "{counts}");
        assert!(counts["cancelled"].as_u64().unwrap() > 0, "{counts}");
        place.assert_directory_agrees(&run);
    }
}

#[test]
fn a_call_that_takes_no_body_minds_none() {
    let (place, tokens) = place(Kind::Sqlite, 3);
    let served = Served::start(&place, &[]);
    let body = json!({"user": "ann@corp.example"});
    let run = served.post(&tokens.submit, "/v1/accounts/zoom-main/deactivate", &body).status(201).run();
    served.post(&tokens.operate, &format!("/v1/runs/{run}/pause"), &json!({})).status(200);
    served.get(&tokens.read, &format!("/v1/runs/{run}/pause")).problem(405, "method-not-allowed", "");
    steer(&served, &tokens.operate, "20261120-k3f9zm", "pause").problem(
        404,
        "no-such-run",
        "20261120-k3f9zm",
    );
    steer(&served, &tokens.operate, "latest", "pause").problem(400, "bad-request", "latest");
}

//! Runs, outcomes and accounts are seen: in pages, in streams, and nobody else's.

use serde_json::{Value, json};

use crate::{
    served::{Answer, BOTH, Served, place},
    support::{Kind, wait_until},
};

fn ids(page: &Value) -> Vec<String> {
    let runs = page["runs"].as_array().unwrap();
    runs.iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn runs_are_listed_in_pages_the_newest_first_and_each_token_sees_its_own_accounts() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 3);
        let served = Served::start(&place, &[]);
        let submit = |account: &str, user: &str| {
            let path = format!("/v1/accounts/{account}/deactivate");
            served.post(&tokens.all, &path, &json!({"user": user})).status(201).run()
        };
        let main: Vec<String> = (0..5).map(|n| submit("zoom-main", &format!("m{n}@x"))).collect();
        let other: Vec<String> = (0..2).map(|n| submit("zoom-other", &format!("o{n}@x"))).collect();
        served.send(served.call("POST", &format!("/v1/runs/{}/pause", main[1]), Some(&tokens.operate)));

        let mut seen = Vec::new();
        let mut path = "/v1/runs?limit=3".to_owned();
        loop {
            let page = served.get(&tokens.read, &path).status(200).json();
            seen.extend(ids(&page));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/runs?limit=3&before={next}");
        }
        let mut expected: Vec<String> = main.iter().chain(&other).rev().cloned().collect();
        assert_eq!(seen.len(), 7);
        // Those of one millisecond come in whatever order.
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected);

        let list = |token: &str, query: &str| served.get(token, &format!("/v1/runs{query}"));
        assert_eq!(ids(&list(&tokens.read, "?state=paused").status(200).json()), [main[1].clone()]);
        assert_eq!(ids(&list(&tokens.read, "?account=zoom-other").status(200).json()).len(), 2);
        assert_eq!(ids(&list(&tokens.read, "?account=nowhere").status(200).json()), Vec::<String>::new());
        assert_eq!(ids(&list(&tokens.other, "").status(200).json()).len(), 2, "its own account's alone");
        list(&tokens.other, "?account=zoom-main").problem(403, "forbidden", "zoom-main");
        served.get(&tokens.other, &format!("/v1/runs/{}", main[0])).problem(404, "no-such-run", &main[0]);
        for bad in
            ["?limit=0", "?limit=201", "?limit=x", "?state=gone", "?before=x", "?page=2", "?limit=1&limit=2"]
        {
            list(&tokens.read, bad).problem(400, "bad-request", "");
        }

        let accounts = served.get(&tokens.read, "/v1/accounts").status(200).json();
        let accounts = accounts["accounts"].as_array().unwrap();
        assert_eq!(
            accounts.iter().map(|account| &account["account"]).collect::<Vec<_>>(),
            ["zoom-main", "zoom-other"]
        );
        assert_eq!((&accounts[0]["unfinished"], &accounts[0]["pending"]), (&json!(5), &json!(5)));
        let own = served.get(&tokens.other, "/v1/accounts").status(200).json();
        assert_eq!(own["accounts"].as_array().unwrap().len(), 1);
        let me = served.get(&tokens.other, "/v1/me").status(200).json();
        assert_eq!(me["name"], "other");
        assert_eq!((&me["accounts"], me["roles"].as_array().unwrap().len()), (&json!(["zoom-other"]), 4));
        assert_eq!(served.get(&tokens.read, "/v1/me").status(200).json()["accounts"], Value::Null);
    }
}

fn outcomes(served: &Served, token: &str, run: &str, query: &str, accept: Option<&str>) -> Answer {
    let call = served.call("GET", &format!("/v1/runs/{run}/outcomes{query}"), Some(token));
    served.send(match accept {
        Some(accept) => call.header("accept", accept),
        None => call,
    })
}

#[test]
fn outcomes_are_the_same_in_pages_lines_and_tables_and_as_the_command_line_reports_them() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 30);
        let served = Served::start(&place, &["--work"]);
        let mut users: Vec<String> = place.ordinary().iter().map(|user| user.email.to_string()).collect();
        users.truncate(25);
        users.push("=gone@corp.example".to_owned());
        let body = json!({"account": "zoom-main", "action": "deactivate", "users": users});
        let run = served.post(&tokens.submit, "/v1/runs", &body).status(201).run();
        wait_until("the run to end", || place.status(&run)["state"] == "finished");

        let mut pages = Vec::new();
        let mut from = json!(0);
        while let Some(place) = from.as_u64() {
            let query = format!("?limit=10&from={place}");
            let page = outcomes(&served, &tokens.read, &run, &query, None).status(200).json();
            pages.extend(page["outcomes"].as_array().unwrap().clone());
            from = page["next"].clone();
        }
        assert_eq!(pages.len(), 26);
        let lines = outcomes(&served, &tokens.read, &run, "", Some("application/x-ndjson")).status(200);
        assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
        let lines: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, pages);
        let reported = place.usher(&["report", &run, "--format", "json"]).succeeded().json();
        for (row, reported) in pages.iter().zip(reported.as_array().unwrap()) {
            let mut row = row.clone();
            row.as_object_mut().unwrap().remove("place");
            assert_eq!(&row, reported);
        }
        let table = outcomes(&served, &tokens.read, &run, "", Some("text/csv")).status(200);
        assert_eq!(table.text, place.usher(&["report", &run, "--format", "csv"]).succeeded().out);
        assert!(table.text.contains("'=gone@corp.example"), "no cell is a formula: {}", table.text);

        let failed = outcomes(&served, &tokens.read, &run, "?failed=true", None).status(200).json();
        assert_eq!(failed["outcomes"].as_array().unwrap().len(), 1);
        assert_eq!((&failed["outcomes"][0]["place"], failed.get("next")), (&json!(25), None));
        let both = outcomes(&served, &tokens.read, &run, "?outcome=applied,not_found", Some("text/csv"));
        assert_eq!(both.status(200).text.lines().count(), 27);
        let one = served.get(&tokens.read, &format!("/v1/runs/{run}/outcomes/3")).status(200).json();
        assert_eq!((&one["user"], &one["outcome"]), (&pages[3]["user"], &json!("applied")));
        assert_eq!(
            (one["tried"].as_array().unwrap().len(), &one["tried"][0]["verdict"]),
            (1, &json!("applied"))
        );
        served.get(&tokens.read, &format!("/v1/runs/{run}/outcomes/26")).problem(404, "no-such-path", "26");
        served.get(&tokens.read, &format!("/v1/runs/{run}/outcomes/x")).problem(400, "bad-request", "");
        outcomes(&served, &tokens.read, &run, "", Some("text/html")).problem(
            406,
            "not-acceptable",
            "text/csv",
        );
        outcomes(&served, &tokens.other, &run, "", Some("text/csv")).problem(404, "no-such-run", &run);
        for bad in ["?outcome=gone", "?failed=maybe", "?limit=0", "?from=-1", "?from=99999999999999999"] {
            outcomes(&served, &tokens.read, &run, bad, None).problem(400, "bad-request", "");
        }
    }
}

#[test]
fn a_run_is_seen_as_the_command_line_shows_it() {
    let (place, tokens) = place(Kind::Sqlite, 5);
    let served = Served::start(&place, &["--work"]);
    let user = place.ordinary()[0].email.to_string();
    let run = served
        .post(&tokens.submit, "/v1/accounts/zoom-main/deactivate", &json!({"user": user}))
        .status(201)
        .run();
    wait_until("the run to end", || place.status(&run)["state"] == "finished");
    let seen = served.get(&tokens.read, &format!("/v1/runs/{run}")).status(200);
    assert_eq!(seen.json(), place.status(&run));
}

//! Following a run and the service: each event once, whatever breaks off in between.

use std::time::Duration;

use serde_json::Value;

use crate::{
    served::{Event, Process, Token, place},
    support::{Kind, Workplace},
};

const READ: &str = "\"read\"";

/// An account that nobody works.
const ELSEWHERE: &str = "[accounts.elsewhere]\nprovider = \"zoom\"\naccount_id = \"a\"\nclient_id = \"c\"\n\
                         client_secret = { env = \"NOWHERE\" }\nplan = \"business\"\n";

fn submit(place: &Workplace, users: usize) -> String {
    let file = place.csv("leavers.csv", &place.ordinary()[..users]);
    let words =
        ["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    place.usher(&words).succeeded().out.trim().to_owned()
}

/// The numbers of the entries of the audit that were sent.
fn numbers(events: &[Event]) -> Vec<u64> {
    events
        .iter()
        .filter(|event| event.name == "event")
        .map(|event| {
            let number = event.data["number"].as_u64().unwrap();
            assert_eq!(event.id, number.to_string());
            number
        })
        .collect()
}

/// The numbers of the entries of the audit about a run, as the store has them.
fn told(place: &Workplace, run: &str) -> Vec<u64> {
    let entries = place.block_on(place.store().audit(1, 500)).unwrap();
    let about = |entry: &usher_shared::audit::AuditEntry| {
        entry.read().and_then(|event| event.run).is_some_and(|id| id.as_str() == run)
    };
    entries.iter().filter(|entry| about(entry)).map(|entry| entry.number).collect()
}

fn followers_have_each_event_once(kind: Kind) {
    let (reader, other) = (Token::new("reader", READ, None), Token::new("other", READ, Some("elsewhere")));
    let place = place(kind, 260, &[&reader, &other], ELSEWHERE);
    let server = Process::serve(&place);
    let mut service = server.get("/v1/events", Some(&reader), &[]).ok();
    let mut elsewhere = server.get("/v1/events?for_seconds=60", Some(&other), &[]).ok();
    assert_eq!(service.event().unwrap().id, "0");
    let run = submit(&place, 200);
    let path = format!("/v1/runs/{run}/events");
    assert_eq!(server.get(&path, Some(&other), &[]).status, 404, "another account's run");

    // From the beginning, in several connections; and one that only ever listens.
    let begun = [("Last-Event-ID", "0")];
    let mut steady = server.get(&path, Some(&reader), &begun).ok();
    let mut broken = Vec::new();
    for cut_after in 1..=4 {
        let mut stream = server.get(&path, Some(&reader), &begun).ok();
        let mut events = Vec::new();
        for _ in 0..cut_after {
            events.extend(stream.event());
            if events.iter().any(|event: &Event| event.name == "event") {
                break;
            }
        }
        broken.push(events);
    }
    let worker = Process::worker(&place);
    let running = |event: &Event| event.name == "status" && event.data["state"] == "running";
    let mut seen = steady.events_until(running);
    place.usher(&["pause", &run]).succeeded();
    seen.extend(steady.events_until(|event| event.name == "status" && event.data["state"] == "paused"));
    assert!(seen.iter().any(|event| event.data["what"] == "paused"), "{seen:#?}");
    place.usher(&["resume", &run, "--detach"]).succeeded();
    seen.extend(steady.events_until(|event| event.name == "end"));
    assert!(steady.event().is_none(), "nothing comes after the end");
    let last = &seen[seen.len() - 1];
    assert_eq!((last.data["run"].as_str(), &last.data["state"]), (Some(&*run), &Value::from("finished")));
    let whole = seen.iter().rev().find(|event| event.name == "status").unwrap();
    assert_eq!(whole.data["outcomes"]["applied"], 200);
    let expected = told(&place, &run);
    assert_eq!(numbers(&seen), expected);

    for mut events in broken {
        let last = events.last().unwrap().id.clone();
        let mut stream = server.get(&path, Some(&reader), &[("Last-Event-ID", &last)]).ok();
        events.extend(stream.events_until(|event| event.name == "end"));
        assert_eq!(numbers(&events), expected, "one that came back after {last}");
    }

    // Who had all of it is told so; who had not gets the end.
    assert_eq!(server.get(&path, Some(&reader), &[("Last-Event-ID", &last.id)]).status, 204);
    let number = last.id.strip_suffix("/end").unwrap();
    let mut late =
        server.get(&path, Some(&reader), &[("Last-Event-ID", number)]).ok().within(Duration::from_secs(8));
    assert_eq!(late.events_until(|event| event.name == "end").len(), 3, "its id, the status, the end");
    for bad in ["x", "-1", ""] {
        assert_eq!(server.get(&path, Some(&reader), &[("Last-Event-ID", bad)]).status, 400);
    }
    assert_eq!(server.get("/v1/runs/20260101-aaaaaa/events", Some(&reader), &[]).status, 404);

    // The service's stream had the same, and how far it came; a token of another account had nothing.
    let finished = |event: &Event| event.data["what"] == "finished";
    let mut all = service.events_until(finished);
    assert_eq!(numbers(&all), expected);
    while !all.iter().any(|event| event.name == "progress" && event.data["state"] == "finished") {
        all.extend(service.event());
    }
    assert_eq!(elsewhere.event().unwrap().name, "", "its id alone");
    drop(worker);
    let mut server = server;
    server.terminate();
    assert!(
        elsewhere.within(Duration::from_secs(5)).event().is_none(),
        "a server that stops ends its streams"
    );
    while service.event().is_some() {}
    assert!(server.end());
}

#[test]
fn followers_have_each_event_once_through_a_break_on_the_embedded_store() {
    followers_have_each_event_once(Kind::Sqlite);
}

#[test]
fn followers_have_each_event_once_through_a_break_on_redis() {
    followers_have_each_event_once(Kind::Redis);
}

#[test]
fn one_follower_too_many_is_told_to_come_again_and_a_stream_can_be_for_a_time() {
    let (reader, submitter) = (Token::new("reader", READ, None), Token::new("hr", "\"submit\"", None));
    let place = place(Kind::Sqlite, 20, &[&reader, &submitter], "[serve]\nfollowers = 2\n");
    let server = Process::serve(&place);
    let run = submit(&place, 5);
    let path = format!("/v1/runs/{run}/events");
    assert_eq!(server.get(&path, Some(&submitter), &[]).status, 403);
    assert_eq!(server.get(&path, None, &[]).status, 401);
    for (query, status) in [("0", 400), ("86401", 400), ("x", 400)] {
        let answer = server.get(&format!("/v1/events?for_seconds={query}"), Some(&reader), &[]);
        assert_eq!(answer.status, status, "{query}");
    }
    let one = server.get(&path, Some(&reader), &[]).ok();
    let mut two = server.get("/v1/events?for_seconds=1", Some(&reader), &[]).ok();
    let three = server.get(&path, Some(&reader), &[]);
    assert!(three.status == 503 && three.head.contains("retry-after: 10"), "{}", three.head);
    assert!(three.text().contains("[serve] followers"));
    while two.event().is_some() {}
    crate::support::wait_until("a place", || server.get(&path, Some(&reader), &[]).status == 200);
    drop(one);
}

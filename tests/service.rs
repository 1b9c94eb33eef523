//! As a service: submit, workers, status, report, steering, on Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use support::{Kind, Workplace, wait_until};
use usher_simulator::zoom::{Population, Settings};

fn directory(users: u32) -> Settings {
    Settings { directory: Population { users, ..Population::default() }, ..Settings::default() }
}

fn submit(place: &Workplace, file: &std::path::Path, more: &[&str]) -> String {
    let mut words =
        vec!["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    words.extend(more);
    let ended = place.usher(&words).succeeded();
    assert_eq!(ended.out.lines().count(), 1, "the run id alone on standard output: {:?}", ended.out);
    ended.out.trim().to_owned()
}

#[test]
fn two_workers_share_one_run_and_a_third_person_watches_it() {
    let place = Workplace::new(Kind::Redis, directory(150));
    let run = submit(&place, &place.csv("leavers.csv", &place.ordinary()), &[]);
    let one = place.start(&["worker", "--name", "one"]);
    let two = place.start(&["worker", "--name", "two"]);
    place.usher(&["status", &run, "--watch"]).succeeded();
    assert_eq!(place.status(&run)["outcomes"], json!({"applied": 150}));
    place.assert_directory_agrees(&run);
    assert_eq!(place.sim.report().changes.len(), 150, "nobody was changed twice");
    for mut worker in [one, two] {
        worker.signal("TERM");
        worker.end().succeeded();
    }
}

#[test]
fn a_paused_run_makes_no_calls_and_goes_on_where_it_stood() {
    let place = Workplace::new(Kind::Redis, directory(200));
    let run = submit(&place, &place.csv("leavers.csv", &place.ordinary()), &[]);
    let _worker = place.start(&["worker"]);
    place.wait_for_changes(40);
    place.usher(&["pause", &run]).succeeded().says("resume");
    wait_until("calls in flight to end", || place.status(&run)["in_flight"] == 0);
    let paused = place.status(&run);
    assert_eq!(paused["state"], "paused");
    let changes = place.sim.report().changes.len();
    assert!(changes < 200, "paused too late to see anything: {changes}");
    place.usher(&["resume", &run, "--detach"]).succeeded();
    place.usher(&["status", &run, "--watch"]).succeeded();
    assert_eq!(place.sim.report().changes.len(), 200);
}

#[test]
fn a_cancelled_run_ends_with_the_rest_untouched() {
    let place = Workplace::new(Kind::Redis, directory(300));
    let run = submit(&place, &place.csv("leavers.csv", &place.ordinary()), &[]);
    let _worker = place.start(&["worker"]);
    place.wait_for_changes(40);
    place.usher(&["cancel", &run, "--yes"]).succeeded();
    place.usher(&["status", &run, "--watch"]).code(1);
    let status = place.status(&run);
    assert_eq!(status["state"], "cancelled");
    let applied = status["outcomes"]["applied"].as_u64().unwrap();
    assert_eq!(applied + status["outcomes"]["cancelled"].as_u64().unwrap(), 300);
    assert_eq!(place.sim.report().changes.len() as u64, applied);
}

#[test]
fn an_urgent_user_overtakes_a_bulk_run() {
    let place = Workplace::new(Kind::Redis, directory(400));
    let users = place.ordinary();
    let bulk = submit(&place, &place.csv("bulk.csv", &users[..399]), &["--priority", "bulk"]);
    let _worker = place.start(&["worker"]);
    place.wait_for_changes(40);
    let urgent = submit(&place, &place.csv("urgent.csv", &users[399..]), &["--priority", "urgent"]);
    place.usher(&["status", &urgent, "--watch"]).succeeded();
    assert_ne!(place.status(&bulk)["state"], "finished", "the urgent one came first");
}

#[test]
fn the_same_file_submitted_twice_is_one_run_while_it_is_unfinished() {
    let place = Workplace::new(Kind::Redis, directory(30));
    let file = place.csv("leavers.csv", &place.ordinary());
    let first = submit(&place, &file, &[]);
    assert_eq!(submit(&place, &file, &[]), first);
    let runs = place.usher(&["runs", "--json"]).succeeded().json();
    assert_eq!(runs.as_array().unwrap().len(), 1);
}

#[test]
fn workers_come_back_by_themselves_when_redis_does() {
    let mut place = Workplace::new(Kind::Redis, directory(240));
    let run = submit(&place, &place.csv("leavers.csv", &place.ordinary()), &[]);
    let _worker = place.start(&["worker"]);
    place.wait_for_changes(60);
    place.redis.as_mut().unwrap().restart();
    place.usher(&["status", &run, "--watch"]).succeeded();
    assert_eq!(place.status(&run)["outcomes"], json!({"applied": 240}));
}

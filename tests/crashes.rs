//! Killed in the middle, and resumed: nothing lost, one outcome each.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use support::{Kind, Workplace};
use usher_simulator::zoom::{Population, Settings};

fn directory(users: u32) -> Settings {
    Settings { directory: Population { users, ..Population::default() }, ..Settings::default() }
}

fn killed_in_the_middle_the_same_command_goes_on(kind: Kind) {
    let place = Workplace::new(kind, directory(300));
    let file = place.csv("leavers.csv", &place.ordinary());
    let words = ["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let running = place.start(&words);
    place.wait_for_changes(100);
    running.kill();
    let run = place.newest_run();
    let before = place.status(&run);
    assert_ne!(before["state"], "finished");

    place.usher(&words).succeeded().says(&run);
    assert_eq!(place.newest_run(), run, "the same content is the same run");
    let after = place.status(&run);
    assert_eq!(after["outcomes"], json!({"applied": 300}), "{after}");
    assert_eq!(place.outcomes(&run).len(), 300);
    place.assert_directory_agrees(&run);
}

#[test]
fn killed_in_the_middle_the_same_command_goes_on_on_sqlite() {
    killed_in_the_middle_the_same_command_goes_on(Kind::Sqlite);
}

#[test]
fn killed_in_the_middle_the_same_command_goes_on_on_redis() {
    killed_in_the_middle_the_same_command_goes_on(Kind::Redis);
}

fn interrupted_a_run_is_paused_and_resume_goes_on(kind: Kind) {
    let place = Workplace::new(kind, directory(300));
    let file = place.csv("leavers.csv", &place.ordinary());
    let words = ["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let mut running = place.start(&words);
    place.wait_for_changes(60);
    running.signal("INT");
    let ended = running.end().code(130).says("usher resume").says("usher cancel");
    assert!(!ended.err.contains("panicked"));
    let run = place.newest_run();
    let status = place.status(&run);
    assert_eq!((&status["state"], &status["in_flight"]), (&json!("paused"), &json!(0)));
    assert_eq!(
        status["finished"].as_u64().unwrap(),
        place.sim.report().changes.len() as u64,
        "in flight ones finished"
    );

    // There is only one that can be meant.
    place.usher(&["resume"]).succeeded();
    assert_eq!(place.status(&run)["outcomes"], json!({"applied": 300}));
    place.usher(&["resume"]).code(2).says("nothing is unfinished");
    assert_eq!(place.sim.report().changes.len(), 300, "nobody was changed twice");
}

#[test]
fn interrupted_a_run_is_paused_and_resume_goes_on_on_sqlite() {
    interrupted_a_run_is_paused_and_resume_goes_on(Kind::Sqlite);
}

#[test]
fn interrupted_a_run_is_paused_and_resume_goes_on_on_redis() {
    interrupted_a_run_is_paused_and_resume_goes_on(Kind::Redis);
}

#[test]
fn yesterdays_unfinished_run_does_not_come_back_with_todays() {
    let place = Workplace::new(Kind::Sqlite, directory(200));
    let users = place.ordinary();
    let run = |name: &str, users: &[usher_simulator::zoom::SimUser]| {
        let file = place.csv(name, users);
        vec!["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let wrong = run("wrong.csv", &users[..150]);
    let words: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let running = place.start(&words);
    place.wait_for_changes(30);
    running.kill();
    let yesterday = place.newest_run();
    let done = place.sim.report().changes.len();

    let right = run("right.csv", &users[150..]);
    let words: Vec<&str> = right.iter().map(String::as_str).collect();
    place.usher(&words).succeeded().says(&yesterday).says("unfinished");
    assert_ne!(place.status(&yesterday)["state"], "finished");
    assert!(place.sim.report().changes.len() <= done + 50 + 5, "the wrong file's users were left alone");
}

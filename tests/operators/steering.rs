//! Stopping, protecting in the middle, trying again, what comes first, forgetting.

use serde_json::json;
use usher_simulator::zoom::{Trouble, UserChange};

use crate::{
    company::{directory, file, words, worker},
    support::{Kind, Workplace, wait_until},
};

fn submitted(place: &Workplace, more: &[&str]) -> String {
    let file = file(place, &place.ordinary());
    let mut all = vec!["--yes"];
    all.extend(more);
    place.usher(&words("submit", &file, &all)).succeeded().out.trim().to_owned()
}

#[test]
fn paused_at_500_of_2400_no_more_follow_than_were_in_flight() {
    let place = Workplace::new(Kind::Redis, directory(2_400));
    let run = submitted(&place, &[]);
    let _worker = worker(&place);
    place.wait_for_changes(500);
    place.usher(&["pause", &run]).succeeded();
    let paused = place.status(&run);
    let number = |key: &str| paused[key].as_u64().unwrap();
    // At one instant after the pause: what was done, and what was in flight.
    let at_most = number("finished") + number("in_flight");
    wait_until("calls in flight to end", || place.status(&run)["in_flight"] == 0);
    let after = place.sim.report().changes.len() as u64;
    assert!((500..1_500).contains(&after) && after <= at_most, "{after} of at most {at_most}");
    // Nothing follows: the worker has looked again by then.
    std::thread::park_timeout(std::time::Duration::from_millis(1_500));
    assert_eq!(place.sim.report().changes.len() as u64, after);
}

#[test]
fn who_is_protected_in_the_middle_of_a_run_is_not_changed_by_what_has_not_started() {
    let mut settings = directory(300);
    settings.limits.light = Some(30);
    let place = Workplace::with_config(Kind::Redis, settings, "light = 30");
    let run = submitted(&place, &[]);
    let _worker = worker(&place);
    place.wait_for_changes(40);
    place.usher(&["protect", "add", "zoom-main", "*@corp.example", "--reason", "legal hold"]).succeeded();
    place.usher(&["status", &run, "--watch"]).code(1);
    let status = place.status(&run);
    let of = |word: &str| status["outcomes"][word].as_u64().unwrap_or(0);
    assert_eq!(of("applied") + of("protected"), 300, "{status}");
    assert!((40..150).contains(&of("applied")), "{status}");
    let changes = place.sim.report().changes;
    assert_eq!(changes.len() as u64, of("applied"));
    place.usher(&["protect", "list", "zoom-main"]).succeeded().says("*@corp.example").says("legal hold");
    place.usher(&["protect", "remove", "zoom-main", "*@corp.example"]).code(3).says("--yes");
    place.usher(&["protect", "remove", "zoom-main", "*@corp.example", "--yes"]).succeeded();
    place
        .usher(&["protect", "remove", "zoom-main", "*@corp.example", "--yes"])
        .code(2)
        .says("not on the list");
}

#[test]
fn what_failed_is_tried_again_as_part_of_the_same_run() {
    let mut settings = directory(10);
    settings.directory.upcoming_event = 3;
    settings.directory.pending = 2;
    let place = Workplace::new(Kind::Sqlite, settings);
    let mut users = place.sim.users();
    users.retain(|user| &*user.role_id == "2");
    let file = file(&place, &users);
    place.usher(&words("run", &file, &["--yes"])).code(1);
    let run = place.newest_run();
    assert_eq!(place.status(&run)["outcomes"], json!({"applied": 10, "rejected": 5}));
    for user in users.iter().filter(|user| user.trouble == Trouble::UpcomingEvent) {
        place
            .sim
            .update_user(&user.email, UserChange { trouble: Some(Trouble::None), ..UserChange::default() });
    }
    place.usher(&["retry", &run, "--outcome", "applied", "--yes"]).code(2).says("as wished");
    place.usher(&["retry", &run, "--code", "9999", "--yes"]).code(2).says("9999");
    place.usher(&["retry", &run, "--code", "300"]).code(3).says("3 users").says("--yes");
    place.usher(&["retry", &run, "--code", "300", "--yes"]).code(1);
    assert_eq!(place.newest_run(), run, "it is the same run");
    assert_eq!(place.status(&run)["outcomes"], json!({"applied": 13, "rejected": 2}));
    assert_eq!(place.sim.report().changes.len(), 13, "nobody was changed twice");
}

#[test]
fn a_run_that_is_made_urgent_comes_first() {
    let mut settings = directory(300);
    settings.limits.light = Some(30);
    let place = Workplace::with_config(Kind::Redis, settings, "light = 30");
    let users = place.ordinary();
    let submit = |name: &str, users: &[_]| {
        let file = place.csv(name, users);
        let words = words("submit", file.to_str().unwrap(), &["--yes", "--priority", "bulk"]);
        place.usher(&words).succeeded().out.trim().to_owned()
    };
    let first = submit("first.csv", &users[..270]);
    let second = submit("second.csv", &users[270..]);
    let _worker = worker(&place);
    place.wait_for_changes(20);
    place.usher(&["priority", &second, "urgent"]).succeeded().says("was bulk");
    place.usher(&["status", &second, "--watch"]).succeeded();
    assert_ne!(place.status(&first)["state"], "finished");
    place.usher(&["priority", &second, "bulk"]).code(2);
}

#[test]
fn only_runs_that_ended_long_ago_are_forgotten_and_the_audit_stays() {
    let place = Workplace::new(Kind::Sqlite, directory(3));
    let file = file(&place, &place.ordinary());
    place.usher(&words("run", &file, &["--yes"])).succeeded();
    place.usher(&["prune", "--older-than", "1h", "--yes"]).succeeded().says("No run ended");
    let run = place.newest_run();
    let store = rusqlite::Connection::open(place.path("data/usher.db")).unwrap();
    store.execute("UPDATE runs SET finished_at = finished_at - 7200000", []).unwrap();
    drop(store);
    place.usher(&["prune", "--older-than", "1h"]).code(3).says("1 run with 3 users");
    place.usher(&["prune", "--older-than", "1h", "--yes"]).succeeded().says("Forgot 1 run");
    assert_eq!(place.usher(&["runs", "--json"]).succeeded().json(), json!([]));
    place.usher(&["audit", "list"]).succeeded().says(&run).says("pruned");
}

//! `usher run`: from the file to the report in one process, on both stores.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use support::{Kind, Workplace, is_private};
use usher_simulator::zoom::{Population, Settings, Status, Trouble};

fn troubled() -> Settings {
    Settings {
        directory: Population {
            users: 40,
            admins: 3,
            pending: 2,
            upcoming_event: 2,
            force_locked: 1,
            already_inactive: 4,
            ..Population::default()
        },
        ..Settings::default()
    }
}

fn a_file_of_leavers_is_offboarded_and_every_user_has_one_outcome(kind: Kind) {
    let place = Workplace::new(kind, troubled());
    let before = place.sim.users();
    let users = before.iter().filter(|user| &*user.role_id != "0");
    let mut text = "\u{feff}Employee;E-Mail;Department\r\n".to_owned();
    for user in users {
        text += &format!("{};{};{}\r\n", user.first_name, user.email.to_uppercase(), user.dept);
    }
    text += "Nobody;nobody@corp.example;None\r\n";
    let file = place.file("leavers.csv", text);
    let file = file.to_str().unwrap();

    let words = ["run", file, "--account", "zoom-main", "--action", "deactivate", "--yes", "--verify"];
    let ended = place.usher(&words).code(1).says("already so").says("nobody@corp.example");
    assert!(!ended.err.contains("panicked"), "{}", ended.err);

    let run = place.newest_run();
    let status = place.status(&run);
    assert_eq!(status["state"], "finished");
    assert_eq!(
        status["outcomes"],
        json!({"applied": 40, "already_applied": 4, "not_found": 1, "protected": 3, "rejected": 5}),
        "{status}"
    );
    assert_eq!((status["total"].as_u64(), status["finished"].as_u64()), (Some(53), Some(53)));
    assert_eq!(place.outcomes(&run).len(), 53);
    place.assert_directory_agrees(&run);
    // Against the users as they were: everybody but those whom the outcomes name stands untouched.
    for before in &before {
        let after = place.sim.user(&before.email).unwrap();
        let expected = match before.trouble {
            Trouble::None | Trouble::AlreadyInactive => Status::Inactive,
            _ => before.status,
        };
        assert_eq!(after.status, expected, "{before:?}");
    }
    assert_eq!(place.sim.report().max_concurrent_per_user, 1);
    let report = place.path("data/reports").join(format!("{run}.csv"));
    assert!(is_private(&report));
    let header = std::fs::read_to_string(report).unwrap();
    assert!(header.starts_with(
        "line,user,action,outcome,code,message,attempts,first_attempt_at,last_attempt_at,worker\n"
    ));
}

#[test]
fn a_file_of_leavers_is_offboarded_on_sqlite() {
    a_file_of_leavers_is_offboarded_and_every_user_has_one_outcome(Kind::Sqlite);
}

#[test]
fn a_file_of_leavers_is_offboarded_on_redis() {
    a_file_of_leavers_is_offboarded_and_every_user_has_one_outcome(Kind::Redis);
}

fn one_user_by_id_and_by_address_is_one_job_and_an_id_does_not_slip_past_a_pattern(kind: Kind) {
    let place = Workplace::with_config(
        kind,
        troubled(),
        "protected = [\"boss*@corp.example\", \"*.vip@corp.example\"]",
    );
    let users = place.ordinary();
    let (twice, guarded) = (&users[0], &users[1]);
    // The pattern is written for this user's address; the file names the id.
    let config = std::fs::read_to_string(place.path("usher.toml")).unwrap();
    place.file("usher.toml", config.replace("boss*@corp.example", &guarded.email));
    let id = |user: &usher_simulator::zoom::SimUser| user.id.clone().unwrap();
    let file = place.file("both.txt", format!("{}\n{}\n{}\n", id(twice), twice.email, id(guarded)));
    let words = ["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    place.usher(&words).code(1).says("named twice");
    let run = place.newest_run();
    let status = place.status(&run);
    assert_eq!(status["outcomes"], json!({"applied": 1, "protected": 1}));
    assert_eq!((status["total"].as_u64(), status["duplicates"].as_u64()), (Some(2), Some(1)));
    assert_eq!(place.sim.user(&guarded.email).unwrap().status, Status::Active);
    assert_eq!(place.sim.report().changes.len(), 1);
}

#[test]
fn one_user_by_id_and_by_address_is_one_job_on_sqlite() {
    one_user_by_id_and_by_address_is_one_job_and_an_id_does_not_slip_past_a_pattern(Kind::Sqlite);
}

#[test]
fn one_user_by_id_and_by_address_is_one_job_on_redis() {
    one_user_by_id_and_by_address_is_one_job_and_an_id_does_not_slip_past_a_pattern(Kind::Redis);
}

#[test]
fn the_same_command_after_the_end_starts_a_new_run_and_says_so() {
    let place = Workplace::new(Kind::Sqlite, troubled());
    let file = place.csv("leavers.csv", &place.ordinary()[..3]);
    let words = ["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    place.usher(&words).succeeded();
    let first = place.newest_run();
    place.usher(&words).succeeded().says(&first).says("new run");
    let second = place.newest_run();
    assert_ne!(first, second);
    assert_eq!(place.status(&second)["outcomes"], json!({"already_applied": 3}));
}

#[test]
fn rows_may_decide_the_action_and_reactivation_works() {
    let place = Workplace::new(Kind::Sqlite, troubled());
    let users = place.ordinary();
    let inactive = place.sim.users().into_iter().find(|user| user.status == Status::Inactive).unwrap();
    let text = format!(
        "action,user_id,reason\ndeactivate,{},left\nReactivate,{},back\n",
        users[0].email, inactive.email
    );
    let file = place.file("mixed.csv", text);
    let words = ["run", file.to_str().unwrap(), "--account", "zoom-main", "--yes", "--verify", "--json"];
    let status = place.usher(&words).succeeded().json();
    assert_eq!((&status["action"], &status["state"]), (&json!("mixed"), &json!("finished")));
    assert_eq!(place.sim.user(&users[0].email).unwrap().status, Status::Inactive);
    assert_eq!(place.sim.user(&inactive.email).unwrap().status, Status::Active);
}

#[test]
fn beside_a_worker_on_the_embedded_store_run_follows_and_a_second_worker_is_refused() {
    let place = Workplace::new(Kind::Sqlite, troubled());
    let mut worker = place.start(&["worker"]);
    support::wait_until("the worker to take its seat", || place.path("data/usher.db.lock").exists());
    let file = place.csv("leavers.csv", &place.ordinary());
    let words = ["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    place.usher(&words).succeeded().says("following").says("40  applied");
    place.usher(&["worker"]).code(4).says("redis://");
    worker.signal("TERM");
    worker.end().succeeded();
}

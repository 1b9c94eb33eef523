//! A plan is what is then done, and who has changed since is left alone.

use serde_json::json;
use usher_simulator::zoom::{Status, UserChange};

use crate::{
    company::{BOTH, as_person, changing_calls, directory, file, person, plan, words, worker},
    support::{Kind, Workplace, wait_until},
};

#[test]
fn of_a_plan_that_was_approved_the_users_who_were_changed_by_hand_end_as_drifted_and_the_others_as_planned() {
    for kind in BOTH {
        let bob = person("bob");
        let approval = format!("[accounts.zoom-main.approval]\nsubmitter = \"anyone\"\n{}", bob.lines);
        let place = Workplace::with_config(kind, directory(120), &approval);
        let _worker = worker(&place);
        let users = place.ordinary();
        let planned = plan(&place, &users);
        let run = planned["run"].as_str().unwrap();
        assert_eq!(planned["counts"], json!({"change": 120}));
        assert_eq!(changing_calls(&place), 0, "planning changes nobody");
        as_person(&place, &bob, &["approve", run, "--yes"]).succeeded().says("still has to be applied");

        for (at, user) in users.iter().take(30).enumerate() {
            let change = match at % 3 {
                0 => UserChange { status: Some(Status::Inactive), ..UserChange::default() },
                1 => UserChange { role_id: Some("custom-7".into()), ..UserChange::default() },
                _ => UserChange { user_type: Some(3 - user.user_type), ..UserChange::default() },
            };
            place.sim.update_user(&user.email, change).unwrap();
        }
        place.usher(&["apply", run, "--yes", "--watch"]).code(1).says("drifted");
        let status = place.status(run);
        assert_eq!(status["outcomes"], json!({"applied": 90, "drifted": 30}), "{kind:?}: {status}");
        for (at, (user, outcome)) in place.outcomes(run).iter().enumerate() {
            assert_eq!(outcome, if at < 30 { "drifted" } else { "applied" }, "{user}");
        }
        assert_eq!(place.sim.report().changes.len(), 90);
        place.usher(&["apply", run, "--yes"]).code(2).says("plan again");
    }
}

#[test]
fn a_plan_says_what_becomes_of_each_user_and_waits_until_it_is_applied_or_forgotten() {
    let mut settings = directory(40);
    settings.directory.admins = 2;
    settings.directory.pending = 3;
    settings.directory.already_inactive = 4;
    let place = Workplace::with_config(Kind::Sqlite, settings, "protected = [\"group:vip\"]");
    let users = place.sim.users();
    let vip = place.ordinary()[0].email.clone();
    place.sim.update_user(&vip, UserChange { group_ids: Some(vec!["vip".into()]), ..UserChange::default() });
    let mut text = "email\n".to_owned();
    users.iter().for_each(|user| text += &format!("{}\n", user.email));
    text += "nobody@corp.example\n";
    let file = place.file("all.csv", text);
    let words = words("plan", file.to_str().unwrap(), &[]);
    let shown = place.usher(&words).succeeded();
    for said in [
        "39  to be changed: deactivate",
        "4  already as wished",
        "1  not found",
        "1  protected by a rule",
        "3  owner or admin: never changed",
        "3  invited and never signed in",
        "by the rule group:vip",
        "nobody@corp.example",
        "Licences that come free:",
        "of the account's 43 active users",
        "usher apply ",
    ] {
        assert!(shown.out.contains(said), "{said}\n{}", shown.out);
    }
    let run = place.newest_run();
    assert_eq!(place.status(&run)["state"], "planned");
    place.usher(&["status", &run]).succeeded().says("usher apply");
    place.usher(&["runs"]).succeeded().says("planned: usher apply");
    assert_eq!(changing_calls(&place), 0);
    // Nobody says yes.
    place.usher(&["apply", &run]).code(3).says("--yes");
    place.usher(&["cancel", &run, "--yes"]).succeeded();
    place.usher(&["apply", &run, "--yes"]).code(2).says("plan again");
    assert_eq!(changing_calls(&place), 0);
}

#[test]
fn a_dry_run_says_the_same_and_leaves_nothing_behind() {
    for kind in BOTH {
        let place = Workplace::new(kind, directory(25));
        let file = file(&place, &place.ordinary());
        std::fs::create_dir(place.path("tmp")).unwrap();
        for verb in ["run", "submit"] {
            let words = words(verb, &file, &["--dry-run"]);
            let mut command = place.command(&words);
            command.env("TMPDIR", place.path("tmp"));
            let ended = crate::support::Ended::run(command, &words).succeeded();
            ended.says("25  to be changed: deactivate").says("nothing is stored");
        }
        assert_eq!(std::fs::read_dir(place.path("tmp")).unwrap().count(), 0, "{kind:?}");
        assert_eq!(place.usher(&["runs", "--json"]).succeeded().json(), json!([]));
        assert_eq!(changing_calls(&place), 0);
    }
}

#[test]
fn a_plan_that_was_tampered_with_in_the_store_is_not_applied() {
    let place = Workplace::new(Kind::Sqlite, directory(5));
    let planned = plan(&place, &place.ordinary());
    let run = planned["run"].as_str().unwrap();
    let store = rusqlite::Connection::open(place.path("data/usher.db")).unwrap();
    let note: String = store.query_row("SELECT notes FROM runs", [], |row| row.get(0)).unwrap();
    let hash = planned["hash"].as_str().unwrap();
    assert!(note.contains(hash), "{note}");
    let another = hash.chars().rev().collect::<String>();
    store.execute("UPDATE runs SET notes = ?", [note.replace(hash, &another)]).unwrap();
    drop(store);
    place.usher(&["apply", run, "--yes"]).code(3).says("not what was planned");
    assert_eq!(changing_calls(&place), 0);
}

#[test]
fn a_run_whose_time_has_not_come_is_scheduled_and_begins_then() {
    let place = Workplace::new(Kind::Redis, directory(10));
    let file = file(&place, &place.ordinary());
    let begins = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let begins = begins.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let words = words("submit", &file, &["--yes", "--not-before", &begins]);
    let run = place.usher(&words).succeeded().says("does not begin before").out.trim().to_owned();
    let _worker = worker(&place);
    wait_until("the run to be scheduled", || place.status(&run)["state"] == "scheduled");
    assert_eq!(place.sim.report().changes.len(), 0);
    place.usher(&["status", &run, "--watch"]).succeeded();
    let first = place.status(&run)["first_attempt_at"].as_str().unwrap().to_owned();
    assert!(first >= begins.replace('Z', ".000Z"), "{first} {begins}");
}

#[test]
fn what_is_not_done_by_the_deadline_ends_as_expired_and_no_call_follows() {
    let mut settings = directory(200);
    settings.limits.light = Some(10);
    let place = Workplace::with_config(Kind::Redis, settings, "light = 10");
    let file = file(&place, &place.ordinary());
    let _worker = worker(&place);
    let deadline = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(6);
    let deadline = deadline.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let words = words("submit", &file, &["--yes", "--deadline", &deadline]);
    let run = place.usher(&words).succeeded().out.trim().to_owned();
    place.usher(&["status", &run, "--watch"]).code(1).says("deadline");
    let status = place.status(&run);
    assert_eq!(status["state"], "expired", "{status}");
    let applied = status["outcomes"]["applied"].as_u64().unwrap_or(0);
    assert_eq!(applied + status["outcomes"]["expired"].as_u64().unwrap(), 200);
    assert_eq!(place.sim.report().changes.len() as u64, applied);
    place.usher(&["retry", &run, "--yes"]).code(2).says("deadline").says("submit those users anew");
}

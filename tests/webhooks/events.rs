//! Each kind of event, from what really happened to what a receiver verified.

use std::fs;

use serde_json::json;
use usher_simulator::zoom::{Limits, Population, Settings};

use crate::{
    receiver::{BOTH, OLD_SECRET, directory, place, stop, submit, worker},
    support::{Kind, wait_until},
};

#[test]
fn a_run_that_ends_is_told_with_its_figures_and_who_may_still_sign_in() {
    for kind in BOTH {
        let population = Population { users: 6, upcoming_event: 25, ..Population::default() };
        let settings = Settings { directory: population, ..Settings::default() };
        let (place, receiver) = place(kind, settings, "");
        let mut users = place.sim.users();
        users.retain(|user| &*user.role_id == "2");
        let run = submit(&place, &users, &[]);
        let worker = worker(&place);
        let finished = receiver.one("run.finished").data;
        assert_eq!((&finished["run"], &finished["state"]), (&json!(run), &json!("finished")), "{finished}");
        assert_eq!(finished["outcomes"], json!({"applied": 6, "rejected": 25}));
        assert_eq!((&finished["total"], &finished["as_wished"]), (&json!(31), &json!(6)));
        let left = receiver.one("run.leavers_still_active").data;
        assert_eq!((&left["number"], left["users"].as_array().unwrap().len()), (&json!(25), 20));
        assert_eq!(
            (&left["users"][0]["outcome"], &left["users"][0]["code"]),
            (&json!("rejected"), &json!("300"))
        );
        assert!(left["rest"].as_str().unwrap().contains(&run));
        stop(worker);
        // Whoever starts next finds the same, and tells it to nobody again.
        let again = crate::receiver::worker(&place);
        let second = submit(&place, &users[..1], &[]);
        wait_until("the second run to be told", || receiver.taken("run.finished").len() == 2);
        assert_eq!(receiver.taken("run.finished")[1].data["run"], json!(second), "{kind:?}");
        assert!(receiver.times().values().all(|times| *times == 1), "{:?}", receiver.times());
        receiver.assert_verified();
        stop(again);
    }
}

#[test]
fn a_run_that_waits_for_an_approval_is_told_by_serve_too() {
    let cap = "[accounts.zoom-main.caps]\nusers_per_run = 3\n[accounts.zoom-main.approval]\n\
               required = \"over_cap\"\nsubmitter = \"anyone\"\n";
    let key = usher_shared::identity::PersonalToken::generate().unwrap().key().unwrap();
    let lines = format!("{cap}[tokens.bob]\nkey = \"{key}\"\nroles = [\"approve\"]\n");
    for kind in BOTH {
        let (place, receiver) = place(kind, directory(8), &lines);
        // The worker itself is not to tell: it has no endpoints.
        let config = fs::read_to_string(place.path("usher.toml")).unwrap();
        let without = config.split("[webhooks.").next().unwrap().to_owned();
        let silent = place.file("silent.toml", without);
        let _worker = place.start(&["--config", silent.to_str().unwrap(), "worker"]);
        let serve = place.start(&["serve", "--listen", "127.0.0.1:0"]);
        let run = submit(&place, &place.ordinary(), &[]);
        let held = receiver.one("run.held").data;
        assert_eq!(
            (&held["run"], &held["why"], &held["change"]),
            (&json!(run), &json!("over_run_cap"), &json!(8))
        );
        assert!(held["message"].as_str().unwrap().contains("usher approve"), "{held}");
        place.usher(&["cancel", &run, "--yes"]).succeeded();
        assert_eq!(receiver.one("run.finished").data["state"], "cancelled");
        assert_eq!(receiver.taken("run.leavers_still_active").len(), 0, "a person meant that");
        receiver.assert_verified();
        stop(serve);
    }
}

#[test]
fn an_account_without_its_scope_or_with_bad_credentials_is_told_and_so_is_that_it_goes_on() {
    for (kind, why) in [(Kind::Sqlite, "scope"), (Kind::Redis, "credentials")] {
        let (place, receiver) = place(kind, directory(12), "");
        let good = place.sim.settings().oauth;
        place
            .sim
            .change_settings(|settings| match why {
                "scope" => settings.oauth.scopes.retain(|scope| !scope.contains("status")),
                _ => settings.oauth.client_secret = "another".to_owned(),
            })
            .unwrap();
        let run = submit(&place, &place.ordinary(), &[]);
        let worker = worker(&place);
        let halted = receiver.one("account.halted").data;
        assert_eq!((&halted["account"], &halted["why"]), (&json!("zoom-main"), &json!(why)), "{halted}");
        assert_eq!((&halted["by_itself"], &halted["waiting_runs"]), (&json!(false), &json!(1)));
        assert!(halted["message"].as_str().unwrap().contains("usher "), "it says what to do: {halted}");
        place.sim.change_settings(|settings| settings.oauth = good).unwrap();
        place.sim.kill_tokens();
        // On one store it is still at work when it is believed that the account goes on, on the other it is long over.
        if kind == Kind::Redis {
            place.sim.change_settings(|settings| settings.limits.light = Some(1)).unwrap();
        }
        place.usher(&["resume", &run, "--detach"]).succeeded();
        let resumed = receiver.one("account.resumed").data;
        assert_eq!((&resumed["account"], &resumed["why"]), (&json!("zoom-main"), &json!(why)), "{resumed}");
        receiver.assert_verified();
        stop(worker);
    }
}

#[test]
fn a_vendor_that_fails_is_told_once_however_often_the_breaker_opens() {
    let (place, receiver) = place(Kind::Redis, directory(60), "");
    let run = submit(&place, &place.ordinary(), &[]);
    let workers = [worker(&place), worker(&place)];
    place.wait_for_changes(5);
    place.sim.change_settings(|settings| settings.faults.errors = 1.0).unwrap();
    let halted = receiver.one("account.halted").data;
    assert_eq!((&halted["why"], &halted["by_itself"]), (&json!("vendor_fails"), &json!(true)), "{halted}");
    // Several probes later.
    wait_until("probes that fail", || {
        place.status(&run)["hold"]["message"].as_str().is_some_and(|said| said.contains("still fails"))
    });
    place
        .sim
        .change_settings(|settings| {
            settings.faults.errors = 0.0;
            settings.limits.light = Some(2);
        })
        .unwrap();
    let resumed = receiver.one("account.resumed").data;
    assert_eq!(resumed["why"], "vendor_fails", "{resumed}");
    assert_eq!(receiver.taken("account.halted").len(), 1);
    receiver.assert_verified();
    for worker in workers {
        stop(worker);
    }
}

#[test]
fn a_run_that_is_parked_until_tomorrow_is_told() {
    let minute_of_the_day = jiff::Timestamp::now().as_second().rem_euclid(86_400) / 60;
    let tomorrow_is_near = minute_of_the_day >= 24 * 60 - 8;
    let limits = Limits { light_per_day: Some(15), ..Limits::default() };
    let (place, receiver) = place(Kind::Redis, Settings { limits, ..directory(40) }, "");
    let run = submit(&place, &place.ordinary(), &[]);
    let worker = worker(&place);
    if tomorrow_is_near {
        // It goes on by itself before anybody has read of it: no news.
        wait_until("the day's calls to be used up", || place.status(&run)["hold"]["reason"] == "quota");
        assert_eq!(receiver.taken("run.parked").len(), 0);
    } else {
        let parked = receiver.one("run.parked").data;
        assert_eq!((&parked["run"], &parked["total"]), (&json!(run), &json!(40)), "{parked}");
        assert_eq!(parked["until"], place.status(&run)["hold"]["until"]);
        assert!(parked["left"].as_u64().unwrap() >= 25);
        receiver.assert_verified();
    }
    assert_eq!(receiver.taken("account.halted").len(), 0, "nothing is wrong");
    stop(worker);
}

#[test]
fn a_deadline_that_is_near_is_told_and_so_is_whom_it_left() {
    for kind in BOTH {
        let (place, receiver) = place(kind, directory(5), "");
        let deadline = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(12);
        let run = submit(&place, &place.ordinary(), &["--deadline", &deadline.to_string()]);
        place.usher(&["pause", &run]).succeeded();
        let worker = worker(&place);
        let near = receiver.one("run.deadline_near").data;
        assert_eq!((&near["run"], &near["left"], &near["state"]), (&json!(run), &json!(5), &json!("paused")));
        assert_eq!(receiver.one("run.finished").data["state"], "expired");
        let left = receiver.one("run.leavers_still_active").data;
        assert_eq!((&left["number"], &left["users"][4]["outcome"]), (&json!(5), &json!("expired")), "{left}");
        receiver.assert_verified();
        stop(worker);
    }
}

#[test]
fn while_a_secret_is_changed_messages_are_signed_with_both_and_either_verifies() {
    let (place, receiver) = place(Kind::Sqlite, directory(1), "");
    let new = place.file("new-secret", fs::read_to_string(place.path("hook-secret")).unwrap());
    let old = place.file("old-secret", OLD_SECRET);
    place.configure(
        &format!("secret = {{ file = {:?} }}\nallow_private", place.path("hook-secret")),
        &format!("secret = {{ file = {new:?} }}\nprevious_secret = {{ file = {old:?} }}\nallow_private"),
    );
    place.usher(&["webhook", "test", "ops"]).succeeded();
    place.file("hook-secret", OLD_SECRET);
    place.usher(&["webhook", "test", "ops"]).succeeded();
    let got = receiver.got();
    assert_eq!(got.iter().map(|got| (got.verified, got.signatures)).collect::<Vec<_>>(), [(true, 2); 2]);
}

//! What people see: how fast it goes, why it waits and until when, how long it will take.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fmt::Write as _;

use serde_json::{Value, json};
use support::{Ended, Kind, Workplace, wait_until};
use usher_shared::QuotaWindow;
use usher_simulator::zoom::{Inject429, Limits, Population, RefusalKind, Settings};

const REFUSED: i32 = 3;

fn directory(users: u32, limits: Limits) -> Settings {
    Settings { directory: Population { users, ..Population::default() }, limits, ..Settings::default() }
}

/// One refusal, of the call with this number, that says so many seconds.
fn refusal(at: u64, wait_s: u64) -> Limits {
    let inject_429 = vec![Inject429 { kind: RefusalKind::Second, at, count: 1, wait_s: Some(wait_s) }];
    Limits { inject_429, ..Limits::default() }
}

fn submit(place: &Workplace) -> String {
    let file = place.csv("leavers.csv", &place.ordinary());
    let words =
        ["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    place.usher(&words).succeeded().out.trim().to_owned()
}

/// Waits until the run waits for this, first of all; answers the status that said so.
fn wait_for(place: &Workplace, run: &str, why: &str) -> Value {
    let mut status = Value::Null;
    wait_until(why, || {
        status = place.status(run);
        status["waiting"][0]["why"] == why
    });
    status
}

fn a_pause_after_a_refusal_is_shown_with_its_end_and_does_not_count_as_slow_work(kind: Kind) {
    let place = Workplace::new(kind, directory(300, refusal(100, 12)));
    let run = submit(&place);
    let _worker = place.start(&["worker", "--name", "one"]);

    let status = wait_for(&place, &run, "rate_limit");
    let label = &status["activity"]["labels"][0];
    assert_eq!(status["waiting"][0]["until"], label["paused_until"]);
    assert_eq!(status["activity"]["workers"], 1);
    assert_eq!((&label["label"], &label["plan"]), (&json!("light"), &json!(80.0)));
    // On a busy machine calls may bunch on their way, so that the planted refusal is not the only one.
    assert!(label["refusals"].as_u64().unwrap() >= 1, "{label}");
    let text = place.usher(&["status", &run]).succeeded();
    let text = text.says("Waiting: refused for the vendor's rate limit; goes on by itself in ");
    text.says("of the plan's 80 light calls/s").says("by 1 worker; refused ");

    let end = place.usher(&["status", &run, "--watch"]).succeeded();
    assert!(end.err.contains("waiting: refused for the vendor's rate limit"), "{}", end.err);
    assert!(end.err.contains("of 80 calls/s"), "{}", end.err);
    assert!(end.out.contains("/s while working ("), "{}", end.out);
    assert!(end.out.contains("after a refusal for the rate limit,"), "{}", end.out);
    let over = place.status(&run);
    assert_eq!((&over["activity"], &over["waiting"]), (&Value::Null, &json!([])));
    // Whoever looks later is not shown a worker that has nothing to do.
    let store = place.store();
    wait_until("the pulses to end", || place.block_on(store.pulses(&place.account())).unwrap().is_empty());
}

#[test]
fn a_pause_after_a_refusal_is_shown_on_sqlite() {
    a_pause_after_a_refusal_is_shown_with_its_end_and_does_not_count_as_slow_work(Kind::Sqlite);
}

#[test]
fn a_pause_after_a_refusal_is_shown_on_redis() {
    a_pause_after_a_refusal_is_shown_with_its_end_and_does_not_count_as_slow_work(Kind::Redis);
}

#[test]
fn run_itself_shows_the_same() {
    let place = Workplace::new(Kind::Sqlite, directory(120, refusal(40, 3)));
    let file = place.csv("leavers.csv", &place.ordinary());
    let words = ["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let ended = place.usher(&words).succeeded();
    assert!(ended.err.contains("At 80 calls/s this takes about 2 s."), "{}", ended.err);
    let waited = ended.err.lines().find(|line| line.contains("waiting: refused for the vendor's rate limit"));
    assert!(waited.is_some_and(|line| line.contains("goes on by itself in ")), "{}", ended.err);
    assert!(ended.out.contains("after a refusal for the rate limit,"), "{}", ended.out);
}

/// Uses this many of the day's light calls.
fn draw(place: &Workplace, calls: u64) {
    let (store, account) = (place.store(), place.account());
    let drawn = place.block_on(store.draw_quota(&account, "light", QuotaWindow::UtcDay, calls, 6_000));
    assert_eq!(drawn.unwrap().granted, calls);
}

/// Asks for so many users to be deactivated where nobody can say yes.
fn ask(place: &Workplace, users: u32, more: &[&str]) -> Ended {
    let mut text = "email\n".to_owned();
    (0..users).for_each(|n| writeln!(text, "leaver{n}@corp.example").unwrap());
    let file = place.file("many.csv", text);
    let mut words =
        vec!["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate"];
    words.extend(more);
    place.usher(&words).code(REFUSED)
}

fn submit_says_before_it_asks_how_many_days_a_run_will_take_and_needs_no_secret_for_it(kind: Kind) {
    let place = Workplace::new(kind, directory(1, Limits::default()));
    place.configure("plan = \"business\"", "plan = \"free\"");
    std::fs::remove_file(place.path("secret")).unwrap();
    // No words of time: at five to midnight these would be done tomorrow.
    ask(&place, 10, &[]).says("a day (0 used today, the last 120 are for urgent");

    draw(&place, 1_200);
    // Whatever the time of day: 4,680 calls at most are left today, and 5,880 tomorrow.
    let asked = ask(&place, 10_600, &[]);
    let asked = asked.says(
        "10,600 calls, and the plan allows 6,000 a day (1,200 used today, the last 120 are for urgent work): done on 20",
    );
    asked.says("the 3rd day.\n");
    // Urgent work may have them all.
    let urgent = ask(&place, 11_000, &["--priority", "urgent"]);
    urgent.says("a day (1,200 used today): done on 20").says("the 3rd day.\n");

    assert_eq!(place.usher(&["runs", "--json"]).succeeded().out.trim(), "[]");
}

#[test]
fn submit_says_how_many_days_a_run_will_take_on_sqlite() {
    submit_says_before_it_asks_how_many_days_a_run_will_take_and_needs_no_secret_for_it(Kind::Sqlite);
}

#[test]
fn submit_says_how_many_days_a_run_will_take_on_redis() {
    submit_says_before_it_asks_how_many_days_a_run_will_take_and_needs_no_secret_for_it(Kind::Redis);
}

fn where_no_worker_is_running_status_says_how_to_start_one(kind: Kind, cure: &str) {
    let place = Workplace::new(kind, directory(5, Limits::default()));
    let run = submit(&place);
    assert_eq!(place.status(&run)["waiting"][0]["why"], "no_worker");
    wait_until("the time to be over that a worker is given to show up", || {
        let message = place.status(&run)["waiting"][0]["message"].to_string();
        message.contains("no worker is running for zoom-main") && message.contains(cure)
    });
    place.usher(&["status"]).succeeded().says("Waiting: no worker is running");
    // A run that a person has paused waits for that person, and for nobody else.
    place.usher(&["pause", &run]).succeeded();
    let waiting = place.status(&run)["waiting"].clone();
    assert_eq!((waiting.as_array().unwrap().len(), &waiting[0]["why"]), (1, &json!("paused")), "{waiting}");
    place.usher(&["status", &run]).succeeded().says("Waiting: paused by a person; `usher resume");
}

#[test]
fn where_no_worker_is_running_status_says_how_to_start_one_on_sqlite() {
    where_no_worker_is_running_status_says_how_to_start_one(Kind::Sqlite, "`usher resume 20");
}

#[test]
fn where_no_worker_is_running_status_says_how_to_start_one_on_redis() {
    where_no_worker_is_running_status_says_how_to_start_one(
        Kind::Redis,
        "`usher worker --account zoom-main`",
    );
}

#[test]
fn a_day_that_the_vendor_says_is_used_up_is_told_with_its_end_and_resume_does_not_hide_it() {
    let limits = Limits { light_per_day: Some(15), ..Limits::default() };
    let place = Workplace::new(Kind::Redis, directory(60, limits));
    let run = submit(&place);
    let _worker = place.start(&["worker"]);
    let status = wait_for(&place, &run, "day_quota");
    assert_eq!(status["waiting"][0]["until"], status["hold"]["until"], "{status}");
    assert_eq!((&status["state"], &status["hold"]["reason"]), (&json!("halted"), &json!("quota")));
    let text = place.usher(&["status", &run]).succeeded();
    text.says("Waiting: the day's calls are used up; goes on by itself ");
    let resumed = place.usher(&["resume", &run, "--detach"]).succeeded();
    resumed.says("What a resume does not lift still stands: the day's calls are used up");
    assert_eq!(place.status(&run)["state"], "halted");
}

#[test]
fn bulk_work_parks_while_the_last_calls_of_a_day_are_kept_and_status_says_until_when() {
    let place = Workplace::with_config(Kind::Redis, directory(60, Limits::default()), "light = 80");
    place.configure("plan = \"business\"", "plan = \"free\"");
    draw(&place, 5_850);
    let run = submit(&place);
    let _worker = place.start(&["worker"]);
    let status = wait_for(&place, &run, "kept_for_urgent");
    let day = &status["activity"]["labels"][0]["day"];
    assert_eq!(json!([day["calls"], day["used"], day["kept_for_urgent"]]), json!([6_000, 5_880, 120]));
    assert_eq!(day["frees_at"], status["waiting"][0]["until"]);
    wait_until("what was begun to end", || place.status(&run)["finished"] == 30);
    assert_eq!(place.status(&run)["state"], "running");
    let text = place.usher(&["status", &run]).succeeded();
    let text = text
        .says("Waiting: of the day's 6,000 calls, the last 120 are kept for urgent work; goes on by itself ");
    text.says("Today: 5,880 of 6,000 calls (light), the last 120 for urgent work alone.");

    let file = place.csv("dismissed.csv", &place.ordinary()[50..51]);
    let words =
        ["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let urgent = place.usher(&[&words[..], &["--priority", "urgent"]].concat()).succeeded();
    place.usher(&["status", urgent.out.trim(), "--watch"]).succeeded();
}

#[test]
fn the_check_of_an_account_shows_what_is_used_of_its_day() {
    let place = Workplace::new(Kind::Sqlite, directory(3, Limits::default()));
    place.configure("plan = \"business\"", "plan = \"free\"");
    let check = ["accounts", "check"];
    place.usher(&check).succeeded().says("4 calls a second, 6,000 a day: 0 used today, the last 120 are");
    assert!(!place.path("data/usher.db").exists(), "looking makes no store");
    draw(&place, 42);
    place.usher(&check).succeeded().says("6,000 a day: 42 used today");
}

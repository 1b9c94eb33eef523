//! A Redis that is killed, that forgets, that stands still.

use std::{fs, path::PathBuf};

use usher_redis_server::Durability;
use usher_shared::{Outcome, Timestamp};

use crate::{
    chronicle::{What, now},
    scenario::{Scenario, vendor},
    support::{Kind, Layout, wait_until},
    watch::Watch,
};

fn lasting(users: u32, durability: Durability) -> Layout {
    Layout { durability, ..Layout::new(Kind::Redis, vendor(users)) }
}

#[test]
fn a_redis_killed_again_and_again_forgets_nothing_with_appendfsync_always() {
    let mut scenario = Scenario::new(
        "a_redis_killed_again_and_again_forgets_nothing_with_appendfsync_always",
        lasting(600, Durability::Always),
    );
    let fleet = scenario.fleet(2);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    for n in 1..=5 {
        watch.wait_for_finished(n * 80);
        scenario.pause(0..400);
        let away = scenario.chronicle.begin(What::StoreAway, None);
        scenario.redis().kill();
        scenario.pause(0..600);
        scenario.redis().start_again();
        scenario.chronicle.end(&away);
    }
    fleet.wait_for_words(0, "trying again");
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!((ended.findings.of(Outcome::Applied), ended.findings.calls_let_in()), (600, 600));
    assert_eq!((ended.seen.forgotten, ended.findings.lost), (0, 0));
}

#[test]
fn a_redis_that_forgot_its_last_second_has_those_jobs_run_again() {
    let mut scenario = Scenario::new(
        "a_redis_that_forgot_its_last_second_has_those_jobs_run_again",
        lasting(500, Durability::EverySecond),
    );
    let fleet = scenario.fleet(2);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    for n in 1..=2 {
        watch.wait_for_finished(n * 130);
        // What a crash of the machine takes: all that was not flushed. A killed process alone loses nothing that it wrote.
        let file = append_only_file(&scenario);
        let kept = fs::metadata(&file).unwrap().len();
        let forgot = scenario.chronicle.begun_at(What::StoreForgot, None, unwritten_since());
        scenario.pause(700..1000);
        scenario.redis().kill();
        assert!(fs::metadata(&file).unwrap().len() > kept, "nothing was written meanwhile");
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(kept).unwrap();
        scenario.redis().start_again();
        scenario.chronicle.end(&forgot);
    }
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 500);
    assert!(ended.seen.forgotten > 0 && ended.findings.forgotten_calls > 0, "nothing was forgotten");
}

/// With everysec a Redis puts a write off while a flush is under way, by up to two seconds: so long ago it may have answered
/// what it has not written now.
fn unwritten_since() -> Timestamp {
    Timestamp::from_millis(now().as_millis() - 2000)
}

/// The file that Redis 7 appends to.
fn append_only_file(scenario: &Scenario) -> PathBuf {
    let dir = scenario.place.redis.as_ref().unwrap().dir().join("appendonlydir");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max().expect("it appends to a file")
}

#[test]
fn a_redis_killed_with_appendfsync_everysec_loses_nothing_that_it_wrote() {
    let mut scenario = Scenario::new(
        "a_redis_killed_with_appendfsync_everysec_loses_nothing_that_it_wrote",
        lasting(300, Durability::EverySecond),
    );
    let fleet = scenario.fleet(2);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    for n in 1..=3 {
        watch.wait_for_finished(n * 60);
        let forgot = scenario.chronicle.begun_at(What::StoreForgot, None, unwritten_since());
        scenario.redis().restart();
        scenario.chronicle.end(&forgot);
    }
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 300);
}

#[test]
fn a_redis_that_stands_still_for_ten_seconds_is_waited_for() {
    let mut scenario = Scenario::new(
        "a_redis_that_stands_still_for_ten_seconds_is_waited_for",
        lasting(300, Durability::Always),
    );
    let fleet = scenario.fleet(2);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(80);
    let away = scenario.chronicle.begin(What::StoreAway, None);
    scenario.redis().signal("STOP");
    scenario.pause(10_000..10_001);
    let calls = scenario.place.sim.journal().len();
    scenario.redis().signal("CONT");
    scenario.chronicle.end(&away);
    wait_until("calls to go on", || scenario.place.sim.journal().len() > calls + 20);
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!((ended.findings.of(Outcome::Applied), ended.findings.calls_let_in()), (300, 300));
    assert_eq!((ended.seen.forgotten, ended.findings.lost), (0, 0), "ten seconds are less than a lease");
}

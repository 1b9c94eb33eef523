//! Workers that are killed, that stand still, that are asked to end.

use std::{ops::Range, time::Duration};

use usher_shared::{Outcome, Timestamp};
use usher_simulator::{faults::MsRange, zoom::Settings};

use crate::{
    chronicle::now,
    scenario::{SHORT_LEASE_MS, Scenario, short_leases, vendor},
    support::{Kind, Layout, wait_until},
    watch::Watch,
};

/// How many users, workers and kills.
struct Scale {
    users: u32,
    workers: usize,
    kills: u64,
    /// Milliseconds between two kills.
    apart: Range<u64>,
}

const SHORT: Scale = Scale { users: 400, workers: 3, kills: 15, apart: 50..500 };
/// `tests/chaos --long`
const LONG: Scale = Scale { users: 5000, workers: 4, kills: 200, apart: 100..500 };

/// Deactivates so many users while workers are killed; returns how long it took from the first call to the last outcome.
fn killed_at_random(scale: &Scale) -> Duration {
    const NAME: &str = "random_kills_lose_nobody_and_poison_nobody";
    let mut scenario = Scenario::new(NAME, Layout::new(Kind::Redis, vendor(scale.users)));
    let mut fleet = scenario.fleet(scale.workers);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(10);
    for _ in 0..scale.kills {
        let victim = scenario.seed.place(fleet.len());
        fleet.kill(victim);
        scenario.pause(scale.apart.clone());
    }
    let left = scale.users as u64 - watch.status().unwrap().counters.finished;
    let ended = scenario.to_its_end(&run, fleet, watch);
    eprintln!("{} kills, the last with {left} users to go", scale.kills);
    assert_eq!(ended.findings.of(Outcome::Applied), u64::from(scale.users), "nobody else, nobody poisoned");
    assert_eq!(ended.seen.forgotten, 0);
    ended.took()
}

#[test]
fn random_kills_lose_nobody_and_poison_nobody() {
    if std::env::var_os("USHER_FAULT_LONG").is_none() {
        killed_at_random(&SHORT);
        return;
    }
    let disturbed = killed_at_random(&LONG);
    let undisturbed = killed_at_random(&Scale { kills: 0, ..LONG });
    let times = disturbed.as_secs_f64() / undisturbed.as_secs_f64();
    eprintln!("{disturbed:?} with kills, {undisturbed:?} without: {times:.2} times");
}

#[test]
fn random_kills_on_the_embedded_store_lose_nobody_and_its_next_holder_goes_on_at_once() {
    let mut scenario = Scenario::new(
        "random_kills_on_the_embedded_store_lose_nobody_and_its_next_holder_goes_on_at_once",
        Layout::new(Kind::Sqlite, vendor(400)),
    );
    let mut fleet = scenario.fleet(1);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    for n in 1..=10 {
        watch.wait_for_finished(n * 30);
        scenario.pause(0..200);
        fleet.kill(0);
    }
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 400);
    assert_eq!(ended.seen.forgotten, 0);
    assert!(ended.findings.until_again < Duration::from_secs(5), "nobody waits for a lease to lapse");
}

#[test]
fn a_worker_that_stood_still_past_its_lease_writes_nothing_and_starts_no_call_under_it() {
    let mut scenario = Scenario::new(
        "a_worker_that_stood_still_past_its_lease_writes_nothing_and_starts_no_call_under_it",
        short_leases(vendor(1200)),
    );
    let mut fleet = scenario.fleet(2);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(60);
    wait_until("that worker to work, too", || {
        scenario.has_worked_since(&run, "w1", Timestamp::from_millis(0))
    });
    // Calls that take long, so that the worker is sure to hold some when it is stopped.
    let slow = |settings: &mut Settings| settings.faults.latency_ms = MsRange::new(300, 400);
    scenario.place.sim.change_settings(slow).unwrap();
    scenario.pause(200..500);
    fleet.stop(0);
    let quick = |settings: &mut Settings| settings.faults.latency_ms = MsRange::new(20, 80);
    scenario.place.sim.change_settings(quick).unwrap();
    scenario.pause(SHORT_LEASE_MS + 1000..SHORT_LEASE_MS + 2000);
    assert!(!watch.status().unwrap().phase.is_over(), "the run is over before the worker goes on");
    fleet.go_on(0);
    let went_on = now();
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 1200);
    // By the audit each of their calls was seen before the lapse: one that began after it would be nobody's.
    assert!(ended.findings.lost > 0, "the worker held nothing when it was stopped: nothing is proven");
    let back = scenario.has_worked_since(&run, "w1", went_on);
    assert!(back, "it works again");
}

#[test]
fn a_worker_that_is_asked_to_end_finishes_what_is_in_flight_and_loses_nothing() {
    let mut scenario = Scenario::new(
        "a_worker_that_is_asked_to_end_finishes_what_is_in_flight_and_loses_nothing",
        Layout::new(Kind::Redis, vendor(500)),
    );
    let mut fleet = scenario.fleet(3);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    for (place, finished) in [(0, 60), (1, 160), (0, 260)] {
        watch.wait_for_finished(finished);
        scenario.pause(0..200);
        fleet.ask_to_end(place);
        let status = fleet.ended(place);
        assert!(status.success(), "it ends with {status}\n{}", fleet.log(place));
        fleet.start_again(place);
    }
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(
        (ended.findings.of(Outcome::Applied), ended.findings.calls_let_in()),
        (500, 500),
        "one call a user"
    );
    assert_eq!(ended.findings.lost, 0);
}

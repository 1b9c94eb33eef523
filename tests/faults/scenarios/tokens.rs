//! Tokens that end early, are killed, and are fetched by a worker that dies; a secret that is changed in the middle of a run.

use std::{
    fs,
    time::{Duration, Instant},
};

use usher_shared::{HoldReason, Outcome};

use crate::{
    audit::CHANGE,
    scenario::{Scenario, vendor},
    support::{Kind, Layout, wait_until},
    watch::Watch,
};

#[test]
fn tokens_that_are_killed_again_and_again_fail_nobody() {
    let mut settings = vendor(600);
    settings.oauth.one_live_token = true;
    settings.oauth.expires_in = 6;
    let name = "tokens_that_are_killed_again_and_again_fail_nobody";
    let mut scenario = Scenario::new(name, Layout::new(Kind::Redis, settings));
    let fleet = scenario.fleet(3);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    let mut killed = 0;
    for part in 1..=6 {
        watch.wait_for_finished(part * 80);
        killed += scenario.place.sim.kill_tokens();
        // One that is killed as soon as it is there, too.
        std::thread::park_timeout(Duration::from_millis(scenario.seed.within(0..150)));
        killed += scenario.place.sim.kill_tokens();
    }
    let ended = scenario.to_its_end(&run, fleet, watch);
    let report = scenario.place.sim.report();
    eprintln!("{killed} killed, {} issued, {} refused", report.tokens_issued, report.calls_with(CHANGE, 401));
    assert_eq!(ended.findings.of(Outcome::Applied), 600, "{}", ended.findings);
    assert!(killed >= 6 && report.calls_with(CHANGE, 401) > 0, "no token was killed while it was used");
    // Each kill and each end costs one fetch, and not one a worker or a call.
    assert!(report.tokens_issued <= killed + 12, "{} tokens for {killed} kills", report.tokens_issued);
}

#[test]
fn a_worker_killed_while_it_fetches_a_token_holds_nobody_up_for_long_on_redis() {
    let name = "a_worker_killed_while_it_fetches_a_token_holds_nobody_up_for_long_on_redis";
    // Its claim ends by itself, after half a call's timeout of 10 s.
    killed_in_its_fetch(Kind::Redis, name, Duration::from_secs(8));
}

#[test]
fn a_worker_killed_while_it_fetches_a_token_holds_nobody_up_on_sqlite() {
    let name = "a_worker_killed_while_it_fetches_a_token_holds_nobody_up_on_sqlite";
    // Whoever takes the seat knows that nobody fetches any more.
    killed_in_its_fetch(Kind::Sqlite, name, Duration::from_millis(3_500));
}

fn killed_in_its_fetch(kind: Kind, name: &'static str, at_most: Duration) {
    let mut settings = vendor(40);
    settings.faults.on_tokens = true;
    settings.faults.hangs = 1.0;
    let scenario = Scenario::new(name, Layout::new(kind, settings));
    let mut fleet = scenario.fleet(1);
    let run = scenario.deactivate(&scenario.place.ordinary());
    wait_until("the fetch of a token", || scenario.place.sim.report().calls_of("POST /oauth/token") > 0);
    let watch = Watch::start(&scenario.place, &run);
    scenario.place.sim.change_settings(|settings| settings.faults.hangs = 0.0).unwrap();
    fleet.kill(0);
    let killed = Instant::now();
    scenario.place.wait_for_changes(1);
    let held_up = killed.elapsed();
    eprintln!("{kind:?}: the first change {held_up:?} after the kill");
    assert!(held_up < at_most, "{held_up:?}");
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 40, "{}", ended.findings);
}

#[test]
fn a_secret_that_is_changed_in_the_middle_holds_the_account_and_fails_nobody() {
    let name = "a_secret_that_is_changed_in_the_middle_holds_the_account_and_fails_nobody";
    let mut scenario = Scenario::new(name, Layout::new(Kind::Redis, vendor(400)));
    let mut fleet = scenario.fleet(2);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(scenario.seed.within(40..150));
    let new_secret =
        |settings: &mut usher_simulator::zoom::Settings| settings.oauth.client_secret = "rotated".to_owned();
    scenario.place.sim.change_settings(new_secret).unwrap();
    scenario.place.sim.kill_tokens();
    let held = watch.wait_for("the hold", |status| {
        status.hold.as_ref().is_some_and(|hold| hold.reason == HoldReason::Credentials)
    });
    let message = held.hold.unwrap().message;
    assert!(message.contains("usher accounts check") && message.contains("usher resume"), "{message}");
    watch.wait_for("calls in flight to end", |status| status.counters.leased == 0);
    let status = watch.status().unwrap();
    assert_eq!(status.counters.of(Outcome::Applied), status.counters.finished, "{status:?}");
    // A person corrects it: the file, the workers, the hold.
    fs::write(scenario.place.path("secret"), "rotated\n").unwrap();
    for place in 0..fleet.len() {
        fleet.ask_to_end(place);
        assert!(fleet.ended(place).success());
        fleet.start_again(place);
    }
    fleet.wait_until_ready();
    scenario.place.usher(&["resume", run.as_str(), "--detach"]).succeeded();
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 400, "{}", ended.findings);
}

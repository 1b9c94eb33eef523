//! The embedded store's disk: full, and read-only.

use std::{fs, path::PathBuf, time::Duration};

use usher_shared::{Outcome, Verdict};

use crate::{
    chronicle::What,
    scenario::{Scenario, vendor},
    support::{Kind, Layout, wait_until},
    volume::with_volume,
    watch::Watch,
};

/// Leases that lapse within the time that a disk stays full.
const SHORT_LEASES: &str = "[worker]\ncall_timeout_seconds = 2\nlease_seconds = 3.5";

fn scenario(name: &'static str, users: u32) -> (Scenario, PathBuf) {
    let account_lines = SHORT_LEASES.to_owned();
    let scenario = Scenario::new(name, Layout { account_lines, ..Layout::new(Kind::Sqlite, vendor(users)) });
    let data = scenario.place.path("data");
    (scenario, data)
}

#[test]
fn a_disk_that_is_full_for_a_while_loses_nobody() {
    let name = "scenarios::disk::a_disk_that_is_full_for_a_while_loses_nobody";
    with_volume(
        name,
        "64m",
        || scenario(name, 500),
        |mut scenario, volume| {
            let fleet = scenario.fleet(1);
            let run = scenario.deactivate(&scenario.place.ordinary());
            let watch = Watch::start(&scenario.place, &run);
            // Once shorter than the leases last, once longer.
            for full_for in [1_000, 5_000] {
                let done = watch.status().map_or(0, |status| status.counters.finished);
                watch.wait_for_finished(done + scenario.seed.within(20..120));
                let away = scenario.chronicle.begin(What::StoreAway, None);
                volume.fill();
                let full = std::time::Instant::now();
                fleet.wait_for_words(0, "the disk is full; make room");
                // The log's last block may still take a few commits: fill up behind it.
                while full.elapsed() < Duration::from_millis(full_for) {
                    volume.fill();
                    std::thread::park_timeout(Duration::from_millis(100));
                }
                assert!(
                    !watch.status().unwrap().phase.is_over(),
                    "nothing was left to do: the disk filled up too late"
                );
                volume.make_room();
                scenario.chronicle.end(&away);
            }
            let ended = scenario.to_its_end(&run, fleet, watch);
            assert_eq!(ended.findings.of(Outcome::Applied), 500);
            assert!(ended.findings.lost > 0, "no lease lapsed while the disk was full");
            assert_eq!(ended.seen.unanswered, 0, "a full disk keeps nobody from reading");
        },
    );
}

#[test]
fn a_disk_that_is_full_from_the_start_is_told_by_its_file_and_leaves_no_run_behind() {
    let name =
        "scenarios::disk::a_disk_that_is_full_from_the_start_is_told_by_its_file_and_leaves_no_run_behind";
    with_volume(
        name,
        "64m",
        || scenario(name, 300),
        |scenario, volume| {
            let file = scenario.place.csv("leavers.csv", &scenario.place.ordinary());
            let words =
                ["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
            volume.fill();
            let database = scenario.place.path("data/usher.db");
            let refused = scenario.place.usher(&words).code(5).says("disk is full; make room");
            assert!(refused.err.contains(database.to_str().unwrap()), "{}", refused.err);
            assert!(!refused.err.contains("panicked"), "{}", refused.err);
            assert_eq!(scenario.place.sim.report().changes.len(), 0);
            volume.make_room();
            let run = scenario.place.usher(&words).succeeded();
            assert!(!run.err.contains("unfinished"), "{}", run.err);
            assert_eq!(
                scenario.place.usher(&["runs", "--json"]).succeeded().json().as_array().unwrap().len(),
                1
            );
        },
    );
}

#[test]
fn a_read_only_file_system_is_told_by_its_file_and_its_cure() {
    let name = "scenarios::disk::a_read_only_file_system_is_told_by_its_file_and_its_cure";
    with_volume(
        name,
        "64m",
        || scenario(name, 20),
        |scenario, volume| {
            let users = scenario.place.ordinary();
            let file = scenario.place.csv("leavers.csv", &users);
            let words =
                ["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
            let database = scenario.place.path("data/usher.db");
            for there_is_a_store in [false, true] {
                volume.read_only(true);
                let refused = scenario.place.usher(&words).code(5);
                volume.read_only(false);
                assert!(
                    refused.err.contains(database.to_str().unwrap()),
                    "{there_is_a_store}: {}",
                    refused.err
                );
                assert!(refused.err.contains("read-only"), "{there_is_a_store}: {}", refused.err);
                assert!(!refused.err.contains("panicked"), "{}", refused.err);
                scenario.place.usher(&words).succeeded();
            }
            assert!(fs::metadata(&database).is_ok());
            let run = scenario.place.newest_run();
            assert_eq!(scenario.place.outcomes(&run).len(), 20);
        },
    );
}

/// What `already there` means after the disk was full in the middle of an attempt: that was us.
#[test]
fn an_attempt_whose_outcome_found_no_room_is_applied_and_not_already_there() {
    let name = "scenarios::disk::an_attempt_whose_outcome_found_no_room_is_applied_and_not_already_there";
    with_volume(
        name,
        "64m",
        || scenario(name, 30),
        |scenario, volume| {
            // Long calls, so that the disk is full before any of them ends.
            scenario
                .place
                .sim
                .change_settings(|settings| settings.faults.latency_ms = "1500".parse().unwrap())
                .unwrap();
            let fleet = scenario.fleet(1);
            let run = scenario.deactivate(&scenario.place.ordinary());
            let watch = Watch::start(&scenario.place, &run);
            watch.wait_for("all jobs in flight", |status| status.counters.leased >= 20);
            let away = scenario.chronicle.begin(What::StoreAway, None);
            volume.fill();
            scenario.place.wait_for_changes(20);
            let given_up = |log: String| {
                log.matches("the outcome could not be recorded").count() + log.matches("or lapsed").count()
            };
            wait_until("twenty outcomes to be given up", || given_up(fleet.log(0)) >= 20);
            volume.make_room();
            scenario.chronicle.end(&away);
            scenario
                .place
                .sim
                .change_settings(|settings| settings.faults.latency_ms = "20".parse().unwrap())
                .unwrap();
            let ended = scenario.to_its_end(&run, fleet, watch);
            assert_eq!(ended.findings.of(Outcome::Applied), 30);
            assert!(ended.findings.lost >= 20, "{}", ended.findings);
            let store = scenario.place.store();
            let attempts = scenario.place.block_on(store.attempts(&run, 0)).unwrap();
            let verdicts: Vec<Verdict> = attempts.iter().map(|attempt| attempt.verdict).collect();
            assert_eq!(verdicts.first(), Some(&Verdict::Lost), "{attempts:#?}");
        },
    );
}

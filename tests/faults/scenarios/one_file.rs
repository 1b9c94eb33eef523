//! The embedded store's one file under `usher run`: two at once, killed again and again, cut off in the middle of a submit,
//! and taken up from a copy.

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

use usher_shared::{ManualClock, Outcome, RunId, Timestamp, store::Store, store::sqlite::SqliteStore};

use crate::{
    audit,
    chronicle::{What, now},
    scenario::{Scenario, vendor},
    support::{Kind, Layout, Running, wait_until},
    watch::Watch,
};

fn scenario(name: &'static str, users: u32) -> Scenario {
    Scenario::new(name, Layout::new(Kind::Sqlite, vendor(users)))
}

fn run_words(file: &str) -> Vec<&str> {
    vec!["run", file, "--account", "zoom-main", "--action", "deactivate", "--yes"]
}

/// The ids of all runs, the oldest first.
fn runs(scenario: &Scenario) -> Vec<RunId> {
    let runs = scenario.place.usher(&["runs", "--json"]).succeeded().json();
    runs.as_array().unwrap().iter().rev().map(|run| run["run"].as_str().unwrap().parse().unwrap()).collect()
}

/// How often each user was changed.
fn most_changes_of_a_user(scenario: &Scenario) -> usize {
    let report = scenario.place.sim.report();
    report
        .changes_by_user()
        .values()
        .map(|changes| changes.iter().filter(|change| change.changed).count())
        .max()
        .unwrap()
}

#[test]
fn two_runs_of_the_same_file_at_once_are_one_run_that_one_works_and_the_other_follows() {
    let scenario =
        scenario("two_runs_of_the_same_file_at_once_are_one_run_that_one_works_and_the_other_follows", 300);
    let file = scenario.place.csv("leavers.csv", &scenario.place.ordinary());
    let words = run_words(file.to_str().unwrap());
    let both: Vec<Running> = (0..2).map(|_| scenario.place.start(&words)).collect();
    let ended: Vec<_> = both.into_iter().map(|running| running.end().code(0)).collect();
    let all_said: String = ended.iter().map(|ended| ended.err.as_str()).collect();
    assert!(all_said.contains("following"), "{all_said}");
    assert!(all_said.contains("going on with it"), "{all_said}");
    let runs = runs(&scenario);
    assert_eq!(runs.len(), 1);
    let findings = audit::audit(&scenario, &runs);
    assert_eq!((findings.of(Outcome::Applied), findings.calls_let_in(), findings.lost), (300, 300, 0));
}

#[test]
fn two_runs_of_files_that_overlap_change_each_user_once() {
    let scenario = scenario("two_runs_of_files_that_overlap_change_each_user_once", 300);
    let users = scenario.place.ordinary();
    let files = [&users[..200], &users[100..]]
        .map(|part| scenario.place.csv(&format!("{}.csv", part[0].email), part).to_str().unwrap().to_owned());
    let both: Vec<Running> = files.iter().map(|file| scenario.place.start(&run_words(file))).collect();
    for running in both {
        let ended = running.end();
        assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
        assert!(!ended.err.contains("panicked"), "{ended:?}");
    }
    let runs = runs(&scenario);
    assert_eq!(runs.len(), 2);
    let findings = audit::audit(&scenario, &runs);
    assert_eq!(findings.lost, 0, "{findings}");
    assert_eq!(most_changes_of_a_user(&scenario), 1);
    assert_eq!(findings.of(Outcome::Applied), 300, "{findings}");
    for user in users {
        assert_eq!(
            scenario.place.sim.user(&user.email).unwrap().status,
            usher_simulator::zoom::Status::Inactive
        );
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_one_outcome_each() {
    let mut scenario = scenario("a_run_that_is_killed_again_and_again_ends_with_one_outcome_each", 600);
    let file = scenario.place.csv("leavers.csv", &scenario.place.ordinary());
    let words = run_words(file.to_str().unwrap());
    let mut kills = 0;
    let mut watch = None;
    let ended = loop {
        let mut running = scenario.place.start(&words);
        // In turns: at any moment since its start, when it opens its store, reads its file, resolves; and in the middle of calls.
        let until = Instant::now() + Duration::from_millis(scenario.seed.within(1..900));
        let changes = scenario.place.sim.report().changes.len() + scenario.seed.within(1..50) as usize;
        let goes_on = |kills: u32| match kills {
            20.. => true,
            _ if kills.is_multiple_of(2) => Instant::now() < until,
            _ => scenario.place.sim.report().changes.len() < changes,
        };
        while goes_on(kills) && !running.has_ended() {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        if running.has_ended() {
            break running.end();
        }
        let killed = scenario.chronicle.begin(What::Killed, None);
        running.kill();
        scenario.chronicle.end(&killed);
        kills += 1;
        if watch.is_none()
            && scenario.place.path("data/usher.db").exists()
            && let Some(run) = runs(&scenario).first()
        {
            watch = Some(Watch::start(&scenario.place, run));
        }
    };
    ended.code(0);
    watch.expect("it was killed in the middle").end();
    let runs = runs(&scenario);
    assert_eq!(runs.len(), 1, "the same content is the same run, and what was never sealed is nobody's");
    let findings = audit::audit(&scenario, &runs);
    eprintln!("{kills} kills; {findings}");
    assert!(kills >= 8, "only {kills} kills");
    assert!(findings.lost > 0, "no kill hit anything");
    assert_eq!(findings.of(Outcome::Applied), 600, "{findings}");
}

#[test]
fn a_submit_that_is_killed_leaves_nothing_that_anybody_sees_and_expires() {
    let mut scenario = scenario("a_submit_that_is_killed_leaves_nothing_that_anybody_sees_and_expires", 50);
    // Long enough to be killed anywhere in it; nobody of them is in the directory.
    let rows: String = (0..120_000).map(|n| format!("leaver-{n}@corp.example\n")).collect();
    let file = scenario.place.file("many.txt", rows);
    let words: Vec<&str> = [&["submit"], &run_words(file.to_str().unwrap())[1..]].concat();
    let database = scenario.place.path("data/usher.db");
    let mut in_the_middle = 0;
    for _ in 0..6 {
        let mut running = scenario.place.start(&words);
        wait_until("the store to be there", || database.exists());
        std::thread::park_timeout(Duration::from_millis(scenario.seed.within(20..400)));
        in_the_middle += u32::from(!running.has_ended());
        running.kill();
        let seen = runs(&scenario);
        if !seen.is_empty() {
            // It was through: then it is whole.
            let store = scenario.place.store();
            let status = scenario.place.block_on(store.run(&seen[0])).unwrap().unwrap();
            assert_eq!(status.counters.total, 120_000);
            return;
        }
    }
    assert!(in_the_middle > 0, "it was never in the middle");
    // What is in the way of nobody is gone after a day.
    let later = ManualClock::new(now().after(Duration::from_secs(3 * 24 * 3600)));
    let store = SqliteStore::open(&database, std::sync::Arc::new(later)).unwrap();
    let expired = scenario.place.block_on(store.expire_open_runs()).unwrap();
    eprintln!("{in_the_middle} killed in the middle, {expired} open runs expired");
    assert!(expired > 0);
    assert_eq!(scenario.place.block_on(store.expire_open_runs()).unwrap(), 0);
    assert!(scenario.place.block_on(store.runs(None, 10)).unwrap().is_empty());
}

/// As after a power cut: the process is gone at one moment, and what is left is the file and its log, with a torn frame at
/// the log's end.
#[test]
fn the_file_and_its_log_as_they_were_at_any_moment_are_gone_on_from() {
    let mut scenario = scenario("the_file_and_its_log_as_they_were_at_any_moment_are_gone_on_from", 400);
    let file = scenario.place.csv("leavers.csv", &scenario.place.ordinary());
    let words = run_words(file.to_str().unwrap());
    let data = scenario.place.path("data");
    for _ in 0..5 {
        let mut running = scenario.place.start(&words);
        let done = scenario.place.sim.report().changes.len();
        scenario.place.wait_for_changes((done + scenario.seed.within(5..70) as usize).min(390));
        let killed = scenario.chronicle.begin(What::Killed, None);
        running.signal("STOP");
        let kept =
            ["usher.db", "usher.db-wal"].map(|name| (name, fs::read(data.join(name)).unwrap_or_default()));
        running.kill();
        scenario.chronicle.end(&killed);
        fs::remove_dir_all(&data).unwrap();
        fs::create_dir(&data).unwrap();
        for (name, bytes) in kept {
            let mut file = fs::File::create(data.join(name)).unwrap();
            file.write_all(&bytes).unwrap();
            if name.ends_with("-wal") {
                let torn: Vec<u8> =
                    (0..scenario.seed.within(1..6_000)).map(|n| (n * 31 % 251) as u8).collect();
                file.write_all(&torn).unwrap();
            }
        }
        let store = SqliteStore::open(
            &data.join("usher.db"),
            std::sync::Arc::new(ManualClock::new(Timestamp::default())),
        );
        let store = store.unwrap();
        let status =
            scenario.place.block_on(store.runs(None, 10)).unwrap().pop().expect("the run is in the copy");
        assert!(status.counters.add_up(), "{status:?}");
        let rows = scenario.place.block_on(store.outcomes(&status.run.id, 0, 1000)).unwrap();
        assert_eq!(rows.len() as u64, status.counters.finished);
    }
    scenario.place.usher(&words).succeeded();
    let runs = runs(&scenario);
    assert_eq!(runs.len(), 1);
    let findings = audit::audit(&scenario, &runs);
    eprintln!("{findings}");
    assert_eq!(findings.of(Outcome::Applied), 400, "{findings}");
}

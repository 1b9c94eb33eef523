//! A worker whose wall clock jumps by an hour, forward and back, in the middle of a run.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use usher_shared::Outcome;

use crate::{
    audit::CHANGE,
    fleet::{Fleet, Post},
    scenario::{Scenario, vendor},
    support::{Kind, Layout},
    watch::Watch,
};

/// What a worker says when it sees its clock jump.
const SAID: &str = "the machine's clock was set";

/// A wall clock that a test sets, for processes that are started with its environment.
struct WallClock {
    file: PathBuf,
    library: PathBuf,
}

impl WallClock {
    fn at(file: PathBuf) -> Self {
        let clock = Self { file, library: library() };
        clock.set("+0");
        clock
    }

    /// Sets it so much off the machine's: `+1h`, `-1h`, `+0`.
    fn set(&self, off: &str) {
        // In one step: a reader never sees half of it.
        let new = self.file.with_extension("new");
        fs::write(&new, off).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    fn environment(&self) -> Vec<(String, String)> {
        let pairs = [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            // A machine's wall clock is set, and not the one that counts since its start.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}

/// libfaketime for programs with threads, which `tests/run` installs.
fn library() -> PathBuf {
    let roots = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let beside =
        ["/usr/lib", "/usr/lib64", "/usr/local/lib"].into_iter().map(|path| Path::new(path).to_owned());
    let found =
        roots.chain(beside).map(|root| root.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("libfaketime is not installed (package faketime); tests/run installs it")
}

/// Jumps forward by an hour, back to the right time, and an hour back, while work is done and some of it fails; returns what
/// the ledger counts.
fn a_clock_that_jumps_changes_nothing(kind: Kind, name: &'static str) {
    let mut settings = vendor(600);
    // Retries wait in the store by its clock; tokens end, and are replaced ahead of their end.
    settings.faults.errors = 0.05;
    settings.oauth.expires_in = 5;
    let scenario = Scenario::new(name, Layout::new(kind, settings));
    let clock = WallClock::at(scenario.place.path("wall-clock"));
    let mut posts = vec![Post { env: clock.environment(), ..Post::straight(&scenario.place, "w1") }];
    if kind == Kind::Redis {
        posts.push(Post::straight(&scenario.place, "w2"));
    }
    let fleet = Fleet::start_at(&scenario.place, &scenario.chronicle, posts);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    let began = Instant::now();
    for (finished, off) in [(60, "+1h"), (200, "+0"), (320, "-1h"), (450, "+0")] {
        watch.wait_for_finished(finished);
        clock.set(off);
    }
    fleet.wait_for_words(0, SAID);
    assert!(!watch.status().unwrap().phase.is_over(), "the clock jumped too late to strike anything");
    let ended = scenario.to_its_end(&run, fleet, watch);
    let took = began.elapsed();
    assert_eq!(ended.findings.of(Outcome::Applied), 600, "{}", ended.findings);
    assert_eq!(ended.findings.lost, 0, "no lease lapses because a clock was set");
    assert!(took < Duration::from_secs(40), "what waited came round late: {took:?}");
    let report = scenario.place.sim.report();
    assert_eq!(report.calls_with(CHANGE, 401), 0, "a token was taken for alive after its end");
    // One every 4.5 s; each jump may not cost one more.
    let by_life = took.as_secs() / 4 + 2;
    assert!(report.tokens_issued <= by_life, "{} tokens in {took:?}", report.tokens_issued);
    // The ledger's times are the real ones, for the clock was right when the worker began.
    let status = ended.seen.status.unwrap();
    let off = status.finished_at.unwrap().since(status.sealed_at.unwrap());
    assert!(off < took + Duration::from_secs(5), "{off:?} by the ledger, {took:?} here");
}

#[test]
fn a_clock_that_jumps_by_an_hour_lapses_no_lease_and_delays_no_retry_on_sqlite() {
    let name = "a_clock_that_jumps_by_an_hour_lapses_no_lease_and_delays_no_retry_on_sqlite";
    a_clock_that_jumps_changes_nothing(Kind::Sqlite, name);
}

#[test]
fn a_clock_that_jumps_by_an_hour_lapses_no_lease_and_delays_no_retry_on_redis() {
    let name = "a_clock_that_jumps_by_an_hour_lapses_no_lease_and_delays_no_retry_on_redis";
    a_clock_that_jumps_changes_nothing(Kind::Redis, name);
}

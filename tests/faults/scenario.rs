//! A scenario from its seed to its audit.

use std::{net::SocketAddr, ops::Range, sync::Arc, time::Duration};

use usher_redis_server::{Durability, RedisServer};
use usher_shared::{RunId, Timestamp};
use usher_simulator::{
    faults::{Faults, MsRange},
    zoom::{Population, Settings, SimUser},
};

use crate::{
    audit::{self, Findings},
    chronicle::Chronicle,
    fleet::Fleet,
    seed::Seed,
    support::{Kind, Layout, Workplace},
    watch::{Seen, Watch},
};

/// A workplace in which faults are planted.
pub struct Scenario {
    /// What faults are drawn from.
    pub seed: Seed,
    /// Where it happens.
    pub place: Workplace,
    /// What was done, and when.
    pub chronicle: Arc<Chronicle>,
    /// What may be wrong with times in the ledger: as long as the store takes to answer at the worst.
    pub slack: Duration,
}

/// What a scenario came to.
pub struct Ended {
    /// What the sampler saw.
    pub seen: Seen,
    /// What the audit found.
    pub findings: Findings,
}

impl Ended {
    /// How long the run took, from its first attempt to its last outcome.
    pub fn took(&self) -> Duration {
        let status = self.seen.status.as_ref().unwrap();
        status.finished_at.unwrap().since(status.effort.first_attempt_at.unwrap())
    }
}

/// A directory of so many ordinary users, whose vendor takes 20 to 80 ms a call and keeps a journal.
pub fn vendor(users: u32) -> Settings {
    Settings {
        directory: Population { users, ..Population::default() },
        faults: Faults { latency_ms: MsRange::new(20, 80), ..Faults::default() },
        journal: true,
        ..Settings::default()
    }
}

/// How long a lease lasts in [`short_leases`].
pub const SHORT_LEASE_MS: u64 = 6000;

/// A workplace on Redis whose calls may take two seconds and whose leases last six, so that a scenario needn't last long.
pub fn short_leases(settings: Settings) -> Layout {
    short_calls(settings, "lease_seconds = 6")
}

/// A workplace on Redis whose calls may take two seconds, with one more line about workers.
pub fn short_calls(settings: Settings, line: &str) -> Layout {
    let account_lines = format!("[worker]\ncall_timeout_seconds = 2\n{line}");
    // Nothing strikes Redis itself: the disk needn't take part.
    Layout { account_lines, durability: Durability::Memory, ..Layout::new(Kind::Redis, settings) }
}

impl Scenario {
    /// Lays the workplace out. The name is the test's, so that what is printed can be run again.
    pub fn new(name: &'static str, mut layout: Layout) -> Self {
        let seed = Seed::of(name);
        layout.settings.seed = seed.number();
        let place = Workplace::laid_out(layout);
        Self { seed, place, chronicle: Arc::default(), slack: Duration::from_secs(2) }
    }

    /// So many workers that reach both store and vendor straight.
    pub fn fleet(&self, workers: usize) -> Fleet {
        Fleet::start(&self.place, &self.chronicle, workers)
    }

    /// Submits the deactivation of these users; returns the run's id.
    pub fn deactivate(&self, users: &[SimUser]) -> RunId {
        self.submit(users, &["--action", "deactivate"])
    }

    /// Submits these users with more words of the command line.
    pub fn submit(&self, users: &[SimUser], more: &[&str]) -> RunId {
        let file = self.place.csv("users.csv", users);
        let mut words = vec!["submit", file.to_str().unwrap(), "--account", "zoom-main", "--yes"];
        words.extend(more);
        self.place.usher(&words).succeeded().out.trim().parse().unwrap()
    }

    /// The Redis of this scenario.
    pub fn redis(&mut self) -> &mut RedisServer {
        self.place.redis.as_mut().expect("a scenario on Redis")
    }

    /// Where it listens.
    pub fn redis_addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.place.redis.as_ref().expect("a scenario on Redis").port()).into()
    }

    /// Sends the Redis of this scenario a command.
    pub fn ask_redis(&self, words: &[&str]) -> String {
        Self::ask(self.place.redis.as_ref().expect("a scenario on Redis"), words)
    }

    /// Sends a Redis a command; its answer, or the first part of it.
    pub fn ask(server: &RedisServer, words: &[&str]) -> String {
        let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let text = |value: &redis::Value| match value {
            redis::Value::BulkString(text) => String::from_utf8_lossy(text).into_owned(),
            other => format!("{other:?}"),
        };
        match command.query(&mut connection).unwrap() {
            redis::Value::Array(values) => values.first().map(text).unwrap_or_default(),
            one => text(&one),
        }
    }

    /// Whether a worker has ended a job of a run that was first tried after this moment.
    pub fn has_worked_since(&self, run: &RunId, worker: &str, since: Timestamp) -> bool {
        let rows = self.place.block_on(self.place.store().outcomes(run, 0, 5000)).unwrap();
        rows.iter().any(|row| {
            row.worker.as_ref().is_some_and(|by| by.as_str() == worker)
                && row.first_attempt_at.is_some_and(|began| began > since)
        })
    }

    /// Lets so many milliseconds pass: how long is the seed's to say.
    pub fn pause(&mut self, ms: Range<u64>) {
        std::thread::park_timeout(Duration::from_millis(self.seed.within(ms)));
    }

    /// Watches a run to its end, then ends the workers in peace and audits the run.
    pub fn to_its_end(&self, run: &RunId, mut fleet: Fleet, watch: Watch) -> Ended {
        watch.wait_until_over();
        let seen = watch.end();
        fleet.assert_all_alive();
        let findings = audit::audit(self, std::slice::from_ref(run));
        eprintln!(
            "{seen_samples} samples ({unanswered} unanswered); {findings}",
            seen_samples = seen.samples,
            unanswered = seen.unanswered
        );
        Ended { seen, findings }
    }
}

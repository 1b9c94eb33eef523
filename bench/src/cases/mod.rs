//! What can be measured, by name.

mod api_followers;
mod api_million;
mod api_single;
mod api_urgent;
mod idle;
mod limits;
mod memory;
mod pace;
mod pause;
mod peers;
mod store_alone;
mod submit;
mod urgent;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use futures::future::BoxFuture;

use crate::{figure::Row, ground::Kind};

/// What all cases are told.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Fewer of everything.
    pub quick: bool,
    /// Where the peers' packages and scripts lie.
    pub peers: PathBuf,
}

impl Bench {
    /// One of two numbers.
    pub const fn number(&self, whole: usize, quick: usize) -> usize {
        if self.quick { quick } else { whole }
    }
}

/// One case.
pub struct Case {
    /// Its name, for `--only`: up to a slash or a hyphen it stands for the whole group.
    pub name: String,
    /// What it does.
    pub about: String,
    /// Only with `--all`, or by name.
    pub extra: bool,
    /// It has failed if it takes longer.
    pub at_most: Duration,
    /// Runs it.
    pub run: Run,
}

/// How a case is run.
pub type Run = Box<dyn Fn(Bench) -> BoxFuture<'static, Result<Vec<Row>>> + Send + Sync>;

fn case<F, Fut>(name: impl Into<String>, about: impl Into<String>, seconds: u64, run: F) -> Case
where
    F: Fn(Bench) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<Row>>> + Send + 'static,
{
    Case {
        name: name.into(),
        about: about.into(),
        extra: false,
        at_most: Duration::from_secs(seconds),
        run: Box::new(move |bench| Box::pin(run(bench))),
    }
}

fn extra(case: Case) -> Case {
    Case { extra: true, ..case }
}

/// Every case, in the order of the table.
pub fn all() -> Vec<Case> {
    let mut cases = vec![];
    for pace in pace::combinations() {
        let (name, about, is_extra) = (pace.name(), pace.about(), pace.extra);
        let made = case(name, about, 150, move |bench| pace::run(bench, pace));
        cases.push(if is_extra { extra(made) } else { made });
    }
    cases.push(case("jitter", "each call 0 to 50 ms late at random, 4 workers", 150, limits::jitter));
    cases.push(case("other-app", "another app of the account uses 16/s, 4 workers", 180, limits::other_app));
    cases.push(case(
        "wrong-plan",
        "the plan says 80/s, the account has 30/s, 4 workers",
        240,
        limits::wrong_plan,
    ));
    let coming = "the other app comes and goes every 10 s, 4 workers";
    cases.push(case("coming-and-going/16", coming, 240, |bench| limits::coming_and_going(bench, 16)));
    cases.push(extra(case("coming-and-going/40", "the same with an app of 40/s", 240, |bench| {
        limits::coming_and_going(bench, 40)
    })));
    cases.push(case("pause", "a 429 with Retry-After 5 in the middle, 4 workers", 120, pause::run));
    cases.push(case(
        "urgent",
        "100 urgent jobs one by one, behind 10,000 bulk jobs, 4 workers",
        300,
        urgent::run,
    ));
    cases.push(case("idle", "an idle worker: what it uses, and how fast it wakes", 180, idle::run));
    cases.push(case(
        "store-redis",
        "a provider that answers at once, no limit, Redis; beside BullMQ",
        400,
        store_alone::redis,
    ));
    cases.push(case(
        "store-sqlite",
        "a provider that answers at once, no limit, SQLite",
        180,
        store_alone::sqlite,
    ));
    cases.push(case(
        "submit-redis",
        "a CSV of 1,000,000 rows into Redis; beside BullMQ's addBulk",
        300,
        submit::redis,
    ));
    cases.push(case("submit-sqlite", "a CSV of 1,000,000 rows into SQLite", 180, submit::sqlite));
    for (kind, store) in [(Kind::Redis, "redis"), (Kind::Sqlite, "sqlite")] {
        cases.push(case(
            format!("api_single/{store}"),
            "API: a user a call, 200/s over 64 connections",
            300,
            move |bench| api_single::run(bench, kind),
        ));
        cases.push(case(
            format!("api_million/{store}"),
            "API: a CSV of 1,000,000 rows in one call",
            180,
            move |bench| api_million::run(bench, kind),
        ));
        cases.push(case(
            format!("api_urgent/{store}"),
            "API: a call for an urgent user, behind 10,000 bulk jobs",
            180,
            move |bench| api_urgent::run(bench, kind),
        ));
    }
    cases.push(case("api_followers", "API: 200 followers of a run beside 1, Redis", 180, api_followers::run));
    cases.push(case("memory", "Redis memory a queued and a finished job", 180, memory::run));
    cases.push(case("peer-bullmq/1", "BullMQ with a global limiter of 80/s, 1 process", 240, |bench| {
        peers::bullmq(bench, 1)
    }));
    cases.push(extra(case(
        "peer-bullmq/4",
        "BullMQ with a global limiter of 80/s, 4 processes",
        240,
        |bench| peers::bullmq(bench, 4),
    )));
    cases.push(case("peer-script", "a script: 50 calls at a time, exponential backoff", 240, peers::script));
    cases
}

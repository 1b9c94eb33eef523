//! What others do with the same job, against the same simulator or on the same kind of Redis.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;
use usher_simulator::{
    faults::{Faults, MsRange},
    zoom::Limits,
};

use super::{
    Bench,
    pace::{PLAN, busiest, figure, settings},
};
use crate::{
    figure::Row,
    ground::{Simulator, stop},
    journal::Seen,
    process::{Process, output},
    redis_server::RedisServer,
};

/// BullMQ, as it was installed beside the build.
#[derive(Debug)]
pub struct Bullmq {
    dir: PathBuf,
}

/// How BullMQ is at its best on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    concurrency: usize,
    keep: bool,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keep = if self.keep { "kept" } else { "removed" };
        write!(f, "concurrency {}, finished jobs {keep} (the best it showed of 8 ways)", self.concurrency)
    }
}

#[derive(Deserialize)]
struct Said {
    per_second: f64,
}

impl Bullmq {
    /// Finds it.
    pub fn new(bench: &Bench) -> Result<Self> {
        ensure!(
            bench.peers.join("node_modules/bullmq").is_dir(),
            "BullMQ is not installed: bench/run does that, with npm and the npm registry"
        );
        Ok(Self { dir: bench.peers.clone() })
    }

    fn node(&self, words: &[&str]) -> Command {
        let mut command = Command::new("node");
        command.arg(self.dir.join("bullmq.mjs")).args(words).current_dir(&self.dir);
        command
    }

    async fn say(&self, words: &[&str]) -> Result<f64> {
        let printed = output("BullMQ", self.node(words).stdout(Stdio::piped())).await?;
        let said: Said =
            serde_json::from_str(&printed).with_context(|| format!("BullMQ said {printed:?}"))?;
        Ok(said.per_second)
    }

    /// Jobs a second that do nothing, from the first to the last.
    pub async fn noop(&self, way: &Way, jobs: usize) -> Result<f64> {
        let server = RedisServer::start().await?;
        let (jobs, concurrency) = (jobs.to_string(), way.concurrency.to_string());
        self.say(&["noop", &server.port(), &jobs, &concurrency, if way.keep { "keep" } else { "remove" }])
            .await
    }

    /// Tries concurrencies, with finished jobs kept and removed.
    pub async fn best_way_to_work(&self, jobs: usize) -> Result<Way> {
        let mut best = (0.0, Way { concurrency: 1, keep: true });
        for concurrency in [50, 100, 200, 400] {
            for keep in [true, false] {
                let way = Way { concurrency, keep };
                let rate = self.noop(&way, jobs).await?;
                if rate > best.0 {
                    best = (rate, way);
                }
            }
        }
        Ok(best.1)
    }

    /// Jobs a second that are added in bulk.
    pub async fn add(&self, jobs: usize, chunk: usize) -> Result<f64> {
        let server = RedisServer::start().await?;
        self.say(&["add", &server.port(), &jobs.to_string(), &chunk.to_string()]).await
    }

    /// Tries sizes of a bulk.
    pub async fn best_chunk(&self, jobs: usize) -> Result<usize> {
        let mut best = (0.0, 0);
        for chunk in [100, 500, 1_000, 5_000] {
            let rate = self.add(jobs, chunk).await?;
            if rate > best.0 {
                best = (rate, chunk);
            }
        }
        Ok(best.1)
    }
}

/// The simulator of the peers: the one that `pace/redis-1-sliding-60` has.
async fn simulator(bench: &Bench, dir: &std::path::Path) -> Result<(Simulator, String, u64)> {
    let faults = Faults { latency_ms: MsRange::new(60, 60), ..Faults::default() };
    let sim = Simulator::start(settings(bench.number(2_400, 600), Limits::default(), faults), dir).await?;
    // As ids: whoever knows no more than an address would have to look everybody up first.
    let (mut members, ids) = (sim.members().await?, sim.ids().await?);
    for member in &mut members {
        *member = ids.get(member).context("a member has no id")?.clone();
    }
    let file = dir.join("ids.txt");
    std::fs::write(&file, members.join("\n"))?;
    Ok((
        sim,
        file.to_str().context("the temporary directory has a strange name")?.to_owned(),
        members.len() as u64,
    ))
}

fn row(case: String, seen: &Seen) -> Row {
    let share = seen.rate() / PLAN;
    Row { share: Some(share), ..figure(&case, seen, share) }.note(busiest(seen))
}

pub async fn bullmq(bench: Bench, processes: usize) -> Result<Vec<Row>> {
    let bullmq = Bullmq::new(&bench)?;
    let dir = tempfile::tempdir()?;
    let (sim, file, users) = simulator(&bench, dir.path()).await?;
    let server = RedisServer::start().await?;
    bullmq.say(&["fill", &server.port(), &file]).await?;
    let mut workers = vec![];
    for worker in 1..=processes {
        let port = server.port();
        let mut command = bullmq.node(&["work", &port, &sim.base_url, &sim.token_url]);
        workers.push(Process::start(&format!("bullmq-{worker}"), command.stdout(Stdio::null()), dir.path())?);
    }
    tokio::time::timeout(Duration::from_secs(220), sim.let_in(users))
        .await
        .context("not done after 220 s")??;
    let seen = Seen::of(&sim.journal().await?);
    stop(workers).await?;
    let s = if processes == 1 { "" } else { "es" };
    Ok(vec![row(format!("peer: BullMQ, global limiter at 80/s, {processes} process{s}"), &seen)])
}

pub async fn script(bench: Bench) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let (sim, file, users) = simulator(&bench, dir.path()).await?;
    let mut command = Command::new("node");
    let words = [&sim.base_url, &sim.token_url, &file];
    command.arg("bench/peers/script.mjs").args(words);
    output("the script", &mut command).await?;
    let seen = Seen::of(&sim.journal().await?);
    ensure!(seen.let_in() == users, "the script changed {} of {users}", seen.let_in());
    Ok(vec![row("peer: a script, 50 calls at a time, exponential backoff".to_owned(), &seen)])
}

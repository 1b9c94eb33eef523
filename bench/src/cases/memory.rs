//! What jobs cost in Redis' memory.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use usher_shared::{
    Attempt, Clock as _, JobReport, Outcome, Priority, ResolvedUser, RunId, SystemClock, Then, Verdict,
    WorkerId,
    config::{SecretSource, Value, ZoomConfig, ZoomPlan},
    store::{CHUNK, LeaseAsk, Resolution, SharedStore, redis::RedisStore},
};
use usher_simulator::{
    faults::Faults,
    zoom::{Limits, Plan, ZoomSim},
};
use usher_worker::provider::{Provider as _, ProviderOptions, zoom::ZoomProvider};

use super::{Bench, pace::settings};
use crate::{
    figure::{Row, thousands},
    ground::submit_here,
    redis_server::RedisServer,
};

const TTL: Duration = Duration::from_secs(600);

pub async fn run(bench: Bench) -> Result<Vec<Row>> {
    let jobs = bench.number(100_000, 20_000);
    let users = users(jobs).await?;
    let server = RedisServer::start().await?;
    let store: SharedStore = Arc::new(RedisStore::connect(&server.url(), None).await?);
    let each = |used: u64, before: u64| (used - before.min(used)) as f64 / jobs as f64;
    // The scripts are loaded, and what they keep for an account is there, after a run of one job.
    let (first, rest) = users.split_first().context("the simulator has no users")?;
    let small = queue(&store, std::slice::from_ref(first)).await?;
    finish(&store, &small, 1).await?;
    let empty = server.used_memory().await?;
    let run = queue(&store, rest).await?;
    settle().await;
    let queued = each(server.used_memory().await?, empty);
    finish(&store, &run, rest.len()).await?;
    settle().await;
    let finished = each(server.used_memory().await?, empty);
    let note =
        "addresses, ids and what was there before as the simulator's listing gives them, one attempt each";
    Ok(vec![
        Row::new("Redis memory of a queued job", format!("{} bytes", thousands(queued)))
            .goal("<= 350 bytes", queued <= 350.0)
            .note(format!("used_memory over {} jobs; {note}", rest.len())),
        Row::new("Redis memory of a finished job", format!("{} bytes", thousands(finished)))
            .goal("<= 550 bytes", finished <= 550.0),
    ])
}

/// What is on its way to the append-only file is in used_memory, too.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(2_500)).await;
}

/// The users of a simulated Zoom, as the provider reads them from its listing.
async fn users(jobs: usize) -> Result<Vec<ResolvedUser>> {
    let settings = settings(jobs, Limits { plan: Plan::Unlimited, ..Limits::default() }, Faults::default());
    let sim = ZoomSim::start(settings.clone()).await?;
    let secret = tempfile::NamedTempFile::new()?;
    std::fs::write(secret.path(), &settings.oauth.client_secret)?;
    let config = ZoomConfig {
        approval: None,
        caps: Default::default(),
        base_url: sim.base_url().parse()?,
        token_url: sim.token_url().parse()?,
        account_id: Value::Plain(settings.oauth.account_id.clone()),
        client_id: Value::Plain(settings.oauth.client_id.clone()),
        client_secret: SecretSource::File(secret.path().to_owned()),
        plan: ZoomPlan::Business,
        light: None,
        medium: None,
        protected: vec![],
    };
    let provider = ZoomProvider::new(&"zoom-main".parse()?, &config, ProviderOptions::default())?;
    let mut users = vec![];
    let mut listings = VecDeque::from(provider.listings());
    while let Some(cursor) = listings.pop_front() {
        let page = provider.list(&cursor).await.map_err(|reply| anyhow::anyhow!("the listing: {reply:?}"))?;
        users.extend(page.users);
        listings.extend(page.next);
    }
    sim.shutdown().await;
    Ok(users)
}

/// Brings a run to where every job of it is queued, by the steps of a steward.
async fn queue(store: &SharedStore, users: &[ResolvedUser]) -> Result<RunId> {
    let names = users.iter().filter_map(|user| user.email.clone()).collect();
    let run = submit_here(store, names, Priority::Normal).await?;
    let steward = store.take_steward(&run, &worker(), TTL).await?.context("the run has a steward already")?;
    for (chunk, users) in users.chunks(CHUNK).enumerate() {
        let first = (chunk * CHUNK) as u64;
        let resolved: Vec<(u64, Resolution)> =
            (first..).zip(users).map(|(seq, user)| (seq, Resolution::Change(user.clone()))).collect();
        store.resolve(&steward, &resolved).await?;
    }
    store.finish_resolving(steward).await?;
    store.admit(&run).await?;
    while store.promote(&run, CHUNK).await? > 0 {}
    Ok(run)
}

/// Leases and finishes every job of a run, as the engine reports it.
async fn finish(store: &SharedStore, run: &RunId, jobs: usize) -> Result<()> {
    let mut left = jobs;
    while left > 0 {
        let ask = LeaseAsk {
            account: "zoom-main".parse()?,
            worker: worker(),
            leases: left.min(100),
            batch: 1,
            ttl: TTL,
            only_run: Some(run.clone()),
            urgent_only: false,
            idle: false,
        };
        let leases = store.lease(&ask).await?.leases;
        ensure!(!leases.is_empty(), "{left} jobs are left, and none is due");
        let finishing = leases.into_iter().map(|lease| {
            let reports: Vec<JobReport> = lease.jobs.iter().map(|job| applied(job.seq)).collect();
            async move { (reports.len(), store.finish(lease, reports).await) }
        });
        for (jobs, finished) in futures::future::join_all(finishing).await {
            finished?;
            left -= jobs;
        }
    }
    Ok(())
}

fn worker() -> WorkerId {
    WorkerId::new("worker-1.corp.example:12345")
}

fn applied(seq: u64) -> JobReport {
    let now = SystemClock.now();
    let attempt = Attempt {
        began_at: now,
        ended_at: now.after(Duration::from_millis(60)),
        calls: 1,
        http: Some(204),
        verdict: Verdict::Applied,
        code: None,
        worker: worker(),
    };
    let then = Then::Finish { outcome: Outcome::Applied, code: None, message: None };
    JobReport { seq, attempt: Some(attempt), throttled: 0, then }
}

//! An idle queue: what the worker uses, and how long after a submission its first call comes.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use usher_shared::Priority;
use usher_simulator::{faults::Faults, zoom::Limits};

use super::{
    Bench,
    pace::settings,
    urgent::{first_calls, now},
};
use crate::{
    figure::{Row, quantile},
    ground::{Ground, Kind, stop, submit_here, until_over},
    journal::STATUS,
    process::processor_time,
};

const LOOK_UP: &str = "GET /users/{userId}";

pub async fn run(bench: Bench) -> Result<Vec<Row>> {
    let wanted = bench.number(100, 30);
    let ground = Ground::new(Kind::Redis, settings(wanted, Limits::default(), Faults::default())).await?;
    let workers = ground.workers(1).await?;
    let worker = workers.first().and_then(crate::process::Process::id).context("the worker has ended")?;
    // A worker that has just started, or just worked, is not idle yet.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let span = Duration::from_secs(if bench.quick { 10 } else { 20 });
    let redis = ground.redis()?.pid()?;
    let before = (processor_time(worker)?, processor_time(redis)?);
    let threads = fs::read_dir(format!("/proc/{worker}/task")).map_or(0, Iterator::count);
    tokio::time::sleep(span).await;
    let used = (processor_time(worker)? - before.0).as_secs_f64() / span.as_secs_f64();
    let redis_used = (processor_time(redis)? - before.1).as_secs_f64() / span.as_secs_f64();

    let store = ground.store().await?;
    let mut sealed = vec![];
    for user in ground.sim.members().await? {
        tokio::time::sleep(Duration::from_millis(rand::random_range(150..400))).await;
        let run = submit_here(&store, vec![user.clone()], Priority::Normal).await?;
        sealed.push((user, now()));
        tokio::time::timeout(Duration::from_secs(20), until_over(&store, &run, Duration::from_millis(20)))
            .await
            .context("a job was not done within 20 s")??;
    }
    let journal = ground.sim.journal().await?;
    let ids = ground.sim.ids().await?;
    stop(workers).await?;
    let (looked, changed) = (first_calls(&journal, LOOK_UP), first_calls(&journal, STATUS));
    let mut to_look = vec![];
    let mut to_change = vec![];
    for (user, sealed) in &sealed {
        let id = ids.get(user).context("a user is gone")?;
        let change = changed.get(id.as_str()).context("no status call for a user")?;
        // Where no look-up came, the status call was the first.
        let first = looked.get(user.as_str()).unwrap_or(change);
        to_look.push((first - sealed) * 1e3);
        to_change.push((change - sealed) * 1e3);
    }
    let figure = |waits: &[f64]| {
        format!("p50 {:.1} ms, p99 {:.1} ms", quantile(waits.to_vec(), 0.5), quantile(waits.to_vec(), 0.99))
    };
    let most = quantile(to_look.clone(), 0.99);
    Ok(vec![
        Row::new("idle queue: submit to first call (the look-up)", figure(&to_look))
            .goal("p99 < 25 ms", most < 25.0)
            .note(format!("{} runs of one user each, one after the other, 1 worker", sealed.len())),
        Row::new("idle queue: submit to status call", figure(&to_change)),
        Row::new("an idle worker", format!("{:.2}% of a core", used * 100.0))
            .goal("< 0.5%", used < 0.005)
            .note(format!(
                "over {} s, {threads} threads; its redis-server used {:.2}%",
                span.as_secs(),
                redis_used * 100.0
            )),
    ])
}

//! A call for one urgent user behind a heap of bulk jobs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use usher_simulator::{
    faults::{Faults, MsRange},
    zoom::Limits,
};

use super::{
    Bench,
    api_single::store,
    pace::{PLAN, settings},
    urgent::{first_calls, now},
};
use crate::{
    figure::{Row, quantile, thousands},
    ground::{Ground, Kind, stop},
    journal::STATUS,
    served::{Client, Served},
};

/// So many bulk jobs wait at any time.
const BULK: usize = 10_000;
/// More of them, for the run eats 80 a second while the urgent calls are made.
const EATEN: usize = 5_000;

pub async fn run(bench: Bench, kind: Kind) -> Result<Vec<Row>> {
    let faults = Faults { latency_ms: MsRange::new(60, 60), ..Faults::default() };
    let wanted = bench.number(50, 10);
    let ground = Ground::new(kind, settings(BULK + EATEN + wanted, Limits::default(), faults)).await?;
    let mut users = ground.sim.members().await?;
    let urgent = users.split_off(BULK + EATEN);
    let served = Served::start(&ground, if kind == Kind::Sqlite { &["--work"] } else { &[] }).await?;
    let workers = if kind == Kind::Redis { ground.workers(4).await? } else { vec![] };
    let bulk = ground.submit(&ground.csv(&users)?, &["--priority", "bulk"]).await?;
    ground.sim.let_in(PLAN as u64).await?;

    let client = served.client()?;
    let mut posted = vec![];
    for (n, user) in urgent.into_iter().enumerate() {
        let at = now();
        let run = client.deactivate(&user, &format!("urgent-{n}")).await?.run;
        tokio::time::timeout(Duration::from_secs(30), until_finished(&client, &run))
            .await
            .context("an urgent user was not done within 30 s")??;
        posted.push((user, at));
        // Not in step with the permits.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..50))).await;
    }
    let left = client.get(&format!("/v1/runs/{bulk}")).await?;
    let left = left["total"].as_u64().zip(left["finished"].as_u64()).context("a run without figures")?;
    let left = left.0 - left.1;
    ensure!(left >= BULK as u64, "only {left} bulk jobs were left at the end");

    let (journal, ids) = (ground.sim.journal().await?, ground.sim.ids().await?);
    let report = ground.sim.report().await?;
    served.stop().await?;
    stop(workers).await?;
    let arrived = first_calls(&journal, STATUS);
    let mut waits = vec![];
    for (user, at) in &posted {
        let id = ids.get(user).context("an urgent user is gone")?;
        waits.push(arrived.get(id.as_str()).context("no status call for an urgent user")? - at);
    }
    let [half, most, worst] = [0.5, 0.99, 1.0].map(|share| quantile(waits.clone(), share));
    let (sent, work) = (waits.len(), if kind == Kind::Redis { "4 workers" } else { "usher serve --work" });
    Ok(vec![
        Row::new(
            format!("API: urgent behind {} bulk jobs, {work}, {}", thousands(BULK as f64), store(kind)),
            format!("p50 {half:.2} s, p99 {most:.2} s"),
        )
        .goal("< 1 s", most < 1.0)
        .note(format!(
            "{sent} urgent users from the start of their POST to their status call at the vendor, the longest {worst:.2} s; \
             {left} bulk jobs left at the end; {} calls refused",
            report.throttled_calls()
        )),
    ])
}

async fn until_finished(client: &Client, run: &str) -> Result<()> {
    loop {
        let status = client.get(&format!("/v1/runs/{run}")).await?;
        if status["state"] == "finished" {
            ensure!(status["outcomes"]["applied"] == 1, "an urgent run ended with {}", status["outcomes"]);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! An urgent job behind a heap of bulk jobs.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use usher_shared::Priority;
use usher_simulator::{
    faults::{Faults, MsRange},
    zoom::{JournalLine, Limits},
};

use super::{Bench, pace::settings};
use crate::{
    figure::{Row, quantile},
    ground::{Ground, Kind, submit_here, until_over},
    journal::{STATUS, seconds},
};

/// So many bulk jobs wait at any time.
const BULK: usize = 10_000;
/// More of them, for the run eats 80 a second while the urgent jobs are sent.
const EATEN: usize = 10_000;
/// No urgent job is sent later than this: the bulk jobs would be fewer than said.
const SEND_FOR: Duration = Duration::from_secs(110);

pub async fn run(bench: Bench) -> Result<Vec<Row>> {
    let faults = Faults { latency_ms: MsRange::new(60, 60), ..Faults::default() };
    let wanted = bench.number(100, 25);
    let ground = Ground::new(Kind::Redis, settings(BULK + EATEN + wanted, Limits::default(), faults)).await?;
    let mut users = ground.sim.members().await?;
    let urgent = users.split_off(BULK + EATEN);
    let workers = ground.workers(4).await?;
    let file = ground.csv(&users)?;
    let bulk = ground.submit(&file, &["--priority", "bulk"]).await?;
    ground.sim.let_in(80).await?;
    let store = ground.store().await?;
    let began = Instant::now();
    let mut sealed = HashMap::new();
    for user in urgent {
        if began.elapsed() > SEND_FOR {
            break;
        }
        let run = submit_here(&store, vec![user.clone()], Priority::Urgent).await?;
        sealed.insert(user, now());
        tokio::time::timeout(Duration::from_secs(30), until_over(&store, &run, Duration::from_millis(10)))
            .await
            .context("an urgent job was not done within 30 s")??;
        // Not in step with the permits.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..50))).await;
    }
    let left = store.run(&bulk).await?.context("the bulk run is gone")?.counters;
    let left = left.total - left.finished;
    ensure!(left >= BULK as u64, "only {left} bulk jobs were left at the end");
    let journal = ground.sim.journal().await?;
    let report = ground.sim.report().await?;
    drop(workers);
    let ids = ground.sim.ids().await?;
    let arrived = first_calls(&journal, STATUS);
    let mut waits = vec![];
    for (user, sealed) in &sealed {
        let id = ids.get(user).context("an urgent user is gone")?;
        waits.push(arrived.get(id.as_str()).context("no status call for an urgent user")? - sealed);
    }
    let sent = waits.len();
    let (half, most, worst) =
        (quantile(waits.clone(), 0.5), quantile(waits.clone(), 0.99), quantile(waits, 1.0));
    Ok(vec![
        Row::new(
            format!("urgent behind {} bulk jobs, 4 workers", crate::figure::thousands(BULK as f64)),
            format!("p50 {half:.2} s, p99 {most:.2} s"),
        )
        .goal("p99 < 1 s", most < 1.0)
        .note(format!(
            "{sent} urgent jobs from their seal to their status call at the vendor, the longest {worst:.2} s; {left} bulk jobs left at the end; {} calls refused",
            report.throttled_calls()
        )),
    ])
}

/// When the first call of a route arrived for each user, by the name in the call: an id, or the address in a look-up.
pub fn first_calls<'a>(journal: &'a [JournalLine], route: &str) -> HashMap<&'a str, f64> {
    let mut first = HashMap::new();
    for line in journal.iter().filter(|line| line.route == route) {
        if let Some(user) = line.user.as_deref() {
            first.entry(user).or_insert_with(|| seconds(line.arrived_us));
        }
    }
    first
}

/// Seconds since the Unix epoch by this machine's clock, which is the simulator's too.
pub fn now() -> f64 {
    jiff::Timestamp::now().as_microsecond() as f64 / 1e6
}

//! Alone on the account: the share of the limit over a whole run, and the refusals.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use usher_simulator::{
    faults::{Faults, MsRange},
    rate::WindowKind,
    zoom::{Limits, Population, Settings},
};

use super::Bench;
use crate::{
    figure::{Row, percent, thousands},
    ground::{Ground, Kind, all_applied, stop, until_over},
    journal::Seen,
    process::output,
};

/// What the plan allows a second.
pub const PLAN: f64 = 80.0;

/// One combination.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    kind: Kind,
    workers: usize,
    window: WindowKind,
    latency: MsRange,
    /// Only with `--all`.
    pub extra: bool,
}

impl Pace {
    /// Its name, such as `pace/redis-4-sliding-60`.
    pub fn name(&self) -> String {
        match self.kind {
            Kind::Redis => format!("pace/redis-{}-{}-{}", self.workers, self.window, self.latency),
            Kind::Sqlite => format!("pace/sqlite-{}", self.window),
        }
    }

    /// What is special about it.
    pub fn about(&self) -> String {
        let workers =
            if self.workers == 1 { "1 worker".to_owned() } else { format!("{} workers", self.workers) };
        let latency = self.latency.to_string().replace("..", " to ");
        let store = if self.kind == Kind::Sqlite { ", SQLite" } else { "" };
        format!("alone: {workers}, {} window, {latency} ms{store}", self.window)
    }
}

/// Twelve on Redis, of which six are run unless all are asked for, and the embedded store.
pub fn combinations() -> Vec<Pace> {
    let usual = [
        (1, WindowKind::Sliding, 60),
        (4, WindowKind::Sliding, 60),
        (8, WindowKind::Sliding, 400),
        (1, WindowKind::Fixed, 400),
        (4, WindowKind::Fixed, 60),
        (8, WindowKind::Fixed, 60),
    ];
    let mut all = vec![];
    for window in [WindowKind::Sliding, WindowKind::Fixed] {
        for latency in [60, 400] {
            for workers in [1, 4, 8] {
                let extra = !usual.contains(&(workers, window, latency));
                all.push(Pace {
                    kind: Kind::Redis,
                    workers,
                    window,
                    latency: MsRange::new(latency, latency),
                    extra,
                });
            }
        }
        let (kind, latency) = (Kind::Sqlite, MsRange::new(60, 100));
        all.push(Pace { kind, workers: 1, window, latency, extra: window == WindowKind::Fixed });
    }
    all
}

/// The settings of a simulator that has so many users.
pub fn settings(users: usize, limits: Limits, faults: Faults) -> Settings {
    let users = u32::try_from(users).unwrap_or(u32::MAX);
    Settings {
        directory: Population { users, ..Population::default() },
        limits,
        faults,
        ..Settings::default()
    }
}

/// Deactivates everybody with so many workers on Redis; returns what the vendor saw, and the ground to ask more of.
pub async fn fleet(settings: Settings, workers: usize) -> Result<(Seen, Ground)> {
    let ground = Ground::new(Kind::Redis, settings).await?;
    let file = ground.csv(&ground.sim.members().await?)?;
    let working = ground.workers(workers).await?;
    let run = ground.submit(&file, &[]).await?;
    let status = until_over(&ground.store().await?, &run, Duration::from_millis(250)).await?;
    stop(working).await?;
    all_applied(&status)?;
    let seen = Seen::of(&ground.sim.journal().await?);
    ensure!(seen.odd == 0, "{} answers were neither a success nor a 429", seen.odd);
    Ok((seen, ground))
}

pub async fn run(bench: Bench, pace: Pace) -> Result<Vec<Row>> {
    let limits = Limits { window: pace.window, ..Limits::default() };
    let faults = Faults { latency_ms: pace.latency, ..Faults::default() };
    let settings = settings(bench.number(2_400, 600), limits, faults);
    let (seen, ground) = match pace.kind {
        Kind::Redis => fleet(settings, pace.workers).await?,
        Kind::Sqlite => embedded(settings).await?,
    };
    let all_refused = ground.sim.report().await?.throttled_calls();
    let share = seen.rate() / PLAN;
    // The peers have a sliding window and 60 ms: with others, their share would be another.
    let alike = pace.window == WindowKind::Sliding && pace.latency.min == 60;
    let row = Row { share: alike.then_some(share), ..figure(&pace.about(), &seen, share) };
    let load =
        ground.sim.used()?.as_secs_f64() / seen.ends().map_or(f64::INFINITY, |(first, last)| last - first);
    let others = other_labels(all_refused - seen.refused());
    let note = format!("{}{others}; the simulator used {:.1}% of a core", busiest(&seen), load * 100.0);
    Ok(vec![row.goal(">= 98%, 0 refused", share >= 0.98 && all_refused == 0).note(note)])
}

/// `usher run` in one process.
async fn embedded(settings: Settings) -> Result<(Seen, Ground)> {
    let ground = Ground::new(Kind::Sqlite, settings).await?;
    let file = ground.csv(&ground.sim.members().await?)?;
    let words = ["run", &file, "-a", "zoom-main", "--action", "deactivate", "--yes", "--quiet"];
    output("usher run", &mut ground.usher(&words)?).await.context("it exits 0 only if all are as wished")?;
    Ok((Seen::of(&ground.sim.journal().await?), ground))
}

/// The share and the refusals of a run.
pub fn figure(case: &str, seen: &Seen, share: f64) -> Row {
    Row::new(case, format!("{}, {}", percent(share), refusals(seen)))
}

/// How many were refused, and which part of the calls that is where it is not none.
pub fn refusals(seen: &Seen) -> String {
    match seen.refused() {
        0 => "0 refused".to_owned(),
        n => format!("{} refused ({:.1}%)", thousands(n as f64), seen.refused_share() * 100.0),
    }
}

/// The busiest second, for notes.
pub fn busiest(seen: &Seen) -> String {
    format!(
        "{} let in, at most {} calls in any second",
        thousands(seen.let_in() as f64),
        seen.busiest_second()
    )
}

fn other_labels(refused: u64) -> String {
    if refused == 0 {
        String::new()
    } else {
        format!("; {refused} calls that were no status calls were refused")
    }
}

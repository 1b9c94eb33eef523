//! One user a call, at a fixed rate, while workers are at the vendor's limit.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use usher_simulator::{
    faults::{Faults, MsRange},
    zoom::Limits,
};

use super::{
    Bench,
    pace::{PLAN, settings},
};
use crate::{
    figure::{Row, percent, quantile, thousands},
    ground::{Ground, Kind, stop},
    journal::Seen,
    open_loop::{Caller, Schedule, Timed, run as open_loop},
    process::{peak_memory, processor_time},
    served::{Client, Served, Submitted},
};

/// Calls a second.
const RATE: f64 = 200.0;
/// Over so many connections.
const CONNECTIONS: usize = 64;
/// For so long.
const SECONDS: usize = 60;
/// 99 of 100 calls are answered by then.
const GOAL: Duration = Duration::from_millis(50);
/// Users of the bulk run that keeps the workers at the limit.
const BULK: usize = 10_000;
/// Every so manieth call repeats the one before it on its connection, key and all.
const REPEATS: usize = 20;

pub async fn run(bench: Bench, kind: Kind) -> Result<Vec<Row>> {
    let seconds = bench.number(SECONDS, 10);
    let schedule = Schedule { rate: RATE, calls: RATE as usize * seconds, connections: CONNECTIONS };
    let faults = Faults { latency_ms: MsRange::new(60, 60), ..Faults::default() };
    let ground = Ground::new(kind, settings(BULK + schedule.calls, Limits::default(), faults)).await?;
    let mut bulk = ground.sim.members().await?;
    let users = bulk.split_off(BULK);
    // On the embedded store the server does the work itself: one process may.
    let served = Served::start(&ground, if kind == Kind::Sqlite { &["--work"] } else { &[] }).await?;
    let workers = if kind == Kind::Redis { ground.workers(2).await? } else { vec![] };
    ground.submit(&ground.csv(&bulk)?, &["--priority", "bulk"]).await?;
    ground.sim.let_in(PLAN as u64).await?;

    let before = (processor_time(served.pid()?)?, ground.sim.journal().await?.len());
    let timed = open_loop(schedule, callers(&served, &users, schedule)?).await?;
    let used = processor_time(served.pid()?)? - before.0;
    let memory = peak_memory(served.pid()?);
    let journal = ground.sim.journal().await?;
    let seen = Seen::of(&journal[before.1..]);

    // What this machine and this program make of calls that do nothing, beside the same workers.
    let idle = Schedule { calls: RATE as usize * bench.number(10, 5), ..schedule };
    let bare = open_loop(idle, pings(&served, idle)?).await?;
    let bare = bare.iter().map(|timed| timed.latency.as_secs_f64() * 1e3).collect();

    let runs = audit(&timed, schedule)?;
    let client = served.client()?;
    ensure!(submitted(&client).await?.is_superset(&runs), "a run that was answered is not in the store");
    served.stop().await?;
    stop(workers).await?;

    let milliseconds = |of: fn(&Timed<Submitted>) -> Duration| -> Vec<f64> {
        timed.iter().map(|timed| of(timed).as_secs_f64() * 1e3).collect()
    };
    let latencies = milliseconds(|timed| timed.latency);
    let [half, most, rare, worst] = [0.5, 0.99, 0.999, 1.0].map(|share| quantile(latencies.clone(), share));
    let late = quantile(milliseconds(|timed| timed.late), 0.99);
    let share = (seen.rate() / PLAN).min(1.0);
    Ok(vec![
        Row::new(
            format!("API: a user a call, 200/s over 64 connections, {}", store(kind)),
            format!("p50 {half:.1} ms, p99 {most:.1} ms, p99.9 {rare:.1} ms"),
        )
        .goal("p99 < 50 ms, none lost, each once", Duration::from_secs_f64(most / 1e3) < GOAL)
        .note(format!(
            "{} calls in {seconds} s made {} runs, each in the store once; {} of the calls repeated another's key; \
             GET /healthz at the same rate: p99 {:.1} ms; the longest took {worst:.1} ms, {late:.1} ms (p99) of the latencies are calls begun late; the vendor let in {} of \
             the limit meanwhile; usher serve used {} of a core{} and {memory} MB at most",
            thousands(timed.len() as f64),
            thousands(runs.len() as f64),
            thousands((timed.len() - runs.len()) as f64),
            quantile(bare, 0.99),
            percent(share),
            percent(used.as_secs_f64() / seconds as f64),
            if kind == Kind::Sqlite { ", the worker in it included," } else { "" },
        )),
    ])
}

/// The store as the table names it.
pub fn store(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => "SQLite",
        Kind::Redis => "Redis",
    }
}

/// The call that a call repeats.
fn repeats(call: usize, schedule: Schedule) -> usize {
    let turn = call / schedule.connections;
    if turn > 0 && turn.is_multiple_of(REPEATS) { call - schedule.connections } else { call }
}

fn callers(served: &Served, users: &[String], schedule: Schedule) -> Result<Vec<Caller<Submitted>>> {
    let caller = |_| -> Result<Caller<Submitted>> {
        let (client, users) = (served.client()?, users.to_vec());
        Ok(Box::new(move |call| {
            let client = client.clone();
            let stands_for = repeats(call, schedule);
            let user = users[stands_for].clone();
            Box::pin(async move { client.deactivate(&user, &format!("bench-{stands_for}")).await })
        }))
    };
    (0..schedule.connections).map(caller).collect()
}

fn pings(served: &Served, schedule: Schedule) -> Result<Vec<Caller<()>>> {
    let caller = |_| -> Result<Caller<()>> {
        let client = served.client()?;
        Ok(Box::new(move |_| {
            let client = client.clone();
            Box::pin(async move { client.ping().await })
        }))
    };
    (0..schedule.connections).map(caller).collect()
}

/// Every call is answered with a run, new ones with runs of their own, repeated ones with that of the first; returns the runs.
fn audit(timed: &[Timed<Submitted>], schedule: Schedule) -> Result<HashSet<String>> {
    ensure!(timed.len() == schedule.calls, "{} of {} calls are answered", timed.len(), schedule.calls);
    let mut runs = BTreeMap::new();
    for timed in timed {
        let stands_for = repeats(timed.call, schedule);
        let Submitted { run, created } = &timed.answer;
        let is_first = stands_for == timed.call;
        ensure!(*created == is_first, "call {} answers created: {created} for run {run}", timed.call);
        if is_first {
            ensure!(runs.insert(timed.call, run.clone()).is_none(), "call {} is answered twice", timed.call);
        } else {
            let first = runs.get(&stands_for);
            ensure!(first == Some(run), "call {} is run {run}, the one it repeats {first:?}", timed.call);
        }
    }
    let distinct: HashSet<String> = runs.values().cloned().collect();
    ensure!(distinct.len() == runs.len(), "two calls for two users got one run");
    Ok(distinct)
}

/// All runs of one user that the store has, page by page.
async fn submitted(client: &Client) -> Result<HashSet<String>> {
    let (mut found, mut next) = (HashSet::new(), String::new());
    loop {
        let page = client.get(&format!("/v1/runs?limit=200{next}")).await?;
        for run in page["runs"].as_array().context("a page without runs")? {
            if run["total"] == 1 {
                let id = run["run"].as_str().context("a run without an id")?;
                ensure!(found.insert(id.to_owned()), "run {id} is listed twice");
            }
        }
        match page["next"].as_str() {
            Some(before) => next = format!("&before={before}"),
            None => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule { rate: 1.0, calls: 66, connections: 2 };

    fn answered(call: usize, run: usize, created: bool) -> Timed<Submitted> {
        let answer = Submitted { run: run.to_string(), created };
        Timed { call, latency: Duration::ZERO, late: Duration::ZERO, answer }
    }

    fn all_well() -> Vec<Timed<Submitted>> {
        let made = |call| answered(call, repeats(call, SCHEDULE), repeats(call, SCHEDULE) == call);
        (0..SCHEDULE.calls).map(made).collect()
    }

    #[test]
    fn a_lost_a_doubled_and_a_mixed_up_call_are_seen() {
        assert_eq!(audit(&all_well(), SCHEDULE).unwrap().len(), 64, "two of them repeat another");
        let faults: [fn(&mut Vec<Timed<Submitted>>); 4] = [
            |calls| drop(calls.pop()),
            |calls| calls[40] = answered(40, 99, true),
            |calls| calls[40] = answered(40, 37, false),
            |calls| calls[3] = answered(3, 2, true),
        ];
        for (n, fault) in faults.into_iter().enumerate() {
            let mut calls = all_well();
            fault(&mut calls);
            assert!(audit(&calls, SCHEDULE).is_err(), "fault {n}");
        }
    }
}

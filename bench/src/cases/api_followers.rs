//! What followers of one run cost.

use std::{collections::HashSet, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio::{process::Command, task::JoinSet, time::Instant};
use usher_simulator::{
    faults::{Faults, MsRange},
    zoom::Limits,
};

use super::{
    Bench,
    pace::{PLAN, settings},
};
use crate::{
    figure::{Row, percent},
    ground::{Ground, Kind, stop},
    process::{Process, ports_to, processor_time},
    served::{Client, Served},
};

/// Followers, beside one.
const MANY: usize = 200;

/// What the server did in some seconds, by the second.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Commands that it sent to Redis, counted there.
    commands: f64,
    /// Of a core.
    processor: f64,
    /// Status events that a follower got, at least.
    events: f64,
}

pub async fn run(bench: Bench) -> Result<Vec<Row>> {
    let window = Duration::from_secs(bench.number(20, 5) as u64);
    let faults = Faults { latency_ms: MsRange::new(60, 60), ..Faults::default() };
    // Enough for all windows at the full rate, and what lies between them.
    let users = (PLAN * (3.0 * window.as_secs_f64() + 30.0)) as usize;
    let ground = Ground::new(Kind::Redis, settings(users, Limits::default(), faults)).await?;
    let served = Served::start(&ground, &[]).await?;
    let workers = ground.workers(2).await?;
    let run = ground.submit(&ground.csv(&ground.sim.members().await?)?, &[]).await?;
    ground.sim.let_in(PLAN as u64).await?;

    let (mut costs, events) = (vec![], format!("/v1/runs/{run}/events"));
    for followers in [0, 1, MANY] {
        costs.push(measure(&ground, &served, &events, followers, window).await?);
    }
    let status = served.client()?.get(&format!("/v1/runs/{run}")).await?;
    ensure!(status["state"] == "running", "the run was {} at the end: too short", status["state"]);
    served.stop().await?;
    stop(workers).await?;
    let [none, one, many] = costs.as_slice() else { anyhow::bail!("three windows were measured") };
    let ratio = many.commands / one.commands.max(f64::MIN_POSITIVE);
    Ok(vec![
        Row::new(
            format!("API: {MANY} followers of a run beside 1"),
            format!("{ratio:.2}x the store calls ({:.1}/s, {:.1}/s)", many.commands, one.commands),
        )
        .goal("<= 1.1x", ratio <= 1.1)
        .note(format!(
            "commands that usher serve sent to Redis over {} s each, counted by Redis; without followers {:.1}/s; each follower got \
             at least {:.1} events a second; usher serve used {} of a core for {MANY}, {} for one, {} for none",
            window.as_secs(),
            none.commands,
            many.events.min(one.events),
            percent(many.processor),
            percent(one.processor),
            percent(none.processor),
        )),
    ])
}

async fn measure(
    ground: &Ground,
    served: &Served,
    path: &str,
    followers: usize,
    window: Duration,
) -> Result<Cost> {
    let mut following = JoinSet::new();
    let until = Instant::now() + window + Duration::from_secs(2);
    for _ in 0..followers {
        following.spawn(follow(served.client()?, path.to_owned(), until));
    }
    // All of them are connected, and have their first event.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = processor_time(served.pid()?)?;
    let commands = counted(ground, served.pid()?, window).await?;
    let used = processor_time(served.pid()?)? - before;
    let mut fewest = usize::MAX;
    while let Some(ended) = following.join_next().await {
        fewest = fewest.min(ended??);
    }
    let seconds = window.as_secs_f64();
    let events = if followers == 0 { 0.0 } else { fewest as f64 / (seconds + 2.0) };
    Ok(Cost { commands: commands as f64 / seconds, processor: used.as_secs_f64() / seconds, events })
}

/// Reads events until it is time; returns how many.
async fn follow(client: Client, path: String, until: Instant) -> Result<usize> {
    let mut response = client.follow(&path).await?;
    let (mut events, mut rest) = (0, String::new());
    while let Ok(chunk) = tokio::time::timeout_at(until, response.chunk()).await {
        let chunk = chunk?.context("the events ended before the run did")?;
        rest += std::str::from_utf8(&chunk).unwrap_or_default();
        while let Some((event, more)) = rest.split_once("\n\n") {
            events += usize::from(event.contains("data:"));
            rest = more.to_owned();
        }
    }
    Ok(events)
}

/// Commands that a process sent to Redis within so long, as Redis tells while they come.
async fn counted(ground: &Ground, pid: u32, window: Duration) -> Result<usize> {
    let (redis, file) = (ground.redis()?, ground.dir().join("monitor"));
    let mut monitor = Command::new("redis-cli");
    monitor.args(["-p", &redis.port(), "monitor"]).stdout(Stdio::from(std::fs::File::create(&file)?));
    let mut ports = ports_to(pid, redis.port().parse()?)?;
    let monitor = Process::start("redis-cli monitor", &mut monitor, ground.dir())?;
    tokio::time::sleep(window).await;
    monitor.stop().await?;
    ports.extend(ports_to(pid, redis.port().parse()?)?);
    ensure!(!ports.is_empty(), "usher serve has no connection to Redis");
    let connections: HashSet<String> = ports.iter().map(|port| format!("0 127.0.0.1:{port}")).collect();
    let text = std::fs::read_to_string(&file)?;
    Ok(text.lines().filter_map(sender).filter(|sender| connections.contains(*sender)).count())
}

/// Who sent a command: `0 127.0.0.1:40123` of `1732212345.123456 [0 127.0.0.1:40123] "FCALL" ...`; what a script does has
/// `0 lua` there.
fn sender(line: &str) -> Option<&str> {
    Some(line.split_once(" [")?.1.split_once(']')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_of_a_command_is_read() {
        let line = r#"1732212345.123456 [0 127.0.0.1:40123] "SET" "a [0 b] c""#;
        assert_eq!(sender(line), Some("0 127.0.0.1:40123"));
        assert_eq!(sender(r#"1732212345.123456 [0 lua] "GET" "a""#), Some("0 lua"));
        assert_eq!(sender("OK"), None);
    }
}

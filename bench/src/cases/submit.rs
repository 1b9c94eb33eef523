//! A CSV into the store, by the real command.

use std::{
    fs,
    io::{BufWriter, Write as _},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use usher_simulator::zoom::Settings;

use super::{Bench, peers::Bullmq, store_alone::without_a_peer};
use crate::{
    figure::{Row, median, thousands},
    ground::{Ground, Kind},
    process::{Process, output, peak_memory},
};

/// Writes a CSV of so many people.
pub fn write_csv(path: &Path, rows: usize) -> Result<()> {
    let mut csv = BufWriter::new(fs::File::create(path)?);
    writeln!(csv, "employee,email,department")?;
    for n in 0..rows {
        writeln!(csv, "E{n:07},first{n}.last{n}@corp.example,Sales")?;
    }
    csv.flush()?;
    Ok(())
}

/// Submits so many rows into an empty store: rows a second over the whole life of the process, and its peak memory in MB.
async fn once(kind: Kind, rows: usize) -> Result<(f64, u64)> {
    let ground = Ground::new(kind, Settings::default()).await?;
    let path = ground.dir().join("many.csv");
    write_csv(&path, rows)?;
    let file = path.to_str().context("the temporary directory has a strange name")?;
    let words = ["submit", file, "-a", "zoom-main", "--action", "deactivate", "--yes", "--quiet"];
    let began = Instant::now();
    let mut process = Process::start("usher submit", &mut ground.usher(&words)?, ground.dir())?;
    let mut peak = 0;
    while process.ended()?.is_none() {
        peak = peak.max(process.id().map_or(0, peak_memory));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    process.success().await?;
    let runs = output("usher runs", ground.usher(&["runs", "--json"])?.stdout(Stdio::piped())).await?;
    let runs: serde_json::Value = serde_json::from_str(&runs)?;
    ensure!(runs[0]["total"] == rows, "the store says {} of {rows} rows", runs[0]["total"]);
    Ok((rows as f64 / seconds, peak))
}

pub async fn redis(bench: Bench) -> Result<Vec<Row>> {
    let (rows, rounds) = (bench.number(1_000_000, 200_000), bench.number(3, 1));
    let (their_rows, bullmq) = (bench.number(100_000, 20_000), Bullmq::new(&bench));
    let (mut ours, mut theirs, mut most) = (vec![], vec![], 0);
    let mut chunk = Ok(None);
    if let Ok(bullmq) = &bullmq {
        chunk = bullmq.best_chunk(bench.number(20_000, 5_000)).await.map(Some);
    }
    for _ in 0..rounds {
        let (rate, peak) = once(Kind::Redis, rows).await?;
        ours.push(rate);
        most = most.max(peak);
        if let (Ok(bullmq), Ok(Some(chunk))) = (&bullmq, &chunk) {
            theirs.push(bullmq.add(their_rows, *chunk).await?);
        }
    }
    let (rate, goal) = (median(ours), ">= 4x BullMQ's addBulk");
    let row = Row::new("submit a CSV to Redis", format!("{} rows/s, {most} MB at most", thousands(rate)));
    let note = format!("{rows} rows, the process's start and end included");
    Ok(vec![match (bullmq, chunk) {
        (Ok(_), Ok(Some(chunk))) => {
            let their_rate = median(theirs);
            let ratio = rate / their_rate;
            row.goal(goal, ratio >= 4.0)
                .peer(format!("{ratio:.2}x addBulk ({} jobs/s)", thousands(their_rate)))
                .note(format!(
                    "{note}; addBulk of {their_rows} jobs from memory, {chunk} a call, which is best for it"
                ))
        }
        (Err(why), _) | (_, Err(why)) => without_a_peer(row, goal, &note, &why),
        (_, Ok(None)) => row.note(note),
    }])
}

pub async fn sqlite(bench: Bench) -> Result<Vec<Row>> {
    let rows = bench.number(1_000_000, 200_000);
    let (rate, peak) = once(Kind::Sqlite, rows).await?;
    let row = Row::new("submit a CSV to SQLite", format!("{} rows/s, {peak} MB at most", thousands(rate)));
    Ok(vec![row.goal(">= 100,000 rows/s", rate >= 100_000.0).note(format!("{rows} rows"))])
}

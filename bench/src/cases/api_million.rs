//! A long CSV in the body of one call.

use std::{process::Stdio, time::Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use usher_simulator::zoom::Settings;

use super::{Bench, api_single::store, submit::write_csv};
use crate::{
    figure::{Row, thousands},
    ground::{Ground, Kind},
    process::{output, peak_memory},
    served::Served,
};

/// The most memory that the server may have had.
const AT_MOST_MB: u64 = 150;

pub async fn run(bench: Bench, kind: Kind) -> Result<Vec<Row>> {
    let rows = bench.number(1_000_000, 200_000);
    let ground = Ground::new(kind, Settings::default()).await?;
    let path = ground.dir().join("many.csv");
    write_csv(&path, rows)?;
    let megabytes = std::fs::metadata(&path)?.len() as f64 / 1e6;
    let served = Served::start(&ground, &[]).await?;
    let idle = peak_memory(served.pid()?);

    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail-with-body", "--noproxy", "*", "--header"])
        .arg(format!("@{}", served.header_file(&ground)?))
        .args(["--header", "Content-Type: text/csv", "--request", "POST", "--upload-file"])
        .arg(&path)
        .arg(format!("{}/v1/runs?account=zoom-main&action=deactivate", served.url))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let began = Instant::now();
    let answer = output("curl", &mut curl).await?;
    let seconds = began.elapsed().as_secs_f64();
    let peak = peak_memory(served.pid()?);

    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let run = answer["run"].as_str().with_context(|| format!("{answer} names no run"))?;
    let status = served.client()?.get(&format!("/v1/runs/{run}")).await?;
    ensure!(status["total"] == rows, "the store says {} of {rows} rows", status["total"]);
    served.stop().await?;
    Ok(vec![
        Row::new(
            format!("API: a CSV of {} rows in one call, {}", thousands(rows as f64), store(kind)),
            format!("{peak} MB at most, {seconds:.1} s"),
        )
        .goal(format!("< {AT_MOST_MB} MB"), peak < AT_MOST_MB)
        .note(format!(
            "{} rows/s with curl from a file of {megabytes:.0} MB, until the answer, the run sealed; the server had {idle} MB before",
            thousands(rows as f64 / seconds)
        )),
    ])
}

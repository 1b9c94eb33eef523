//! A refusal that names a time: nobody calls before it.

use anyhow::{Context as _, Result};
use usher_simulator::{
    faults::{Faults, MsRange},
    zoom::{JournalLine, Limits},
};

use super::{
    Bench,
    pace::{fleet, settings},
};
use crate::{figure::Row, journal::STATUS};

/// The call that is refused: some seconds into the run, with all workers at full speed.
const REFUSED: usize = 500;
const TOKEN: &str = "POST /oauth/token";
const WAIT_US: u64 = 5_000_000;

pub async fn run(bench: Bench) -> Result<Vec<Row>> {
    let limits = Limits {
        inject_429: vec![format!("second@{REFUSED}x1:5").parse().map_err(anyhow::Error::msg)?],
        ..Limits::default()
    };
    let faults = Faults { latency_ms: MsRange::new(60, 60), ..Faults::default() };
    let (_, ground) = fleet(settings(bench.number(1_600, 800), limits, faults), 4).await?;
    let report = ground.sim.report().await?;
    let journal = ground.sim.journal().await?;
    // The simulator counts calls with a good token; a refusal that was not planted may have come before.
    let counted = |line: &&JournalLine| line.route != TOKEN && line.ending.as_deref() != Some("401");
    let planted = journal.iter().filter(counted).nth(REFUSED - 1);
    let planted = planted.filter(|line| line.ending.as_deref() == Some("429"));
    let told = planted.and_then(|line| line.ended_us).context("the planted refusal was not met")?;
    let over = told + WAIT_US;
    let in_flight = journal
        .iter()
        .filter(|line| line.seen_us <= told && line.ended_us.is_none_or(|ended| ended > told))
        .count();
    let meanwhile: Vec<u64> = journal
        .iter()
        .filter(|line| line.seen_us > told && line.seen_us < over)
        .map(|line| (line.seen_us - told) / 1_000)
        .collect();
    let next = journal
        .iter()
        .filter(|line| line.route == STATUS && line.seen_us >= over)
        .map(|line| line.seen_us)
        .min();
    let next = next.map_or_else(
        || "none came after".to_owned(),
        |at| format!("the next came {} ms after the time", (at - over) / 1_000),
    );
    let begun = report.calls_while_told_to_wait;
    let last = meanwhile.last().map_or_else(String::new, |last| {
        format!("; the last call before the time was {last} ms after the refusal")
    });
    Ok(vec![
        Row::new("a 429 with Retry-After 5, 4 workers", format!("{begun} calls begun in those 5 s"))
            .goal("0", begun == 0)
            .note(format!(
                "{in_flight} calls were in flight when it was sent, {} reached the vendor within the 5 ms that its way back is granted; {next}{last}",
                (meanwhile.len() as u64).saturating_sub(begun)
            )),
    ])
}

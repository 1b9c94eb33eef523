//! `usher status`: how far a run has come, or what is unfinished.

use std::time::{Duration, Instant};

use usher_shared::{RunStatus, store::SharedStore};

use super::steer::find;
use crate::{
    cli::StatusArgs,
    console,
    exit::{Exit, Outcome},
    progress::Progress,
    report::{
        json::StatusView,
        numbers::{count, of},
        summary::{Failures, summary},
    },
    wiring::Context,
};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Shows a run, or all that are unfinished; with `--watch`, until the run is over.
pub async fn status(context: &Context, args: &StatusArgs) -> Outcome {
    let (store, address) = context.open_store().await?;
    let Some(run) = &args.run else {
        let mut unfinished = store.runs(10_000).await?;
        unfinished.retain(|status| !status.phase.is_over());
        if args.json {
            let views: Vec<StatusView<'_>> = unfinished.iter().map(StatusView::from).collect();
            let text = serde_json::to_string_pretty(&views).map_err(std::io::Error::from)?;
            console::print(&format!("{text}\n"))?;
        } else if unfinished.is_empty() {
            console::print(&format!("Nothing is unfinished in {address}.\n"))?;
        } else {
            for status in &unfinished {
                console::print(&line(status))?;
            }
        }
        return Ok(Exit::Success);
    };
    let mut status = find(&store, run).await?;
    if args.watch {
        let mut stop = context.stop.clone();
        let mut progress = Progress::new(&context.bars, context.global.quiet);
        while !status.phase.is_over() {
            progress.show(&status, None, Instant::now());
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.asked() => {
                    progress.end();
                    return Ok(Exit::Interrupted);
                }
            }
            status = find(&store, run).await?;
        }
        progress.end();
    }
    show(&store, &status, args.json, None).await?;
    Ok(if args.watch { verdict(&status) } else { Exit::Success })
}

/// Prints a status: as JSON, or for people.
pub async fn show(store: &SharedStore, status: &RunStatus, json: bool, plan: Option<f64>) -> Outcome {
    if json {
        let text = serde_json::to_string_pretty(&StatusView::from(status)).map_err(std::io::Error::from)?;
        console::print(&format!("{text}\n"))?;
    } else {
        let failures = Failures::of(store, &status.run.id).await?;
        console::print(&summary(status, &failures, plan))?;
        if !status.phase.is_over() {
            let counters = &status.counters;
            let waiting = counters.total - counters.finished - counters.leased;
            console::print(&format!(
                "Still to do: {}, {} in flight.\n",
                of(waiting, "user"),
                count(counters.leased)
            ))?;
            if let Some(hold) = &status.hold {
                let until = hold.until.map(|until| format!(" until {until}")).unwrap_or_default();
                console::print(&format!("The account is on hold{until}: {}\n", hold.message))?;
            }
        }
    }
    Ok(Exit::Success)
}

/// The exit code that a run's outcomes deserve.
pub fn verdict(status: &RunStatus) -> Exit {
    let as_wished: u64 =
        status.counters.outcomes.iter().filter(|(outcome, _)| outcome.is_as_wished()).map(|(_, n)| n).sum();
    if as_wished == status.counters.total { Exit::Success } else { Exit::SomeFailed }
}

fn line(status: &RunStatus) -> String {
    let hold = status.hold.as_ref().map(|hold| format!("  ({})", hold.message)).unwrap_or_default();
    format!(
        "{}  {}  {}  {}  {} of {} done{hold}\n",
        status.run.id,
        status.run.account,
        status.action_word(),
        status.state(),
        count(status.counters.finished),
        of(status.counters.total, "user"),
    )
}

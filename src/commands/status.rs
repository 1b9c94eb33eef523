//! `usher status`: how far a run has come, or what is unfinished.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use usher_shared::{RunId, RunStatus, store::SharedStore};

use super::steer::find;
use crate::{
    cli::StatusArgs,
    console,
    exit::{Exit, Failure, Outcome},
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
        if args.watch && watch_all(context, &store).await? {
            return Ok(Exit::Interrupted);
        }
        let unfinished = unfinished(&store).await?;
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
        let mut progress = Progress::new(&context.bars, context.global.quiet);
        while !status.phase.is_over() {
            progress.show(&status, None, Instant::now());
            if pause_or_stop(context).await {
                progress.end();
                return Ok(Exit::Interrupted);
            }
            status = find(&store, run).await?;
        }
        progress.end();
    }
    show(&store, &status, args.json, None).await?;
    Ok(if args.watch { verdict(&status) } else { Exit::Success })
}

/// Shows every unfinished run until none is left; `true` where it was asked to stop first.
async fn watch_all(context: &Context, store: &SharedStore) -> Result<bool, Failure> {
    let mut shown: BTreeMap<RunId, Progress> = BTreeMap::new();
    loop {
        let unfinished = unfinished(store).await?;
        shown.retain(|run, progress| {
            let goes_on = unfinished.iter().any(|status| status.run.id == *run);
            if !goes_on {
                progress.end();
            }
            goes_on
        });
        for status in &unfinished {
            shown
                .entry(status.run.id.clone())
                .or_insert_with(|| Progress::new(&context.bars, context.global.quiet))
                .show(status, None, Instant::now());
        }
        if unfinished.is_empty() || pause_or_stop(context).await {
            shown.values_mut().for_each(Progress::end);
            return Ok(!unfinished.is_empty());
        }
    }
}

/// Waits until it is time to look again; `true` where the process was asked to stop.
async fn pause_or_stop(context: &Context) -> bool {
    let mut stop = context.stop.clone();
    tokio::select! {
        () = tokio::time::sleep(LOOK_EVERY) => false,
        () = stop.asked() => true,
    }
}

/// All runs that are not over, the newest first.
pub async fn unfinished(store: &SharedStore) -> Result<Vec<RunStatus>, Failure> {
    let mut runs = store.runs(10_000).await?;
    runs.retain(|status| !status.phase.is_over());
    Ok(runs)
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

/// A run on one line.
pub fn line(status: &RunStatus) -> String {
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

//! `usher run`: from the file to the report, in this process.

use usher_shared::{RunId, store::SharedStore};

use super::status::unfinished;
use crate::{
    cli::{Ending, RunArgs, Submission},
    console,
    dry_run::dry_run,
    exit::{Failure, Outcome},
    report::numbers::count,
    submission,
    wiring::{self, Context},
    work::{self, Ended},
};

/// What is to be done, and how its end is shown.
pub struct Order {
    /// What to submit.
    pub submission: Submission,
    /// How the end is shown.
    pub ending: Ending,
}

/// Changes the users in a file.
pub async fn run(context: &Context, args: &RunArgs) -> Outcome {
    if args.dry_run.dry_run {
        return dry_run(context, &args.submission, &args.dry_run, args.ending.json).await;
    }
    let order = Order { submission: args.submission.clone(), ending: args.ending.clone() };
    Ok(carry_out(context, &order).await?.exit)
}

/// Submits, works until the run is over, and reports.
pub async fn carry_out(context: &Context, order: &Order) -> Result<Ended, Failure> {
    let name = &order.submission.account;
    let (store, address) = context.open_store().await?;
    // Before anything is enqueued: a secret that can't be read should not leave a run behind.
    let provider = wiring::shelved_provider(context, &store, name)?;
    let submitted = submission::submit(context, &store, &address, &order.submission, Some(&provider)).await?;
    name_others(context, &store, submitted.run()).await?;
    work::to_its_end(context, &store, &address, submitted.run(), provider, &order.ending).await
}

/// Names the other unfinished runs: they are not touched, and should not be forgotten.
async fn name_others(context: &Context, store: &SharedStore, own: &RunId) -> Result<(), Failure> {
    for status in unfinished(store).await? {
        if status.run.id != *own {
            console::hint(
                context.global.quiet,
                format_args!(
                    "Also unfinished, and left alone: run {} on {}, {}, {} of {} done.",
                    status.run.id,
                    status.run.account,
                    status.state(),
                    count(status.counters.finished),
                    count(status.counters.total),
                ),
            );
        }
    }
    Ok(())
}

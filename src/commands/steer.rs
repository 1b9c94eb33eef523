//! `usher pause`, `usher cancel` and `usher priority`.

use usher_producer::steer::{self, find};

use crate::{
    cli::{CancelArgs, PriorityArgs, RunArg},
    console,
    exit::{Exit, Outcome},
    report::numbers::{count, of},
    wiring::{self, Context},
};

/// Stops a run for now.
pub async fn pause(context: &Context, args: &RunArg) -> Outcome {
    let (store, _) = context.open_store().await?;
    let status = find(&store, &args.run).await?;
    let status = steer::pause(&store, &status, &wiring::who()).await?;
    console::hint(
        context.global.quiet,
        format_args!(
            "Run {} is paused: {} of {} done, {} in flight. Go on with `usher resume {}`.",
            args.run,
            count(status.counters.finished),
            count(status.counters.total),
            count(status.counters.leased),
            args.run
        ),
    );
    Ok(Exit::Success)
}

/// Ends a run for good.
pub async fn cancel(context: &Context, args: &CancelArgs) -> Outcome {
    let (store, _) = context.open_store().await?;
    let status = find(&store, &args.run).await?;
    let left = status.counters.total - status.counters.finished;
    if !status.phase.is_over() && !args.yes {
        let question = format!(
            "Cancel run {} on {}? {} not yet changed will stay as they are.",
            args.run,
            status.run.account,
            of(left, "user")
        );
        console::confirm(question, false).await?;
    }
    steer::cancel(&store, &status, &wiring::who()).await?;
    let status = steer::cancel_rest(&store, &args.run).await?;
    let in_flight = status.counters.total - status.counters.finished;
    let flying = if in_flight > 0 {
        format!(" {} in flight will finish.", of(in_flight, "call"))
    } else {
        String::new()
    };
    console::hint(context.global.quiet, format_args!("Run {} is cancelled.{flying}", args.run));
    Ok(Exit::Success)
}

/// Changes how soon a run is worked.
pub async fn priority(context: &Context, args: &PriorityArgs) -> Outcome {
    let (store, _) = context.open_store().await?;
    let status = find(&store, &args.run).await?;
    let (run, was) = (&status.run, status.run.priority);
    steer::set_priority(&store, &status, args.priority, &wiring::who()).await?;
    let told = if was == args.priority {
        format!("Run {} is {was} already.", run.id)
    } else {
        format!("Run {} is {} now, and was {was}; calls in flight finish first.", run.id, args.priority)
    };
    console::hint(context.global.quiet, told);
    Ok(Exit::Success)
}

//! `usher pause`, `usher cancel` and `usher priority`.

use usher_shared::{
    RunId, RunStatus,
    audit::AuditKind,
    store::{CHUNK, SharedStore, StoreError},
};

use crate::{
    audit::{self, About},
    cli::{CancelArgs, PriorityArgs, RunArg},
    console,
    exit::{Exit, Failure, Outcome},
    report::numbers::{count, of},
    wiring::Context,
};

/// Stops a run for now.
pub async fn pause(context: &Context, args: &RunArg) -> Outcome {
    let (store, _) = context.open_store().await?;
    let status = find(&store, &args.run).await?;
    if !status.phase.is_over() {
        audit::tell(&store, AuditKind::Paused, About::run(&status.run.account, &args.run)).await?;
    }
    store.pause(&args.run).await?;
    let status = find(&store, &args.run).await?;
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
    if !status.phase.is_over() {
        let about = About::run(&status.run.account, &args.run).saying(format!("{} left", of(left, "user")));
        audit::tell(&store, AuditKind::Cancelled, about).await?;
    }
    let in_flight = cancel_all(&store, &args.run).await?;
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
    if status.phase.is_over() {
        return Err(Failure::new(
            Exit::InvalidInput,
            format!("run {} is {}: there is nothing to be done sooner", run.id, status.state()),
        ));
    }
    if was == args.priority {
        console::hint(context.global.quiet, format_args!("Run {} is {was} already.", run.id));
        return Ok(Exit::Success);
    }
    let about = About::run(&run.account, &run.id).saying(format!("from {was} to {}", args.priority));
    audit::tell(&store, AuditKind::Reprioritized, about).await?;
    store.set_priority(&run.id, args.priority).await?;
    console::hint(
        context.global.quiet,
        format_args!("Run {} is {} now, and was {was}; calls in flight finish first.", run.id, args.priority),
    );
    Ok(Exit::Success)
}

/// Cancels chunk by chunk until only what is in flight is left; returns how many that are.
async fn cancel_all(store: &SharedStore, run: &RunId) -> Result<u64, Failure> {
    loop {
        let left = store.cancel(run, CHUNK).await?;
        let status = find(store, run).await?;
        if left == 0 || left <= status.counters.leased {
            return Ok(left);
        }
    }
}

/// The run, or an error that says there is none.
pub async fn find(store: &SharedStore, run: &RunId) -> Result<RunStatus, Failure> {
    Ok(store.run(run).await?.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?)
}

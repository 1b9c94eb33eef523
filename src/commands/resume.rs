//! `usher resume`: goes on with a paused or interrupted run.

use usher_producer::steer::{Barred, SteerError, find, let_go_on};
use usher_shared::{RunId, RunStatus, config::StoreAddress, store::SharedStore};

use super::status::{line, unfinished};
use crate::{
    cli::ResumeArgs,
    console,
    exit::{Exit, Failure, Outcome},
    wiring::{self, Context},
    work,
};

/// Takes the pause back; then works the run in this process, or leaves it to workers.
pub async fn resume(context: &Context, args: &ResumeArgs) -> Outcome {
    let (store, address) = context.open_store().await?;
    let status = match &args.run {
        Some(run) => find(&store, run).await?,
        None => the_only_unfinished(&store).await?,
    };
    let run = &status.run.id;
    if status.phase.is_over() {
        let (run, state) = (run.clone(), status.state());
        return Err(SteerError::Barred { run, state, barred: Barred::Resume }.into());
    }
    if args.detach {
        let_go_on(&store, &status, &wiring::who()).await?;
        let who = match address {
            StoreAddress::Redis(_) => "workers go on with it",
            StoreAddress::Sqlite(_) => {
                "a worker on this store goes on with it; without one, say `usher resume` without --detach"
            }
        };
        console::hint(context.global.quiet, format_args!("Run {run} is resumed: {who}."));
        tell_what_stands(context, &store, &address, run).await?;
        return Ok(Exit::Success);
    }
    let name = &status.run.account;
    let provider = wiring::shelved_provider(context, &store, name)?;
    let_go_on(&store, &status, &wiring::who()).await?;
    tell_what_stands(context, &store, &address, run).await?;
    Ok(work::to_its_end(context, &store, &address, run, provider, &args.ending).await?.exit)
}

/// What a resume does not lift: a pause that the vendor asked for, a quota that is used up, a hold that ends by itself. It
/// would only be refused again.
async fn tell_what_stands(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    run: &RunId,
) -> Result<(), Failure> {
    let status = find(store, run).await?;
    let scene = wiring::observer(store, address, &status).look(&status, None).await;
    for wait in scene.waits.iter().filter(|wait| wait.until.is_some()) {
        console::hint(
            context.global.quiet,
            format_args!("What a resume does not lift still stands: {}.", scene.words(wait)),
        );
    }
    Ok(())
}

/// The run that can only be meant; where there are several, they are named.
async fn the_only_unfinished(store: &SharedStore) -> Result<RunStatus, Failure> {
    let mut unfinished = unfinished(store).await?;
    match (unfinished.pop(), unfinished.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => {
            Err(Failure::new(Exit::InvalidInput, "nothing is unfinished: there is nothing to go on with"))
        }
        (Some(last), false) => {
            unfinished.push(last);
            let lines: String = unfinished.iter().map(line).collect();
            let message =
                format!("several runs are unfinished; say which: usher resume RUN\n{}", lines.trim_end());
            Err(Failure::new(Exit::InvalidInput, message))
        }
    }
}

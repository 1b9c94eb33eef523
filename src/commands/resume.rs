//! `usher resume`: goes on with a paused or interrupted run.

use usher_shared::config::StoreAddress;

use super::steer::find;
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
    let status = find(&store, &args.run).await?;
    if status.phase.is_over() {
        return Err(Failure::new(
            Exit::InvalidInput,
            format!("run {} is {}: there is nothing to go on with", args.run, status.state()),
        ));
    }
    if args.detach {
        work::let_go_on(&store, &status).await?;
        let who = match address {
            StoreAddress::Redis(_) => "workers go on with it",
            StoreAddress::Sqlite(_) => {
                "a worker on this store goes on with it; without one, say `usher resume` without --detach"
            }
        };
        console::hint(context.global.quiet, format_args!("Run {} is resumed: {who}.", args.run));
        return Ok(Exit::Success);
    }
    let name = &status.run.account;
    let provider = wiring::provider(&context.config, name, context.config.account(name)?)?;
    Ok(work::to_its_end(context, &store, &address, &args.run, provider, &args.ending).await?.exit)
}

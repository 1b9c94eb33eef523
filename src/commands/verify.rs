//! `usher verify`: is every user in the state that the outcome says?

use crate::{
    cli::RunArg,
    console, ending,
    exit::{Exit, Failure, Outcome},
    wiring::{self, Context},
    work,
};
use usher_producer::steer::find;

/// Compares the directory with the outcomes of a run that is over. Exit code 1 where they disagree.
pub async fn verify(context: &Context, args: &RunArg) -> Outcome {
    let (store, address) = context.open_store().await?;
    let status = find(&store, &args.run).await?;
    if !status.phase.is_over() {
        return Err(Failure::new(
            Exit::InvalidInput,
            format!("run {} is {}: it can be verified once it is over", args.run, status.state()),
        ));
    }
    let provider = wiring::shelved_provider(context, &store, &status.run.account)?;
    let verification = work::verify(&store, &address, &provider, &status).await?;
    console::print(&ending::describe(&verification))?;
    Ok(if verification.disagreements.is_empty() { Exit::Success } else { Exit::SomeFailed })
}

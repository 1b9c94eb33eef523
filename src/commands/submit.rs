//! `usher submit`: puts the users in a file into the queue.

use crate::{
    cli::SubmitArgs,
    console,
    dry_run::dry_run,
    exit::{Exit, Outcome},
    submission,
    wiring::Context,
};

/// Submits, and prints the run's id alone on standard output.
pub async fn submit(context: &Context, args: &SubmitArgs) -> Outcome {
    if args.dry_run.dry_run {
        return dry_run(context, &args.submission, &args.dry_run, args.ending.json).await;
    }
    // Whoever only submits needs no account of its own; whoever has some gets a wrong name told now.
    if !context.config.accounts.is_empty() {
        context.config.account(&args.submission.account)?;
    }
    let (store, address) = context.open_store().await?;
    let submitted = submission::submit(context, &store, &address, &args.submission, None).await?;
    console::print(&format!("{}\n", submitted.run()))?;
    if args.ending.verify {
        console::hint(
            context.global.quiet,
            format_args!(
                "Workers do it later. Once it is over, compare with: usher verify {}",
                submitted.run()
            ),
        );
    }
    Ok(Exit::Success)
}

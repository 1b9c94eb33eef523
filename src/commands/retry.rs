//! `usher retry`: tries users of a run that is over again, as part of the same run.

use usher_producer::steer::{Retry, RetryOf, can_be_retried, find};
use usher_shared::config::StoreAddress;

use super::apply::{Follow, carry_out, worked_here};
use crate::{
    cli::RetryArgs,
    console,
    exit::{Exit, Outcome},
    report::numbers::of,
    wiring::{self, Context},
};

/// Selects, shows, asks, reopens, and lets the run go on.
pub async fn retry(context: &Context, args: &RetryArgs) -> Outcome {
    let meant = RetryOf { outcomes: args.outcome.clone(), codes: args.code.clone() };
    meant.check()?;
    let (store, address) = context.open_store().await?;
    let status = find(&store, &args.run).await?;
    can_be_retried(&status, store.now().await?)?;
    // Before anything is reopened: a secret that can't be read should not leave a run behind.
    let provider = if args.detach { None } else { worked_here(context, &store, &address, &status)? };
    let retry = Retry::find(&store, &status, &meant).await?;
    let what = format!("{} of run {} on {}", of(retry.users(), "user"), args.run, status.run.account);
    console::hint(context.global.quiet, format_args!("To be tried again: {what} ({}).", retry.named()));
    console::hint(
        context.global.quiet,
        "They are looked up again, and caps, approval and protection apply as to any run.",
    );
    if !args.yes {
        console::confirm("Try them again?".to_owned(), false).await?;
    }
    retry.reopen(&store, &status, &wiring::who()).await?;
    let follow = Follow { watch: false, ending: args.ending.clone() };
    if let Some(provider) = provider {
        return carry_out(context, &store, &address, &args.run, Some(provider), &follow).await;
    }
    store.resume(&args.run).await?;
    let who = match address {
        StoreAddress::Redis(_) => "workers go on with it",
        StoreAddress::Sqlite(_) => "a worker on this store goes on with it",
    };
    console::hint(
        context.global.quiet,
        format_args!(
            "Run {} is open again: {who}. How far it is: usher status {} --watch",
            args.run, args.run
        ),
    );
    Ok(Exit::Success)
}

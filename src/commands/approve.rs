//! `usher approve`: another person's word for a run, proved by a personal token.

use usher_producer::steer::{self, SteerError, can_be_approved, find, same_as_noted};
use usher_shared::{
    RunState, RunStatus,
    config::{Config, Role, StoreAddress},
};

use super::plan::{Manner, show};
use crate::{
    cli::ApproveArgs,
    console,
    exit::{Exit, Failure, Outcome},
    report::{moments::roughly, table::printable},
    submission::now,
    who,
    wiring::{self, Context},
};

/// Shows what would be approved, asks, signs, and says so to the store.
pub async fn approve(context: &Context, args: &ApproveArgs) -> Outcome {
    let (store, address) = context.open_store().await?;
    let status = find(&store, &args.run).await?;
    let run = &status.run;
    can_be_approved(&status)?;
    let token = who::token(args.token_file.as_deref(), &context.stop).await?;
    let name = who::name(&context.config, &token, args.name.as_deref())?;
    may_approve(&context.config, &status, &name)?;

    let plan = show(context, &store, &status, &Manner { asks: true, ..Manner::default() }).await?;
    let hash = same_as_noted(&plan, &status)?;
    let asked = now(&store).await.since(run.created_at);
    let proved = match &run.terms.proof {
        Some(proof) => format!("; says to be {}, by a token that workers verify", printable(&proof.by)),
        None => String::new(),
    };
    let reason =
        run.reason.as_ref().map(|reason| format!(", because: {}", printable(reason))).unwrap_or_default();
    console::hint(
        false,
        format_args!("Submitted by {} {} ago{proved}{reason}.", printable(&run.asked_by), roughly(asked)),
    );
    if !args.yes {
        let question = format!("Approve run {} with the plan {} as {name}?", run.id, hash.short());
        console::confirm(question, false).await?;
    }
    let at = now(&store).await;
    steer::approve(&store, &status, hash, (&name, &token), Some(wiring::host()), at).await?;
    let next = match address {
        _ if status.state() == RunState::Planned => {
            format!("it still has to be applied: usher apply {}", run.id)
        }
        StoreAddress::Redis(_) => format!("workers verify it and go on: usher status {} --watch", run.id),
        StoreAddress::Sqlite(_) => {
            format!("a worker on this store verifies it and goes on; without one: usher resume {}", run.id)
        }
    };
    console::hint(context.global.quiet, format_args!("Run {} is approved; {next}", run.id));
    Ok(Exit::Success)
}

/// What the workers would refuse is told now, as far as the configuration here knows.
fn may_approve(config: &Config, status: &RunStatus, name: &str) -> Result<(), Failure> {
    let account = &status.run.account;
    if status.run.terms.proof.as_ref().is_some_and(|proof| proof.by == name) {
        return Err(SteerError::OnesOwn { run: status.run.id.clone(), name: name.to_owned() }.into());
    }
    match config.tokens.get(name) {
        Some(token) if !token.allows(Role::Approve, account) => Err(Failure::new(
            Exit::Refused,
            format!(
                "the token {name} may not approve on {account}: [tokens.{name}] needs the role \"approve\", and {account} \
                 among its accounts where it names any"
            ),
        )),
        _ => Ok(()),
    }
}

//! `usher apply`: carries out exactly what was planned.

use usher_producer::steer::{self, Applied, can_be_applied, find, same_as_noted};
use usher_shared::{
    RunId, RunStatus,
    config::StoreAddress,
    plan::{Plan, PlanHash},
    store::SharedStore,
};
use usher_worker::provider::SharedProvider;

use super::{
    plan::{Manner, show},
    status,
};
use crate::{
    cli::{ApplyArgs, Ending, StatusArgs},
    console,
    exit::{Exit, Failure, Outcome},
    plan,
    report::{moments::roughly, numbers::of},
    submission::now,
    wiring::{self, Context},
    work,
};

/// Shows a plan, asks, and lets it be carried out.
pub async fn apply(context: &Context, args: &ApplyArgs) -> Outcome {
    let (store, address) = context.open_store().await?;
    let status = find(&store, &args.run).await?;
    let provider = worked_here(context, &store, &address, &status)?;
    let follow = Follow { watch: args.watch, ending: args.ending.clone() };
    if can_be_applied(&status)? == Applied::Before {
        let go = status.notes.go.as_ref().map(|go| format!(" by {} at {}", go.by, go.at)).unwrap_or_default();
        console::hint(
            context.global.quiet,
            format_args!("Run {} was applied{go}; going on with it.", args.run),
        );
        return carry_out(context, &store, &address, &args.run, provider, &follow).await;
    }
    let manner = Manner { all: args.all, asks: true, ..Manner::default() };
    // Programs that want JSON get the status at the end, and it alone.
    let plan = if args.ending.json || context.global.quiet && args.yes {
        plan::read(&store, &status, 0, None).await?
    } else {
        show(context, &store, &status, &manner).await?
    };
    let hash = same_as_noted(&plan, &status)?.clone();
    confirmed(context, &store, &status, &plan, &hash, args.yes).await?;
    carry_out(context, &store, &address, &args.run, provider, &follow).await
}

/// How a run is followed once it goes on.
pub struct Follow {
    /// Where workers carry it out: stay until it is over.
    pub watch: bool,
    /// How the end is shown.
    pub ending: Ending,
}

/// The provider, where this process carries the run out: on the embedded store.
pub fn worked_here(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    status: &RunStatus,
) -> Result<Option<SharedProvider>, Failure> {
    match address {
        StoreAddress::Sqlite(_) => wiring::shelved_provider(context, store, &status.run.account).map(Some),
        StoreAddress::Redis(_) => Ok(None),
    }
}

/// Asks, and says that the plan is to be applied.
pub async fn confirmed(
    context: &Context,
    store: &SharedStore,
    status: &RunStatus,
    plan: &Plan,
    hash: &PlanHash,
    yes: bool,
) -> Result<(), Failure> {
    let run = &status.run;
    if !yes {
        let age = status.notes.plan.as_ref().map(|note| note.at);
        let age = match age {
            Some(at) => format!(", as it was {} ago", roughly(now(store).await.since(at))),
            None => String::new(),
        };
        let changes: Vec<String> =
            plan.changes.iter().map(|(action, number)| format!("{action} {}", of(*number, "user"))).collect();
        let what = if changes.is_empty() { "change nobody".to_owned() } else { changes.join(" and ") };
        let question = format!("Apply plan {} on {}{age}: {what}?", run.id, run.account);
        console::confirm(question, false).await?;
    }
    steer::apply(store, status, hash, &wiring::who(), now(store).await).await?;
    console::hint(
        context.global.quiet,
        "Everybody is looked up once more; who is not as planned any more is left alone, and named as drifted.",
    );
    Ok(())
}

/// Works the run to its end here, or leaves it to workers.
pub async fn carry_out(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    run: &RunId,
    provider: Option<SharedProvider>,
    follow: &Follow,
) -> Outcome {
    match provider {
        Some(provider) => {
            Ok(work::to_its_end(context, store, address, run, provider, &follow.ending).await?.exit)
        }
        None if follow.watch => {
            let args = StatusArgs { run: Some(run.clone()), watch: true, json: follow.ending.json };
            status::status(context, &args).await
        }
        None => {
            console::hint(
                context.global.quiet,
                format_args!("Workers go on with it. How far it is: usher status {run} --watch"),
            );
            Ok(Exit::Success)
        }
    }
}

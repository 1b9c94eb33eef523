//! `usher plan`: looks everybody up, and shows what would be done.

use std::io;

use jiff::tz::TimeZone;
use usher_shared::{
    RunPhase, RunState, RunStatus,
    config::{Config, StoreAddress},
    plan::{Plan, PlanKind},
    store::SharedStore,
    view::guards::{Guards, guards},
};

use super::status::verdict;
use crate::{
    cli::PlanArgs,
    console,
    exit::{Exit, Failure, Outcome},
    outlook::outlook,
    plan::{
        self, NAMED, json,
        shown::{Around, text},
    },
    submission::{self, now},
    wiring::{self, Context},
    work,
};

/// Plans the users in a file. On the embedded store this process looks them up, on Redis a worker does.
pub async fn plan(context: &Context, args: &PlanArgs) -> Outcome {
    let asked = &args.submission;
    if !context.config.accounts.is_empty() {
        context.config.account(&asked.account)?;
    }
    let (store, address) = context.open_store().await?;
    let provider = match address {
        StoreAddress::Sqlite(_) => Some(wiring::shelved_provider(context, &store, &asked.account)?),
        StoreAddress::Redis(_) => None,
    };
    let run = submission::plan(context, &store, asked).await?;
    console::hint(
        context.global.quiet,
        format_args!("This is plan {run}: looking everybody up, nobody is changed."),
    );
    let status = work::until_planned(context, &store, &address, &run, provider.as_ref()).await?;
    show(context, &store, &status, &Manner { all: args.all, json: args.json, ..Manner::default() }).await?;
    Ok(exit(&status))
}

/// The exit code of a run that was only to be planned.
pub fn exit(status: &RunStatus) -> Exit {
    match status.state() {
        RunState::Planned | RunState::Scheduled => Exit::Success,
        _ if status.phase.is_over() => verdict(status),
        // Somebody applied it while it was shown.
        _ if status.phase == RunPhase::Admitted => Exit::Success,
        _ => Exit::Refused,
    }
}

/// How a plan is shown.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// Every user by name.
    pub all: bool,
    /// As JSON.
    pub json: bool,
    /// It is not stored.
    pub dry: bool,
    /// A question follows: what to type next is the answer.
    pub asks: bool,
}

/// Reads a run's plan and prints it; returns it.
pub async fn show(
    context: &Context,
    store: &SharedStore,
    status: &RunStatus,
    manner: &Manner,
) -> Result<Plan, Failure> {
    let named = if manner.all { usize::MAX } else { NAMED };
    let account = context.config.accounts.get(&status.run.account);
    let plan = plan::read(store, status, named, account).await?;
    if manner.json {
        json::write(store, status, &plan, &mut io::stdout()).await?;
        return Ok(plan);
    }
    let guards = guards_of(&context.config, status, &plan);
    let calls = plan.calls();
    let priority = status.run.priority;
    let around = Around {
        guards: &guards,
        outlook: outlook(&context.config, store, &status.run.account, calls, priority, true).await,
        account,
        now: now(store).await,
        zone: TimeZone::system(),
        dry: manner.dry,
        asks: manner.asks,
    };
    console::print(&text(status, &plan, &around))?;
    Ok(plan)
}

/// What guards the account against this run, as far as it is known here.
fn guards_of(config: &Config, status: &RunStatus, plan: &Plan) -> Guards {
    let active = status.notes.plan.as_ref().and_then(|note| note.active_users);
    let undo = status.run.terms.undoes.is_some();
    guards(config, &status.run.account, plan.of(PlanKind::Change), active, false, undo)
}

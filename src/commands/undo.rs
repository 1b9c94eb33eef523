//! `usher undo`: puts back what a run changed, as a run of its own.

use std::collections::BTreeMap;

use usher_producer::{
    submit::{Description, Draft, FillOptions, Filled, Key, Submitted, distinct},
    undo::{Choice, Decided, LeftOut, Why, choose},
};
use usher_shared::{Request, RunId, RunStatus, Terms, store::SharedStore};

use super::{
    apply::{Follow, carry_out, confirmed, worked_here},
    plan::{self, Manner, show},
    steer::find,
};
use crate::{
    cli::UndoArgs,
    console,
    exit::{Exit, Failure, Outcome},
    plan::{NAMED, refuse_another},
    report::{Filter, Rows, numbers::of, table::printable},
    submission::{failure, now},
    timing, who,
    wiring::{self, Context},
    work,
};

/// Plans the undo of a run, shows it, asks, and lets it be carried out.
pub async fn undo(context: &Context, args: &UndoArgs) -> Outcome {
    let (store, address) = context.open_store().await?;
    let quiet = context.global.quiet;
    let undone = find(&store, &args.run).await?;
    if !undone.phase.is_over() {
        return Err(Failure::new(
            Exit::InvalidInput,
            format!(
                "run {} is {}: it can be undone once it is over; `usher cancel {}` ends it now",
                args.run,
                undone.state(),
                args.run
            ),
        ));
    }
    let provider = worked_here(context, &store, &address, &undone)?;
    let follow = Follow { watch: args.watch, ending: args.ending.clone() };
    let run = match begun(&store, &undone).await? {
        Some(earlier) => {
            console::hint(
                quiet,
                format_args!(
                    "Run {} undoes it already, and is {}: going on with it.",
                    earlier.run.id,
                    earlier.state()
                ),
            );
            if earlier.notes.go.is_some() {
                return carry_out(context, &store, &address, &earlier.run.id, provider, &follow).await;
            }
            earlier.run.id
        }
        None => {
            let selected = select(&store, &undone).await?;
            tell_left_out(&selected.left_out, args.all);
            if selected.requests.is_empty() {
                console::hint(quiet, format_args!("Run {} changed nobody who could be put back.", args.run));
                return Ok(if selected.left_out.is_empty() { Exit::Success } else { Exit::SomeFailed });
            }
            submit(context, &store, &undone, args, selected.requests).await?
        }
    };
    let status = work::until_planned(context, &store, &address, &run, provider.as_ref()).await?;
    let manner = Manner { all: args.all, asks: !args.plan, ..Manner::default() };
    let plan = show(context, &store, &status, &manner).await?;
    if args.plan || plan::exit(&status) != Exit::Success || status.notes.plan.is_none() {
        return Ok(plan::exit(&status));
    }
    let hash = refuse_another(&plan, &status)?.clone();
    confirmed(context, &store, &status, &plan, &hash, args.yes).await.inspect_err(|_| {
        console::hint(quiet, format_args!("The plan stays: usher apply {run}, or usher cancel {run}."));
    })?;
    carry_out(context, &store, &address, &run, provider, &follow).await
}

/// A run that undoes this one, and is not over: a command that was killed is given again.
async fn begun(store: &SharedStore, undone: &RunStatus) -> Result<Option<RunStatus>, Failure> {
    let mut unfinished = store.unfinished(&undone.run.account).await?;
    unfinished.retain(|status| status.run.terms.undoes.as_ref() == Some(&undone.run.id) && !status.cancelled);
    Ok(unfinished.pop())
}

#[derive(Default)]
struct Selected {
    requests: Vec<Request>,
    left_out: Vec<LeftOut>,
}

/// Whom the run changed, and who is left out of them.
async fn select(store: &SharedStore, undone: &RunStatus) -> Result<Selected, Failure> {
    let decided = decided_since(store, undone).await?;
    let mut selected = Selected::default();
    let mut rows = Rows::new(store, &undone.run.id, Filter::default());
    while let Some(page) = rows.page().await? {
        for row in &page {
            match choose(row, &decided) {
                Choice::PutBack(request) => selected.requests.push(request),
                Choice::LeftOut(left_out) => selected.left_out.push(left_out),
                Choice::Untouched => {}
            }
        }
    }
    Ok(selected)
}

/// Whom newer runs of the account have changed since.
async fn decided_since(store: &SharedStore, undone: &RunStatus) -> Result<Decided, Failure> {
    let account = &undone.run.account;
    let mut newer: Vec<RunStatus> = store.runs(None, 10_000).await?;
    newer.retain(|status| status.run.account == *account && status.admission > undone.admission);
    newer.sort_by_key(|status| status.admission);
    let mut decided = Decided::default();
    for status in &newer {
        let mut rows = Rows::new(store, &status.run.id, Filter::default());
        while let Some(page) = rows.page().await? {
            page.iter().for_each(|row| decided.add(&status.run.id, row));
        }
    }
    Ok(decided)
}

/// Names whom the run changed, or may have changed, and who are left alone.
fn tell_left_out(left_out: &[LeftOut], all: bool) {
    let mut by_why: BTreeMap<&Why, Vec<&LeftOut>> = BTreeMap::new();
    for user in left_out {
        by_why.entry(&user.why).or_default().push(user);
    }
    for (why, users) in by_why {
        let number = of(users.len() as u64, "user");
        let what = match why {
            Why::Decided(run) => format!("Left out: {number}, about whom run {run} has decided since:"),
            Why::Uncertain(outcome) => format!(
                "Left out: {number} who ended as {outcome} after an attempt that may have changed them; look at them in the \
                 portal, and put back by hand what is not as it should be:"
            ),
            Why::NoWayBack => format!("Left out: {number} whom no action brings back to what they were:"),
        };
        console::hint(false, what);
        let shown = if all { users.len() } else { NAMED };
        for user in users.iter().take(shown) {
            console::hint(false, format_args!("  line {:<6} {}", user.line, printable(&user.user)));
        }
        if users.len() > shown {
            console::hint(false, format_args!("  and {} more; --all names them", users.len() - shown));
        }
    }
}

async fn submit(
    context: &Context,
    store: &SharedStore,
    undone: &RunStatus,
    args: &UndoArgs,
    requests: Vec<Request>,
) -> Result<RunId, Failure> {
    let (terms, told) = timing::terms(&args.timing, now(store).await)?;
    told.iter().for_each(|line| console::hint(context.global.quiet, line));
    let reason = args.reason.clone().unwrap_or_else(|| match &undone.run.reason {
        Some(reason) => format!("undo of {} ({reason})", undone.run.id),
        None => format!("undo of {}", undone.run.id),
    });
    let description = Description {
        priority: args.priority,
        reason: Some(reason),
        from: Some(wiring::host()),
        terms: Terms { plan: true, undoes: Some(undone.run.id.clone()), ..terms },
        ..Description::new(undone.run.account.clone(), &wiring::asked_by())
    };
    let options = FillOptions {
        clock: wiring::clock(),
        signer: who::signer(&context.config, args.name.as_deref())?,
        ..FillOptions::default()
    };
    let draft = match Draft::fill(store, description, distinct(requests), options).await.map_err(failure)? {
        Filled::Clean(draft) => draft,
        // Two rows of one user can't both have changed it within a run, unless the ledger is broken.
        Filled::Flawed(flawed) => {
            flawed.discard().await.map_err(failure)?;
            return Err(Failure::new(
                Exit::Internal,
                format!("run {} changed a user twice; it can't be undone as a whole", undone.run.id),
            ));
        }
    };
    let submitted = draft.seal(Key::Content).await.map_err(failure)?;
    match &submitted {
        Submitted::New { run, .. } => console::hint(
            context.global.quiet,
            format_args!(
                "This is run {run}, which undoes {}: looking everybody up, nobody is changed.",
                undone.run.id
            ),
        ),
        Submitted::Existing { run } => {
            console::hint(context.global.quiet, format_args!("Run {run} does the same already."));
        }
    }
    Ok(submitted.run().clone())
}

//! `usher undo`: puts back what a run changed, as a run of its own.

use std::collections::BTreeMap;

use usher_producer::{
    steer::{Undo, UndoTerms, Undoing, can_be_undone, find, same_as_noted, undo_under_way},
    submit::{FillOptions, Key, Submitted},
    undo::{LeftOut, Why},
};
use usher_shared::{Request, RunId, RunStatus, store::SharedStore};

use super::{
    apply::{Follow, carry_out, confirmed, worked_here},
    plan::{self, Manner, show},
};
use crate::{
    cli::UndoArgs,
    console,
    exit::{Exit, Failure, Outcome},
    plan::NAMED,
    report::{numbers::of, table::printable},
    submission::now,
    timing, who,
    wiring::{self, Context},
    work,
};

/// Plans the undo of a run, shows it, asks, and lets it be carried out.
pub async fn undo(context: &Context, args: &UndoArgs) -> Outcome {
    let (store, address) = context.open_store().await?;
    let quiet = context.global.quiet;
    let undone = find(&store, &args.run).await?;
    can_be_undone(&undone)?;
    let provider = worked_here(context, &store, &address, &undone)?;
    let follow = Follow { watch: args.watch, ending: args.ending.clone() };
    let run = match undo_under_way(&store, &undone).await? {
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
            let selected = Undo::of(&store, &undone).await?;
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
    let hash = same_as_noted(&plan, &status)?.clone();
    confirmed(context, &store, &status, &plan, &hash, args.yes).await.inspect_err(|_| {
        console::hint(quiet, format_args!("The plan stays: usher apply {run}, or usher cancel {run}."));
    })?;
    carry_out(context, &store, &address, &run, provider, &follow).await
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
    let terms = UndoTerms { priority: args.priority, reason: args.reason.clone(), terms };
    let options = FillOptions {
        clock: wiring::clock(),
        signer: who::signer(&context.config, args.name.as_deref())?,
        ..FillOptions::default()
    };
    let undoing = Undoing { undone, terms, who: wiring::who() };
    let submitted = undoing.submit(store, requests, Key::Content, options).await?;
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

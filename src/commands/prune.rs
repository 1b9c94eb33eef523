//! `usher prune`: forgets runs that ended long ago.

use usher_shared::{Timestamp, audit::AuditKind};

use crate::{
    audit::{self, About},
    cli::PruneArgs,
    console,
    exit::{Exit, Outcome},
    report::{moments::roughly, numbers::of},
    submission::now,
    wiring::Context,
};

/// Shows how many runs it is about, asks, and forgets them, with their users and outcomes.
pub async fn prune(context: &Context, args: &PruneArgs) -> Outcome {
    let quiet = context.global.quiet;
    let (store, _) = context.open_store().await?;
    let age = i64::try_from(args.older_than.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp::from_millis(now(&store).await.as_millis().saturating_sub(age));
    let mut old = store.runs(None, 10_000).await?;
    old.retain(|status| status.phase.is_over() && status.finished_at.is_some_and(|ended| ended < before));
    let since = roughly(args.older_than);
    if old.is_empty() {
        console::hint(quiet, format_args!("No run ended more than {since} ago."));
        return Ok(Exit::Success);
    }
    let users = old.iter().map(|status| status.counters.total).sum();
    let what = format!("{} with {}", of(old.len() as u64, "run"), of(users, "user"));
    if !args.yes {
        console::hint(
            quiet,
            format_args!(
                "{what} ended more than {since} ago. Forgotten, they can't be reported or undone any more; the audit stays."
            ),
        );
        console::confirm("Forget them?".to_owned(), false).await?;
    }
    let about = About::default().saying(format!("{what}, ended before {before}"));
    audit::tell(&store, AuditKind::Pruned, about).await?;
    let mut forgotten = 0;
    while let Some((run, whole)) = store.prune(before).await? {
        tracing::debug!(%run, whole, "forgetting");
        forgotten += u64::from(whole);
    }
    console::hint(quiet, format_args!("Forgot {}.", of(forgotten, "run")));
    Ok(Exit::Success)
}

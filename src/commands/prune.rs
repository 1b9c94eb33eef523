//! `usher prune`: forgets runs that ended long ago.

use usher_shared::{
    Timestamp,
    audit::AuditKind,
    store::{SharedStore, StoreError},
};

use crate::{
    audit::{self, About},
    cli::PruneArgs,
    console,
    exit::{Exit, Outcome},
    report::{moments::roughly, numbers::of},
    submission::now,
    wiring::Context,
};

/// Runs read at once.
const PAGE: usize = 500;

/// Shows how many runs it is about, asks, and forgets them, with their users and outcomes.
pub async fn prune(context: &Context, args: &PruneArgs) -> Outcome {
    let quiet = context.global.quiet;
    let (store, _) = context.open_store().await?;
    let age = i64::try_from(args.older_than.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp::from_millis(now(&store).await.as_millis().saturating_sub(age));
    let (runs, users) = ended(&store, before).await?;
    let since = roughly(args.older_than);
    if runs == 0 {
        console::hint(quiet, format_args!("No run ended more than {since} ago."));
        return Ok(Exit::Success);
    }
    let what = format!("{} with {}", of(runs, "run"), of(users, "user"));
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

/// How many runs ended before that moment, and how many users they have.
async fn ended(store: &SharedStore, before: Timestamp) -> Result<(u64, u64), StoreError> {
    let (mut runs, mut users, mut last) = (0, 0, None);
    loop {
        let page = store.runs(last.as_ref(), PAGE).await?;
        for status in &page {
            if status.phase.is_over() && status.finished_at.is_some_and(|ended| ended < before) {
                runs += 1;
                users += status.counters.total;
            }
        }
        match page.last() {
            Some(status) if page.len() == PAGE => last = Some(status.run.id.clone()),
            _ => return Ok((runs, users)),
        }
    }
}

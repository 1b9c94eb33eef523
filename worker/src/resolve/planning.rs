//! What a resolve came to, noted on its run: the plan's hash, how many users would change, how many are active.

use std::future::Future;

use usher_shared::{
    Note, PlanNote, RunPhase, RunStatus, WorkerId,
    audit::{AuditEvent, AuditKind},
    plan::PlanHasher,
    store::{Remaining, Store, StoreError},
};

use super::{Asked, Asker};
use crate::provider::Provider;

/// Rows read at once.
const READ: usize = 2_000;

/// Whether what is done is bound to what was seen before: somebody looked at the plan, or approved it.
#[must_use]
pub(crate) fn is_bound(run: &RunStatus) -> bool {
    let planned = run.phase != RunPhase::Sealed && run.notes.plan.is_some();
    planned && (run.run.terms.plan || run.notes.approval.is_some())
}

/// Whether a resolve of this run makes a new plan of it. A run that was let go on, or is worked, keeps the one it was let
/// go on with.
pub(super) fn is_planned_anew(run: &RunStatus) -> bool {
    match run.phase {
        RunPhase::Sealed => true,
        RunPhase::Resolved => !is_bound(run),
        _ => false,
    }
}

/// Reads back what the run's requests came to, tells it to the audit, and notes it.
pub(crate) async fn note_plan(
    store: &dyn Store,
    worker: &WorkerId,
    run: &RunStatus,
    active_users: Option<u64>,
) -> Result<PlanNote, StoreError> {
    let id = &run.run.id;
    let mut hasher = PlanHasher::new(&run.run.account);
    let mut from = 0;
    loop {
        let page = super::persist(|| store.planned(id, from, READ)).await?;
        page.iter().for_each(|planned| hasher.take(planned));
        match page.last() {
            Some(last) if page.len() >= READ => from = last.seq + 1,
            _ => break,
        }
    }
    let mut change = 0;
    each_change(store, id, |_| {
        change += 1;
        std::future::ready(Ok(true))
    })
    .await?;
    let at = super::persist(|| store.now()).await?;
    let plan = PlanNote { hash: hasher.finish(), at, change, active_users };
    let mut detail = format!("{} of {} users would change", plan.change, run.counters.total);
    if run.notes.plan.is_none() {
        // Whatever way the run came into the store: who submitted it may have told nobody.
        detail.push_str(&format!("; {}", submission(run)));
    }
    let resolved = AuditEvent {
        what: AuditKind::Resolved,
        by: format!("worker:{worker}"),
        from: None,
        account: Some(run.run.account.clone()),
        run: Some(id.clone()),
        plan: Some(plan.hash.clone()),
        detail: Some(detail),
    };
    super::persist(|| store.tell(&resolved)).await?;
    let note = Note::Plan(plan.clone());
    super::persist(|| store.note(id, &note)).await?;
    Ok(plan)
}

/// Who asked for what, out of which file.
fn submission(run: &RunStatus) -> String {
    let new = &run.run;
    let mut words = format!("{} {}, asked for by {}", run.counters.total, run.action_word(), new.asked_by);
    words.extend(new.terms.proof.as_ref().map(|proof| format!(", with the token of {}", proof.by)));
    words.extend(new.terms.undoes.as_ref().map(|undone| format!(", to undo {undone}")));
    words.extend(new.source.as_ref().map(|source| format!(", from {source}")));
    words.push_str(&format!(", at {}", new.created_at));
    words.extend(new.reason.as_ref().map(|reason| format!(": {reason}")));
    words
}

/// Shows, in file order, each user whose state is still to be changed by the run: until `show` answers that it has seen
/// enough.
pub(crate) async fn each_change<F>(
    store: &dyn Store,
    run: &usher_shared::RunId,
    mut show: impl FnMut(Remaining) -> F,
) -> Result<(), StoreError>
where
    F: Future<Output = Result<bool, StoreError>>,
{
    let mut from = 0;
    loop {
        let page = super::persist(|| store.remaining(run, from, READ)).await?;
        let Some(last) = page.last() else { return Ok(()) };
        from = last.seq + 1;
        for job in page {
            if job.user.before.status != job.action.desired() && !show(job).await? {
                return Ok(());
            }
        }
    }
}

/// How many users can sign in, asked of the vendor by one call: `None` where it does not tell.
pub(crate) async fn count_active(asker: &Asker<'_>, provider: &dyn Provider) -> Result<Option<u64>, Asked> {
    match provider.active_listing() {
        Some(first) => Ok(asker.page(&first).await?.total),
        None => Ok(None),
    }
}

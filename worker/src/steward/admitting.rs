//! Carries out what admission decided about a resolved run: holds it and says why, counts its users towards the day's cap,
//! refuses it, or lets it begin.

use std::time::Duration;

use tokio::time::Instant;
use usher_shared::{
    Ending, Held, HeldReason, Note, PlanNote, RunId, RunStatus, Timestamp,
    audit::AuditKind,
    store::{CHUNK, Reserved, StoreError, UtcDay},
};

use super::Steward;
use crate::{
    account::Account,
    admit::{Admission, Changed, Facts, Undo, admission, day_has_changed, day_of, own_undo},
    next_step::{may_resolve_again, waits_its_turn},
    resolve::{each_change, note_plan},
};

/// Whoever resolved a run admits it. Others leave it to that worker for so long: it is told once what becomes of it.
const LEFT_TO_ITS_RESOLVER: Duration = Duration::from_secs(3);
/// How often the number of active users is asked for, where a cap depends on it and it is not known.
const COUNT_AGAIN: Duration = Duration::from_secs(10);
/// Outcomes read at once.
const READ: usize = 2_000;

impl Steward {
    /// `before`: the runs that are worked before this one.
    pub(super) async fn admit(&mut self, run: &RunStatus, before: &[RunStatus]) -> Result<bool, StoreError> {
        let account = self.account.clone();
        let id = &run.run.id;
        let now = account.now();
        let elsewhere = run.fresh_at.is_some_and(|fresh| now.since(fresh) < LEFT_TO_ITS_RESOLVER);
        if elsewhere && !self.resolved.contains(id) {
            return Ok(false);
        }
        let Some(plan) = &run.notes.plan else {
            // Resolved by an usher that knew no plans: what it knew may be old.
            if run.stood_still(now).is_some() {
                return Ok(self.resolve_again(run, before));
            }
            note_plan(&*account.store, &account.worker, run, None).await?;
            return Ok(true);
        };
        let undo = self.undos.get(id).copied().unwrap_or_default();
        // A run that did not fit is not counted again that day, unless somebody approves it.
        let full = self.full.get(id).filter(|(day, _)| *day == day_of(now)).map(|(_, used)| *used);
        let facts = Facts { undo, day_is_full: full, now };
        let decision = admission(run, plan, &account.rules, &facts);
        let decides = matches!(decision, Admission::Admit | Admission::Reserve(_) | Admission::Refuse(_));
        if decides && self.workers_disagree().await? {
            return Ok(false);
        }
        match decision {
            Admission::LookAtUndo => {
                let seen = undo_of(&account, run).await?;
                self.undos.insert(id.clone(), seen);
                Ok(true)
            }
            Admission::Hold(reason, message) => {
                if reason == HeldReason::Unknown {
                    self.count_active(run, plan);
                }
                hold(&account, run, reason, message, now).await
            }
            Admission::Refuse(ending) => {
                self.full.remove(id);
                refuse(&account, run, &ending).await
            }
            // What was seen may be old by now; a resolve may also find that others would be changed.
            Admission::Reserve(_) | Admission::Admit if run.stood_still(now).is_some() => {
                // Nothing holds it any more: people see that while its users are looked up.
                if run.notes.held.is_some() {
                    account.store.note(id, &Note::Held(None)).await?;
                }
                Ok(self.resolve_again(run, before))
            }
            Admission::Reserve(cap) => {
                let day = day_of(account.store.now().await?);
                match reserve(&account, id, day, cap).await? {
                    Reserved::Counted { .. } => begin(&account, run).await,
                    Reserved::Busy(other) => {
                        tracing::debug!(run = %id, %other, "waits until the other run's users are counted");
                        Ok(false)
                    }
                    Reserved::Over { used } => {
                        while account.store.unreserve(id, day).await? > 0 {}
                        self.full.insert(id.clone(), (day, used));
                        let facts = Facts { day_is_full: Some(used), ..facts };
                        match admission(run, plan, &account.rules, &facts) {
                            Admission::Hold(reason, message) => {
                                hold(&account, run, reason, message, now).await
                            }
                            Admission::Refuse(ending) => {
                                self.full.remove(id);
                                refuse(&account, run, &ending).await
                            }
                            // The cap itself let nobody else through; the next look decides anew.
                            Admission::Admit | Admission::LookAtUndo | Admission::Reserve(_) => Ok(false),
                        }
                    }
                }
            }
            Admission::Admit => begin(&account, run).await,
        }
    }

    fn resolve_again(&mut self, run: &RunStatus, before: &[RunStatus]) -> bool {
        if may_resolve_again(run) && !waits_its_turn(run, before) {
            self.resolve(run);
        }
        false
    }

    /// Asks the vendor how many users are active, beside the steward's other work, now and then.
    fn count_active(&mut self, run: &RunStatus, plan: &PlanNote) {
        let id = &run.run.id;
        let waits = self.again.get(id).is_some_and(|again| *again > Instant::now());
        if waits || run.hold.is_some() || self.resolving.contains_key(id) {
            return;
        }
        self.again.insert(id.clone(), Instant::now() + COUNT_AGAIN);
        self.spawn_count(run, plan.clone());
    }
}

/// Takes note why a run is held, where that is news.
async fn hold(
    account: &Account,
    run: &RunStatus,
    reason: HeldReason,
    message: String,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let noted = run.notes.held.as_ref();
    // A day's figures change while it waits for the next one.
    let same_day = |held: &Held| reason != HeldReason::OverDayCap || !day_has_changed(held.since, now);
    if noted.is_some_and(|held| held.reason == reason && held.message == message && same_day(held)) {
        return Ok(false);
    }
    let id = &run.run.id;
    if noted.is_none_or(|held| held.reason != reason) {
        account.tell(AuditKind::Held, run, Some(message.clone())).await?;
        match reason {
            // As it was asked to.
            HeldReason::Planned | HeldReason::NotBefore => {
                tracing::info!(run = %id, account = %account.name, ?reason, "held: {message}");
            }
            _ => tracing::warn!(run = %id, account = %account.name, ?reason, "held: {message}"),
        }
    }
    let held = Held { reason, message, since: now };
    account.store.note(id, &Note::Held(Some(held))).await?;
    Ok(false)
}

/// Its time has not come: noted once.
pub(super) async fn schedule(account: &Account, run: &RunStatus, at: Timestamp) -> Result<bool, StoreError> {
    hold(account, run, HeldReason::NotBefore, crate::admit::not_before(at), account.now()).await
}

async fn refuse(account: &Account, run: &RunStatus, ending: &Ending) -> Result<bool, StoreError> {
    let id = &run.run.id;
    account.tell(AuditKind::Refused, run, Some(ending.message.clone())).await?;
    tracing::warn!(run = %id, account = %account.name, "refused: {}", ending.message);
    account.store.end(id, ending, CHUNK).await?;
    Ok(true)
}

async fn begin(account: &Account, run: &RunStatus) -> Result<bool, StoreError> {
    let id = &run.run.id;
    if run.notes.held.is_some() {
        account.store.note(id, &Note::Held(None)).await?;
    }
    let change = run.notes.plan.as_ref().map_or(0, |plan| plan.change);
    account.tell(AuditKind::Admitted, run, Some(format!("{change} users would change"))).await?;
    let number = account.store.admit(id).await?;
    tracing::info!(run = %id, account = %account.name, number, total = run.counters.total, "admitted");
    Ok(true)
}

/// Counts the users that the run would change, all of them, or as far as they fit.
async fn reserve(account: &Account, run: &RunId, day: UtcDay, cap: u64) -> Result<Reserved, StoreError> {
    let mut users = Vec::new();
    each_change(&*account.store, run, |job| {
        users.push(job.user.key());
        std::future::ready(Ok(true))
    })
    .await?;
    let mut last = Reserved::Counted { used: 0 };
    for chunk in users.chunks(CHUNK) {
        last = account.store.reserve(run, day, chunk, cap).await?;
        if !matches!(last, Reserved::Counted { .. }) {
            break;
        }
    }
    Ok(last)
}

/// Looks, page by page, whether the run puts back what its own submitter's run changed, and nothing else.
async fn undo_of(account: &Account, run: &RunStatus) -> Result<Undo, StoreError> {
    let Some(undone) = &run.run.terms.undoes else { return Ok(Undo::Another("it undoes nothing")) };
    let Some(status) = account.store.run(undone).await? else {
        return Ok(Undo::Another("the run that it undoes is not there any more"));
    };
    if let Err(why) = own_undo(run, &status, &account.rules) {
        return Ok(Undo::Another(why));
    }
    let (mut changed, mut from) = (Changed::default(), 0);
    loop {
        let rows = account.store.outcomes(undone, from, READ).await?;
        changed.take(&rows);
        match rows.last() {
            Some(last) if rows.len() >= READ => from = last.seq + 1,
            _ => break,
        }
    }
    let mut alone = true;
    each_change(&*account.store, &run.run.id, |job| {
        alone = changed.is_put_back(&job.user, job.action);
        std::future::ready(Ok(alone))
    })
    .await?;
    Ok(if alone { Undo::Own } else { Undo::Another("it changes users whom the run that it undoes did not") })
}

//! A job at which worker after worker died: its user is looked at, and nothing more is tried.

use std::time::Duration;

use usher_shared::{ResolvedUser, SnoozeReason, Then, UserRef, store::LeasedJob};

use super::{call::bounded, facts, hold_account, is_rate_refusal, rebased, restore::wanted};
use crate::{
    account::Account,
    backend::Work,
    backoff::Backoff,
    decide::{RatePause, RetryPolicy, decide, decide_poison},
    provider::{Call, Reply},
};

/// How long a permit for the look is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What becomes of the job; `None` to give it back and look later.
pub(super) async fn look(work: &mut Work, account: &Account, job: &LeasedJob) -> Option<Then> {
    let label = account.provider.label(Call::LookUp);
    if label != work.permit.label {
        let acquire = account.limiter.acquire(label, 1, work.lease.priority);
        let mut permit = tokio::time::timeout(PATIENCE, acquire).await.ok()?.ok()?.pop()?;
        permit.start().await.ok()?;
        work.permit = permit;
    }
    let facts = facts(&work.lease, job);
    let user = user_ref(&job.user).unwrap_or_else(|| job.request.user.clone());
    let seen = bounded(work, account, account.provider.look_up(&user)).await.unwrap_or_else(Err);
    match seen {
        Ok(seen) => {
            account.limiter.accepted(&work.permit, None);
            let restore = wanted(&work.lease, job);
            let lacking =
                seen.as_ref().zip(restore).map(|(user, restore)| account.provider.lacking(restore, user));
            Some(decide_poison(&facts, job.deaths, seen.as_ref(), &lacking.unwrap_or_default()))
        }
        Err(reply) => Some(later(work, account, job, &rebased(reply, account)).await),
    }
}

/// The look itself failed: it is repeated, and spends no attempt.
async fn later(work: &Work, account: &Account, job: &LeasedJob, reply: &Reply) -> Then {
    let now = account.now();
    let interval = Backoff::ATTEMPTS.interval(job.attempt, &mut *account.random());
    let endless = RetryPolicy { max_attempts: u32::MAX };
    let decision = decide(&facts(&work.lease, job), reply, endless, now, interval);
    if let Some(hold) = &decision.hold {
        hold_account(account, hold);
    }
    if is_rate_refusal(reply) {
        account.limiter.throttled(&work.permit, decision.pause.unwrap_or(RatePause::Unsaid)).await;
    }
    match decision.then {
        then @ Then::Snooze { .. } => then,
        // What a refused look means for the job nobody knows: looked at again in a while.
        Then::Retry { .. } | Then::Finish { .. } => Then::Snooze {
            until: now.after(interval.max(Duration::from_secs(1))),
            reason: SnoozeReason::Returned,
        },
    }
}

pub(super) fn user_ref(user: &ResolvedUser) -> Option<UserRef> {
    let name = if user.id.is_empty() { user.email.as_deref()? } else { &user.id };
    name.parse().ok()
}

//! The vendor call itself: bounded in time, its panics caught, its lease kept alive.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use usher_shared::{ResolvedUser, Verdict, store::LeasedJob};

use super::{PANIC, lasting::while_lasting, ready::CALL_GRACE};
use crate::{account::Account, backend::Work, provider::Reply};

/// Applies the lease's action to the jobs' users; one reply for each.
pub(super) async fn apply(work: &mut Work, account: &Account, jobs: &[LeasedJob]) -> Vec<Reply> {
    let action = work.lease.action;
    let users: Vec<&ResolvedUser> = jobs.iter().map(|job| &job.user).collect();
    let mut replies = bounded(work, account, account.provider.apply(action, &users))
        .await
        .unwrap_or_else(|reply| vec![reply; jobs.len()]);
    if replies.len() != jobs.len() {
        tracing::error!(
            expected = jobs.len(),
            found = replies.len(),
            "the provider's replies are not one a user"
        );
        let missing = failed("replies", "the provider did not say what became of this user");
        replies.resize(jobs.len(), missing);
    }
    replies
}

/// Makes one call. A panic, or a call that outlasts the provider's own timeout, is a reply of our own.
pub(super) async fn bounded<T>(
    work: &mut Work,
    account: &Account,
    call: impl Future<Output = T> + Send,
) -> Result<T, Reply> {
    account.meter.began(work.permit.label);
    let began = tokio::time::Instant::now();
    let timeout = account.provider.call_timeout() + CALL_GRACE;
    let call = tokio::time::timeout(timeout, AssertUnwindSafe(call).catch_unwind());
    let answer = while_lasting(work, account, call).await;
    account.meter.ended(began.elapsed());
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(panic)) => {
            let words = panic
                .downcast_ref::<&str>()
                .map(|words| (*words).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            tracing::error!(panic = words, "the provider's code panicked; this attempt alone fails");
            Err(failed(PANIC, "usher's own code failed in this attempt; please report it"))
        }
        Err(_) => Err(failed("timeout", "the call took longer than its timeout")),
    }
}

/// An attempt of which no more is known than that it may have reached the vendor.
fn failed(code: &str, message: &str) -> Reply {
    Reply {
        code: Some(code.to_owned()),
        message: Some(message.to_owned()),
        may_have_applied: true,
        ..Reply::of(Verdict::Transient)
    }
}

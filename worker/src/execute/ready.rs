//! Whether a lease may begin its call now: asked as late as possible.

use std::time::Duration;

use tokio::time::Instant;
use usher_shared::store::StoreError;

use crate::{
    account::Account,
    backend::Work,
    metrics::{self, StoreCall},
};

/// A permit whose call would start later than this after its time is changed for a fresh one: calls that were held up
/// together would otherwise arrive together.
const LATE: Duration = Duration::from_millis(20);
/// How often a late permit is changed before the call starts all the same: a machine that is always late must not stand.
const CHANGES: u32 = 2;
/// How long a fresh permit is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// What is added to the provider's own timeout before a call is cut off from outside, and to what a lease must last.
pub(super) const CALL_GRACE: Duration = Duration::from_millis(250);

pub(super) enum NotReady {
    /// Untouched: somebody can take it at once, or when the reason has passed.
    GiveBack(&'static str),
    /// Somebody else's by now.
    Lapsed,
}

/// Waits for the work's start, and answers whether its call may begin.
pub(super) async fn ready(work: &mut Work, account: &Account) -> Result<(), NotReady> {
    for change in 0.. {
        // A permit that is due does not wait: whether the worker stops is asked below.
        let started = if work.permit.starts_at <= Instant::now() {
            work.permit.start().await
        } else {
            let started = account.unless_stopping(work.permit.start()).await;
            started.ok_or(NotReady::GiveBack("the worker stops"))?
        };
        match started {
            Err(_) => return Err(NotReady::GiveBack("the vendor refuses calls for now")),
            Ok(late) if late <= LATE || change == CHANGES => break,
            Ok(_) => {
                let acquire = account.limiter.acquire(work.permit.label, 1, work.lease.priority);
                match tokio::time::timeout(PATIENCE, acquire)
                    .await
                    .ok()
                    .and_then(Result::ok)
                    .and_then(|permits| permits.into_iter().next())
                {
                    Some(permit) => work.permit = permit,
                    None => {
                        return Err(NotReady::GiveBack("no permit came in time"));
                    }
                }
            }
        }
    }
    lasting(work, account).await?;
    // Last, for the renewal above may have taken its time.
    if account.is_stopping() {
        return Err(NotReady::GiveBack("the worker stops"));
    }
    if account.holds.in_force(account.now()).is_some() {
        return Err(NotReady::GiveBack("the account is on hold"));
    }
    if !work.permit.is_live() {
        return Err(NotReady::GiveBack("the vendor refuses calls for now"));
    }
    Ok(())
}

/// A vendor call can't be fenced: it starts only if the lease outlasts it, renewed where it has to be.
async fn lasting(work: &mut Work, account: &Account) -> Result<(), NotReady> {
    let needed = account.provider.call_timeout() + CALL_GRACE;
    let left = |work: &Work| work.lasts_until.saturating_sub(account.boot.now());
    if left(work) > needed {
        return Ok(());
    }
    let asked_at = account.boot.now();
    match account.store.renew(&mut work.lease, account.lease_ttl()).await {
        Ok(()) => work.lasts_until = asked_at + account.lease_ttl(),
        Err(StoreError::LeaseLapsed(_)) => return Err(NotReady::Lapsed),
        Err(error) => {
            metrics::store_failed(&account.name, StoreCall::Renew);
            tracing::warn!(%error, "the lease could not be renewed before its call");
            return Err(NotReady::GiveBack("its lease is too short for a call"));
        }
    }
    if left(work) > needed { Ok(()) } else { Err(NotReady::GiveBack("its lease is too short for a call")) }
}

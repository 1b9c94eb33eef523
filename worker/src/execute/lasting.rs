//! Keeps a lease alive while something is done under it.

use std::convert::Infallible;

use usher_shared::store::StoreError;

use crate::{
    account::Account,
    backend::Work,
    metrics::{self, StoreCall},
};

/// Does something under a lease, renewing it every third of its length beside it. The lease may lapse all the same, where
/// the store does not answer; what is then written under it is refused.
pub(super) async fn while_lasting<F: Future>(work: &mut Work, account: &Account, doing: F) -> F::Output {
    tokio::select! {
        biased;
        output = doing => output,
        // A renewal that is broken off here may have been done: the lease then lasts longer than is known, never shorter.
        never = keep(work, account) => match never {},
    }
}

async fn keep(work: &mut Work, account: &Account) -> Infallible {
    let ttl = account.lease_ttl();
    loop {
        tokio::time::sleep(ttl / 3).await;
        let asked_at = account.boot.now();
        match account.store.renew(&mut work.lease, ttl).await {
            Ok(()) => work.lasts_until = asked_at + ttl,
            Err(error @ StoreError::LeaseLapsed(_)) => {
                tracing::warn!(%error, "the lease lapsed while its call was under way");
                std::future::pending::<()>().await;
            }
            Err(error) => {
                metrics::store_failed(&account.name, StoreCall::Renew);
                tracing::warn!(%error, "the lease is not renewed yet");
            }
        }
    }
}

//! Keeps a lease alive while something is done under it.

use usher_shared::store::StoreError;

use crate::{account::Account, backend::Work};

/// Does something under a lease, renewing it every third of its length. The lease may lapse all the same, where the store
/// does not answer; what is then written under it is refused.
pub(super) async fn while_lasting<F: Future>(work: &mut Work, account: &Account, doing: F) -> F::Output {
    tokio::pin!(doing);
    let ttl = account.lease_ttl();
    let mut lapsed = false;
    loop {
        tokio::select! {
            biased;
            output = &mut doing => return output,
            () = tokio::time::sleep(ttl / 3), if !lapsed => {}
        }
        let asked_at = account.boot.now();
        match account.store.renew(&mut work.lease, ttl).await {
            Ok(()) => work.lasts_until = asked_at + ttl,
            Err(error @ StoreError::LeaseLapsed(_)) => {
                tracing::warn!(%error, "the lease lapsed while its call was under way");
                lapsed = true;
            }
            Err(error) => tracing::warn!(%error, "the lease is not renewed yet"),
        }
    }
}

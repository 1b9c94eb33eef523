//! One `finish` a lease, tried again for as long as the lease lives.

use std::time::Duration;

use usher_shared::{
    JobReport,
    store::{Lease, StoreError},
};

use crate::{
    account::Account,
    backend::Work,
    backoff::Backoff,
    metrics::{self, StoreCall},
};

/// Finishes a lease with its reports. What can't be written before the lease lapses is dropped: the store then records
/// the attempt as lost, and the job runs again.
pub(super) async fn record(account: &Account, lease: Lease, lasts_until: Duration, reports: Vec<JobReport>) {
    let mut failures = 0;
    loop {
        let error = match account.store.finish(copied(&lease), reports.clone()).await {
            Ok(()) => {
                metrics::recorded(&account.name, lease.action, &reports);
                let ended = reports.iter().filter_map(|report| Some(report.attempt.as_ref()?.ended_at)).max();
                ended.into_iter().for_each(|ended_at| account.recorded(&lease.run, ended_at));
                return;
            }
            Err(error) => error,
        };
        let left = lasts_until.saturating_sub(account.boot.now());
        match error {
            StoreError::LeaseLapsed(_) => {
                // After a failure the earlier try may have gone through: then this is how it shows.
                if failures == 0 {
                    metrics::lease_lost(&account.name);
                    tracing::warn!(
                        "the lease lapsed before its outcome could be recorded; the job runs again"
                    );
                } else {
                    tracing::info!("the lease is over: recorded by an earlier try, or lapsed");
                }
                return;
            }
            error if error.is_retryable() && !left.is_zero() => {
                failures += 1;
                metrics::store_failed(&account.name, StoreCall::Finish);
                let wait = Backoff::SERVICE.interval(failures, &mut *account.random()).min(left);
                tracing::warn!(%error, "the outcome is not recorded yet; trying again");
                tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
            }
            error => {
                metrics::store_failed(&account.name, StoreCall::Finish);
                tracing::error!(%error, "the outcome could not be recorded; the job runs again once its lease has lapsed");
                return;
            }
        }
    }
}

/// Gives work back untouched.
pub(crate) async fn give_back(account: &Account, work: Work) {
    let Work { lease, lasts_until, slot, company, .. } = work;
    record(account, lease, lasts_until, vec![]).await;
    drop((slot, company));
}

/// Gives a lease back untouched that was asked for at that moment of the boot clock.
pub(crate) async fn give_back_lease(account: &Account, lease: Lease, asked_at: Duration) {
    let lasts_until = asked_at + lease.ttl;
    record(account, lease, lasts_until, vec![]).await;
}

/// A lease is not `Clone`, so that nobody finishes it twice; but one `finish` that the store could not answer may be
/// sent again, and only one of the two is ever accepted.
fn copied(lease: &Lease) -> Lease {
    Lease {
        token: lease.token,
        account: lease.account.clone(),
        worker: lease.worker.clone(),
        run: lease.run.clone(),
        priority: lease.priority,
        action: lease.action,
        granted_at: lease.granted_at,
        ttl: lease.ttl,
        jobs: lease.jobs.clone(),
    }
}

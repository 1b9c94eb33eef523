//! Forgets runs that ended long ago, a step at a time. The audit stays.

use std::time::Duration;

use tokio::sync::watch;
use usher_shared::{
    WorkerId,
    audit::{AuditEvent, AuditKind},
    store::{SharedStore, StoreError},
};

use crate::account::Stop;

/// How often it is looked whether a run is old enough.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// The rest between two steps: the store is there for those who work.
const REST: Duration = Duration::from_millis(20);

/// Forgets what ended more than so many days ago, until the worker is to stop.
pub(crate) async fn prune_until_stopped(
    store: SharedStore,
    worker: WorkerId,
    keep_days: u32,
    mut stop: watch::Receiver<Stop>,
) {
    let keep = Duration::from_secs(u64::from(keep_days) * 24 * 60 * 60);
    let forever = async {
        loop {
            if let Err(error) = prune(&store, &worker, keep).await {
                tracing::warn!(%error, "old runs are not forgotten for now; trying again later");
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        // The sender is gone only when the engine is: that, too, is a stop.
        _ = stop.wait_for(|stop| *stop == Stop::Drain) => {}
        never = forever => never,
    }
}

async fn prune(store: &SharedStore, worker: &WorkerId, keep: Duration) -> Result<(), StoreError> {
    let now = store.now().await?;
    let before = usher_shared::Timestamp::from_millis(
        now.as_millis().saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX)),
    );
    while let Some((run, all)) = store.prune(before).await? {
        if all {
            let event = AuditEvent {
                what: AuditKind::Pruned,
                by: format!("worker:{worker}"),
                from: None,
                account: None,
                run: Some(run.clone()),
                plan: None,
                detail: Some(format!("it ended before {before}")),
            };
            store.tell(&event).await?;
            tracing::info!(%run, "forgot a run that ended before {before}");
        }
        tokio::time::sleep(REST).await;
    }
    Ok(())
}

//! Pause, resume, cancel, and how soon.

use usher_shared::{
    Hold, HoldReason, Priority, RunId, RunStatus,
    audit::AuditKind,
    store::{CHUNK, SharedStore},
    view::numbers::of,
};

use super::{Barred, SteerError, Who, find};

/// Stops a run for now; calls in flight finish. One that is paused stays so. Returns it as it is then.
///
/// # Errors
/// [`SteerError::Barred`] where it is over or being cancelled.
pub async fn pause(store: &SharedStore, status: &RunStatus, who: &Who) -> Result<RunStatus, SteerError> {
    if status.phase.is_over() || status.cancelled {
        return Err(SteerError::barred(status, Barred::Pause));
    }
    if status.paused {
        return Ok(status.clone());
    }
    who.tell(store, AuditKind::Paused, status, None, None).await?;
    store.pause(&status.run.id).await?;
    Ok(find(store, &status.run.id).await?)
}

/// Takes a pause back, and a hold that waits for somebody. Returns the run as it is then.
///
/// # Errors
/// [`SteerError::Barred`] where it is over.
pub async fn resume(store: &SharedStore, status: &RunStatus, who: &Who) -> Result<RunStatus, SteerError> {
    if status.phase.is_over() {
        return Err(SteerError::barred(status, Barred::Resume));
    }
    let_go_on(store, status, who).await?;
    Ok(find(store, &status.run.id).await?)
}

/// Takes a pause back, and a hold that waits for somebody: whoever says that a run is to go on has put right what was wrong,
/// and if not, the next call finds out. Does nothing to a run that is over.
///
/// # Errors
/// What the store answers.
pub async fn let_go_on(store: &SharedStore, status: &RunStatus, who: &Who) -> Result<(), SteerError> {
    if !status.phase.is_over() && status.paused {
        who.tell(store, AuditKind::Resumed, status, None, None).await?;
        store.resume(&status.run.id).await?;
    }
    let waits_for_somebody = |hold: &Hold| {
        matches!(hold.reason, HoldReason::Credentials | HoldReason::Scope) && hold.until.is_none()
    };
    if status.hold.as_ref().is_some_and(waits_for_somebody) {
        store.release(&status.run.account).await?;
    }
    Ok(())
}

/// Ends a run for good: from here on nothing more of it is leased, and its first users have their outcome. [`cancel_rest`]
/// ends the others; so do workers, in their time. Returns how many users have no outcome yet.
///
/// # Errors
/// [`SteerError::Barred`] where it is over, and was not cancelled: then nothing is left to be done.
pub async fn cancel(store: &SharedStore, status: &RunStatus, who: &Who) -> Result<u64, SteerError> {
    use usher_shared::RunPhase as P;
    match status.phase {
        P::Cancelled => return Ok(0),
        P::Finished => return Err(SteerError::barred(status, Barred::Cancel)),
        P::Open | P::Sealed | P::Resolved | P::Admitted => {}
    }
    if !status.cancelled {
        let left = status.counters.total - status.counters.finished;
        let detail = format!("{} left", of(left, "user"));
        who.tell(store, AuditKind::Cancelled, status, None, Some(detail)).await?;
    }
    Ok(store.cancel(&status.run.id, CHUNK).await?)
}

/// Goes on with a cancel, chunk by chunk, until only what is in flight is left. Returns the run as it is then.
///
/// # Errors
/// What the store answers.
pub async fn cancel_rest(store: &SharedStore, run: &RunId) -> Result<RunStatus, SteerError> {
    loop {
        let status = find(store, run).await?;
        let left = status.counters.total - status.counters.finished;
        if left <= status.counters.leased {
            return Ok(status);
        }
        store.cancel(run, CHUNK).await?;
    }
}

/// Changes how soon a run is worked; calls in flight finish first. Returns the run as it is then.
///
/// # Errors
/// [`SteerError::Barred`] where it is over.
pub async fn set_priority(
    store: &SharedStore,
    status: &RunStatus,
    priority: Priority,
    who: &Who,
) -> Result<RunStatus, SteerError> {
    let was = status.run.priority;
    if status.phase.is_over() {
        return Err(SteerError::barred(status, Barred::Priority));
    }
    if was == priority {
        return Ok(status.clone());
    }
    let detail = format!("from {was} to {priority}");
    who.tell(store, AuditKind::Reprioritized, status, None, Some(detail)).await?;
    store.set_priority(&status.run.id, priority).await?;
    Ok(find(store, &status.run.id).await?)
}

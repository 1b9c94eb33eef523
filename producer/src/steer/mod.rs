//! Steering runs: the same for the command line and the HTTP API.
//!
//! Each of these takes the run as its caller saw it and who does it, tells the audit first, and does it: what can't be told
//! is not done. They refuse what can't be done in the run's state with a [`SteerError`], whose words name no command and no
//! call: whoever shows one adds the cure in the terms of its reader.

mod confirm;
mod error;
mod flow;
mod retry;
mod undo;

use usher_shared::{
    RunId, RunStatus,
    audit::{AuditEvent, AuditKind},
    plan::PlanHash,
    store::{SharedStore, StoreError},
};

pub use confirm::{Applied, apply, approve, can_be_applied, can_be_approved, check_named, same_as_noted};
pub use error::{Barred, SteerError};
pub use flow::{cancel, cancel_rest, let_go_on, pause, resume, set_priority};
pub use retry::{Retry, RetryOf, can_be_retried};
pub use undo::{Undo, UndoTerms, Undoing, can_be_undone, undo_under_way};

/// Who steers, as runs and the audit name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// `cli:alice@host`, `token:bob`.
    pub by: String,
    /// From which machine or address.
    pub from: Option<String>,
}

impl Who {
    /// Tells the audit that this is about to be done to a run.
    async fn tell(
        &self,
        store: &SharedStore,
        what: AuditKind,
        status: &RunStatus,
        plan: Option<&PlanHash>,
        detail: Option<String>,
    ) -> Result<(), StoreError> {
        let event = AuditEvent {
            what,
            by: self.by.clone(),
            from: self.from.clone(),
            account: Some(status.run.account.clone()),
            run: Some(status.run.id.clone()),
            plan: plan.cloned(),
            detail,
        };
        store.tell(&event).await?;
        Ok(())
    }
}

/// The run, or an error that says there is none.
///
/// # Errors
/// [`StoreError::NoSuchRun`], and what the store answers.
pub async fn find(store: &SharedStore, run: &RunId) -> Result<RunStatus, StoreError> {
    store.run(run).await?.ok_or_else(|| StoreError::NoSuchRun(run.clone()))
}

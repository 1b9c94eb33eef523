//! What a worker tells to the audit.

use usher_shared::{
    RunStatus,
    audit::{AuditEvent, AuditKind},
    store::StoreError,
};

use crate::account::Account;

impl Account {
    /// Tells what is about to be done with a run. Where that can't be told, it is not done for now: the caller tries again.
    pub async fn tell(
        &self,
        what: AuditKind,
        run: &RunStatus,
        detail: Option<String>,
    ) -> Result<(), StoreError> {
        let event = AuditEvent {
            what,
            by: format!("worker:{}", self.worker),
            from: None,
            account: Some(self.name.clone()),
            run: Some(run.run.id.clone()),
            plan: run.notes.plan.as_ref().map(|plan| plan.hash.clone()),
            detail,
        };
        self.store.tell(&event).await.map(drop)
    }
}

/// What a run came to, in figures.
pub(crate) fn came_to(run: &RunStatus) -> String {
    let outcomes: Vec<String> =
        run.counters.outcomes.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
    let duplicates = match run.counters.duplicates {
        0 => String::new(),
        count => format!(", duplicates {count}"),
    };
    format!("{}: {}{duplicates}", run.state(), outcomes.join(", "))
}

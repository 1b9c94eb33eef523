//! Tells the audit what a person does here, before it is done.

use usher_shared::{
    AccountName, RunId,
    audit::{AuditEvent, AuditKind},
    store::{SharedStore, StoreError},
};

use crate::wiring;

/// What is told, beside who does it and from where.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Whose users.
    pub account: Option<AccountName>,
    /// Which run.
    pub run: Option<RunId>,
    /// More, for people.
    pub detail: Option<String>,
}

impl About {
    /// A run of an account.
    pub fn run(account: &AccountName, run: &RunId) -> Self {
        Self { account: Some(account.clone()), run: Some(run.clone()), ..Self::default() }
    }

    /// With a word for people.
    pub fn saying(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// Tells that whoever uses this command does something. What can't be told is not done.
pub async fn tell(store: &SharedStore, what: AuditKind, about: About) -> Result<(), StoreError> {
    let About { account, run, detail } = about;
    let (by, from) = (wiring::asked_by(), Some(wiring::host()));
    store.tell(&AuditEvent { what, by, from, account, run, plan: None, detail }).await?;
    Ok(())
}

//! What an entry of the audit says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AccountName, RunId, Timestamp, plan::PlanHash};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// A run was submitted.
    Submitted,
    /// A run was resolved: what it would do is known, and its hash.
    Resolved,
    /// A plan is to be applied.
    Applied,
    /// A run was approved.
    Approved,
    /// A run is held.
    Held,
    /// A run was refused by the account's caps.
    Refused,
    /// A run began.
    Admitted,
    /// Every job of a run has its outcome.
    Finished,
    /// A run was paused.
    Paused,
    /// A run goes on.
    Resumed,
    /// A run was cancelled.
    Cancelled,
    /// A run's deadline came.
    Expired,
    /// Finished jobs of a run are tried again.
    Retried,
    /// A run is worked sooner or later than before.
    Reprioritized,
    /// Somebody is protected from now on.
    ProtectionAdded,
    /// Somebody is not protected any more.
    ProtectionRemoved,
    /// Old runs were forgotten.
    Pruned,
}

impl AuditKind {
    /// The word in exports: an interface, never changed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Resolved => "resolved",
            Self::Applied => "applied",
            Self::Approved => "approved",
            Self::Held => "held",
            Self::Refused => "refused",
            Self::Admitted => "admitted",
            Self::Finished => "finished",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Retried => "retried",
            Self::Reprioritized => "reprioritized",
            Self::ProtectionAdded => "protection_added",
            Self::ProtectionRemoved => "protection_removed",
            Self::Pruned => "pruned",
        }
    }
}

impl fmt::Display for AuditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that happened, as whoever did it tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// What.
    pub what: AuditKind,
    /// Who: `cli:alice@host`, `token:bob`, `worker:w1`.
    pub by: String,
    /// From which machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whose users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// Which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// With which plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanHash>,
    /// More, for people: figures, a pattern, a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// An event in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When it was told, by the store's clock.
    pub at: Timestamp,
    /// The event, in JSON, as it was told: what is sealed is this very text.
    pub event: String,
    /// The keyed hash over this entry and the seal before it, in hexadecimal; `None` where nobody with the key came by yet.
    pub seal: Option<String>,
}

impl AuditEntry {
    /// The event, read; `None` where the text is none.
    #[must_use]
    pub fn read(&self) -> Option<AuditEvent> {
        serde_json::from_str(&self.event).ok()
    }
}

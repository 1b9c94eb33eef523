//! The final fact of a job.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Action, ResolvedUser, Timestamp, UnknownWord, UserRef, WorkerId};

/// The code of a user who was activated, and for whom no licence was free: changed, though not as wished ([`Outcome::NoSeat`]).
pub const ACTIVATED_AS_BASIC: &str = "activated_as_basic";

/// The code of a user who was activated, or given something back, and not given back all that was wished: changed, though not
/// as wished ([`Outcome::Rejected`], [`Outcome::Exhausted`], ...).
pub const PARTLY_RESTORED: &str = "partly_restored";

/// The final fact of a job. Every job ends in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = OutcomeKind))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The vendor confirmed the change, or a lost reply was followed by "already there".
    Applied,
    /// The user was in the desired state before our first attempt.
    AlreadyApplied,
    /// The vendor refused; its code and message say why.
    Rejected,
    /// The vendor knows no such user in this account.
    NotFound,
    /// A rule of the account protects this user; no call was made.
    Protected,
    /// The user is no longer what the approved plan said; no call was made.
    Drifted,
    /// A newer run decides about this user.
    Superseded,
    /// No free licence for the activation.
    NoSeat,
    /// Every attempt failed in a way that might have passed.
    Exhausted,
    /// The run's deadline came first.
    Expired,
    /// The run was cancelled before this job began.
    Cancelled,
    /// The job was held, alone, by a worker each time it died; it is not tried again.
    Poisoned,
}

impl Outcome {
    /// Every outcome, in the order in which summaries list them.
    pub const ALL: [Self; 12] = [
        Self::Applied,
        Self::AlreadyApplied,
        Self::Rejected,
        Self::NotFound,
        Self::Protected,
        Self::Drifted,
        Self::Superseded,
        Self::NoSeat,
        Self::Exhausted,
        Self::Expired,
        Self::Cancelled,
        Self::Poisoned,
    ];

    /// The word used in reports: an interface, never changed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::AlreadyApplied => "already_applied",
            Self::Rejected => "rejected",
            Self::NotFound => "not_found",
            Self::Protected => "protected",
            Self::Drifted => "drifted",
            Self::Superseded => "superseded",
            Self::NoSeat => "no_seat",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Poisoned => "poisoned",
        }
    }

    /// Whether the user is now as the request wished.
    #[must_use]
    pub fn is_as_wished(self) -> bool {
        matches!(self, Self::Applied | Self::AlreadyApplied)
    }
}

impl FromStr for Outcome {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or_else(|| {
            UnknownWord::new(
                text,
                "an outcome",
                "applied, already_applied, rejected, not_found, protected, drifted, superseded, no_seat, \
                 exhausted, expired, cancelled or poisoned",
            )
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A finished job, as reports show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRow {
    /// The place in the run, from 0.
    pub seq: u64,
    /// The line of the file, from 1.
    pub line: u64,
    /// The user as the producer named it.
    pub user: UserRef,
    /// The user as the vendor knows it, where it was resolved, with what was there before.
    pub resolved: Option<ResolvedUser>,
    /// What was wanted.
    pub action: Action,
    /// Why, where the row said so itself.
    pub reason: Option<String>,
    /// The final fact.
    pub outcome: Outcome,
    /// The vendor's code, or usher's own word for the reason (`pending`, a rule's name), where there is one.
    pub code: Option<String>,
    /// The vendor's message, or usher's own.
    pub message: Option<String>,
    /// Attempts made, lost ones included. 0 where no call was needed.
    pub attempts: u32,
    /// When the first attempt began.
    pub first_attempt_at: Option<Timestamp>,
    /// When the last attempt ended: the last in the ledger, whatever the workers' clocks say.
    pub last_attempt_at: Option<Timestamp>,
    /// Who finished it, where a worker did: not what the store ended itself, as cancelled or superseded.
    pub worker: Option<WorkerId>,
}

impl OutcomeRow {
    /// Whether the run changed this user without bringing it to all that was wished. An undo takes it back like any other change.
    #[must_use]
    pub fn changed_in_part(&self) -> bool {
        !self.outcome.is_as_wished()
            && matches!(self.code.as_deref(), Some(ACTIVATED_AS_BASIC | PARTLY_RESTORED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_reads_back_from_its_word_and_from_json() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
            assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{}\"", outcome.as_str()));
        }
    }
}

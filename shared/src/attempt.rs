//! One try at a job: what was tried, what it meant, and what becomes of the job.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Outcome, Timestamp, WorkerId};

/// What a provider's reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The vendor confirmed the change.
    Applied,
    /// The user was already in the desired state.
    AlreadyApplied,
    /// The vendor refuses calls for now. Spends no attempt.
    Throttled,
    /// Might pass: transport errors, timeouts, 5xx. Retried.
    Transient,
    /// The vendor refuses this user for good.
    Rejected,
    /// No licence is free for what an activation is to give back. Not retried: somebody has to free one.
    NoSeat,
    /// The vendor knows no such user.
    NotFound,
    /// The token is invalid or expired. A new token, once.
    Unauthorized,
    /// The token may not do this: halts the account, fails no user.
    Forbidden,
    /// A reply that fits none of the above; finished as rejected with what the vendor said.
    Unknown,
    /// The worker died, or lost its lease, before it could tell.
    Lost,
}

impl Verdict {
    /// The word stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::AlreadyApplied => "already_applied",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Rejected => "rejected",
            Self::NoSeat => "no_seat",
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Unknown => "unknown",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One try at a job, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began: the lease, for a lost one.
    #[serde(rename = "b")]
    pub began_at: Timestamp,
    /// When it ended: the lapse, for a lost one.
    #[serde(rename = "e")]
    pub ended_at: Timestamp,
    /// Vendor calls made.
    #[serde(rename = "c", default)]
    pub calls: u32,
    /// The HTTP status of the last reply, where there was one.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub http: Option<u16>,
    /// What the reply meant.
    #[serde(rename = "v")]
    pub verdict: Verdict,
    /// The vendor's code, where there was one.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Who tried.
    #[serde(rename = "w")]
    pub worker: WorkerId,
}

/// Why a job waits without having failed. Spends no attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnoozeReason {
    /// The vendor refused for its rate limit.
    Throttled,
    /// Handed back untouched: the worker drains, or its lease is too short for a call.
    Returned,
    /// The account is on hold.
    Held,
}

/// What becomes of a leased job: the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It ends here, with the vendor's code and message.
    Finish {
        /// The final fact.
        outcome: Outcome,
        /// The vendor's code, or usher's own word.
        code: Option<String>,
        /// The vendor's message, or usher's own.
        message: Option<String>,
    },
    /// Try again, not before `at`. Spends an attempt.
    Retry {
        /// The earliest next try.
        at: Timestamp,
    },
    /// Wait, not having failed. Spends no attempt.
    Snooze {
        /// The earliest next try.
        until: Timestamp,
        /// Why.
        reason: SnoozeReason,
    },
}

/// What a worker says of one job of a lease when it finishes the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobReport {
    /// Which job of the lease.
    pub seq: u64,
    /// What was tried; `None` where no vendor call was started.
    pub attempt: Option<Attempt>,
    /// Replies that were a rate limit's refusal (429), for the run's figures.
    pub throttled: u32,
    /// What becomes of it.
    pub then: Then,
}

//! What a store can answer instead of what was asked.

use crate::{RunId, RunPhase};

/// What a store can answer instead of what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store can't be reached, is busy, or is loading. Retried by workers for as long as it takes; a command line
    /// user checks that it runs.
    #[error("the store does not answer: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The lease or stewardship had ended before the write. Never retried: somebody else decides now.
    #[error("the lease on {0} has lapsed")]
    LeaseLapsed(String),
    /// No such run. Never retried; `usher runs` lists those there are.
    #[error("there is no run {0} in this store; `usher runs` lists those there are")]
    NoSuchRun(RunId),
    /// The run can't do this in its phase. Never retried.
    #[error("run {run} is {phase}: {wanted}")]
    WrongPhase {
        /// The run.
        run: RunId,
        /// Where it is.
        phase: RunPhase,
        /// What was wanted of it, as a sentence's end: `it can't be paused`.
        wanted: &'static str,
    },
    /// The run id is in use. The producer chooses another.
    #[error("the run id {0} is taken")]
    IdTaken(RunId),
    /// The idempotency key stands for other content. Never retried; the caller uses another key.
    #[error(
        "the idempotency key {key:?} stands for run {existing}, which has other content; use another key"
    )]
    Conflict {
        /// The key.
        key: String,
        /// The run that it stands for.
        existing: RunId,
    },
    /// A seal's count and the store's differ. The producer submits again from the start.
    #[error(
        "run {run} has {found} requests in the store, not the {expected} that were sent; submit it again"
    )]
    Incomplete {
        /// The run.
        run: RunId,
        /// What the seal says.
        expected: u64,
        /// What the store has.
        found: u64,
    },
    /// Another process works from this embedded store. Never retried; the user stops it, or uses Redis.
    #[error(
        "another usher process works from {0}; stop it first, or use a redis:// store for several workers"
    )]
    SeatTaken(String),
    /// The store was written by a newer usher. Never retried; the user upgrades.
    #[error("the store has format {found}, this usher reads up to {supported}; use a newer usher")]
    TooNew {
        /// The format found.
        found: u64,
        /// The newest format that this program reads.
        supported: u64,
    },
    /// What is stored can't be read. Never retried; the user restores a backup.
    #[error("what is stored at {0} can't be read: {1}")]
    Corrupt(String, String),
    /// The store refuses: a full disk, no memory, no permission, a read-only file. Workers keep trying; the user makes room
    /// or gives the permission.
    #[error("the store refuses: {0}")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address or path of the store can't be used. Never retried; the user corrects it.
    #[error("the store {address:?} can't be used: {problem}")]
    Address {
        /// As configured, without its password.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl StoreError {
    /// Whether the same call may go through later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Refused(_))
    }
}

//! Why a run was not steered.

use std::fmt;

use usher_shared::{Outcome, RunId, RunState, Timestamp, identity::IdentityError, store::StoreError};

use crate::submit::SubmitError;

/// Why a run was not steered. Nothing was done, unless the store failed in between; doing the same again is safe.
#[derive(Debug, thiserror::Error)]
pub enum SteerError {
    /// What the run's state bars. Never retried as it is; the words say when it can be done.
    #[error("run {run} is {}: {barred}", word(*state))]
    Barred {
        /// The run.
        run: RunId,
        /// Its state.
        state: RunState,
        /// What can't be done.
        barred: Barred,
    },
    /// To be approved, and under way already. Never retried.
    #[error("run {0} is under way already: there is nothing to approve")]
    UnderWay(RunId),
    /// To be applied, and no plan. Never retried: it goes on by itself.
    #[error("run {0} is no plan, but a run that goes on by itself")]
    NoPlan(RunId),
    /// Everybody has not been looked up. Done again later, it goes through.
    #[error("run {0} has no plan yet")]
    NotPlannedYet(RunId),
    /// The store has other rows than the plan's note says. Never retried: somebody or something changed the store; the user
    /// plans again.
    #[error(
        "run {run} is not what was planned: the plan noted has the hash {noted}, what lies in the store has {found}. Somebody \
         or something changed the store; nothing was done. Plan again"
    )]
    Changed {
        /// The run.
        run: RunId,
        /// The beginning of the hash that was noted.
        noted: String,
        /// The beginning of the hash of what lies in the store.
        found: String,
    },
    /// The plan that was named is not the run's. Never retried: the caller looks at the plan again.
    #[error("run {run} has the plan {noted}, not {named}: look at it again, and name what you have seen")]
    AnotherPlan {
        /// The run.
        run: RunId,
        /// The beginning of the run's.
        noted: String,
        /// The beginning of that which was named.
        named: String,
    },
    /// Approved by whoever submitted it. Never retried by them.
    #[error("{name} submitted run {run}: another person has to approve it")]
    OnesOwn {
        /// The run.
        run: RunId,
        /// Who.
        name: String,
    },
    /// Users who are as wished can't be tried again. Never retried.
    #[error("{0} users are as wished: there is nothing to retry")]
    AsWished(Outcome),
    /// Nobody is left who could be tried again. Never retried.
    #[error("run {run} has nobody to be tried again{codes}: it ended with {ended}")]
    NobodyToRetry {
        /// The run.
        run: RunId,
        /// ` with the code ...`, where codes were asked for.
        codes: String,
        /// How many ended as what.
        ended: String,
    },
    /// The run's deadline outlives its end. Never retried: those users are submitted anew.
    #[error(
        "the deadline of run {run} was {deadline}, so nobody of it is tried again: submit those users anew"
    )]
    TooLate {
        /// The run.
        run: RunId,
        /// Its deadline.
        deadline: Timestamp,
    },
    /// A run that changed one user twice: its ledger is broken. Never retried.
    #[error("run {0} changed a user twice; it can't be undone as a whole")]
    ChangedTwice(RunId),
    /// An undo could not be submitted. Retried where its source may be.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The token can't sign. Never retried; its holder copies it again.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What the store answers. Retried where [`StoreError::is_retryable`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SteerError {
    pub(super) fn barred(status: &usher_shared::RunStatus, barred: Barred) -> Self {
        Self::Barred { run: status.run.id.clone(), state: status.state(), barred }
    }
}

/// What a run's state bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Barred {
    /// To be paused: it is over, or being ended.
    Pause,
    /// To go on: it is over.
    Resume,
    /// To be cancelled: it is over.
    Cancel,
    /// To be worked sooner or later: it is over.
    Priority,
    /// To be tried again: it is not over.
    Retry,
    /// To be undone: it is not over.
    Undo,
    /// To be applied: it is over, or being ended.
    ApplyEnded,
    /// To be applied: everybody has not been looked up.
    ApplyTooSoon,
    /// To be applied: it is paused.
    ApplyPaused,
    /// To be approved: it is over, or being ended.
    ApproveEnded,
    /// To be approved: everybody has not been looked up.
    ApproveTooSoon,
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "it can't be paused",
            Self::Resume => "there is nothing to go on with",
            Self::Cancel => "it can't be cancelled any more",
            Self::Priority => "there is nothing to be done sooner",
            Self::Retry => "users can be tried again once it is over",
            Self::Undo => "it can be undone once it is over",
            Self::ApplyEnded => "plan again",
            Self::ApplyTooSoon => "it can be applied once everybody has been looked up",
            Self::ApplyPaused => "it can be applied once it is resumed",
            Self::ApproveEnded => "there is nothing to approve",
            Self::ApproveTooSoon => "it can be approved once everybody has been looked up",
        })
    }
}

/// A state within a sentence.
fn word(state: RunState) -> &'static str {
    match state {
        RunState::Cancelling => "being cancelled",
        state => state.as_str(),
    }
}

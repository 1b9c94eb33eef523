//! Why a submission did not become a run.

use usher_shared::store::StoreError;

use super::{Contents, Key};
use crate::intake::{BadRow, IntakeError};

/// Why a submission did not become a run. In every case but a lost reply to the last step (see
/// [`SubmitError::Store`]) nothing of it is seen by a worker.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The file is unusable. Never retried; the user does what the message says.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// No request at all, or none that is not a bad row. Never retried.
    #[error("there is nothing to submit: no row names a user and an action")]
    Empty,
    /// Requests that can't be read or contradict each other, in a call that does not skip them. Never retried; the
    /// caller corrects them.
    #[error("{bad} of the rows can't be submitted; the first: {first}")]
    Flawed {
        /// How many.
        bad: u64,
        /// The first.
        first: Box<BadRow>,
    },
    /// The token that should prove who submits can't sign. Never retried; its holder copies it again.
    #[error(transparent)]
    Identity(#[from] usher_shared::identity::IdentityError),
    /// A key that can't be one. Never retried; the caller makes another.
    #[error(
        "{0:?} can't be an idempotency key: use 1 to 200 printable characters that don't begin with `content:`"
    )]
    Key(String),
    /// Another submission under the same key is on its way. The same again later: by then it is a run, or was given up.
    #[error("another submission under the key {0:?} is on its way; send this one again once that has ended")]
    KeyBusy(String),
    /// The store refuses, or was away for longer than [`Patience`](super::Patience) lasts. Submitting the same again is
    /// safe: if the reply to the last step was lost, the run that it made is found again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The draft waited too long to be sealed, and the store has forgotten it. The user submits again.
    #[error("the submission waited for over an hour and was forgotten by the store; submit it again")]
    Expired,
}

impl SubmitError {
    pub(super) fn flawed(contents: &Contents) -> Self {
        match contents.bad.first.first() {
            Some(first) => Self::Flawed { bad: contents.bad.total, first: Box::new(first.clone()) },
            None => Self::Empty,
        }
    }

    /// A conflict names the key as its caller knows it.
    pub(super) fn of_seal(error: StoreError, key: &Key) -> Self {
        match (error, key.as_sent()) {
            (StoreError::Conflict { existing, .. }, Some(key)) => {
                Self::Store(StoreError::Conflict { key: key.to_owned(), existing })
            }
            (error, _) => Self::Store(error),
        }
    }

    /// What an error means that the store gives for a draft's own run.
    pub(super) fn of_draft(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchRun(_) => Self::Expired,
            error => Self::Store(error),
        }
    }
}

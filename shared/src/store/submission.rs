//! What makes submissions complete and the same, and what becomes of them.

use std::collections::BTreeMap;

use crate::{Action, RunId};

/// What makes a submission complete, and the same as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Requests appended; sealing is refused where the store has another number.
    pub total: u64,
    /// How many of them of each action.
    pub by_action: BTreeMap<Action, u64>,
    /// Binds the submission to what was submitted before.
    pub idempotency: Idempotency,
}

/// An idempotency key, bound to a digest of the content, within one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The key: a caller's own, or one made of the content.
    pub key: String,
    /// SHA-256 over account and requests, in hexadecimal.
    pub digest: String,
    /// Whether a finished or cancelled run lets the same key start a new run.
    pub again_after_end: bool,
}

/// What a seal made of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// A new run. `previous` is the ended run that the same key stood for.
    New {
        /// The run that had this content before, where there was one.
        previous: Option<RunId>,
    },
    /// The same content is already a run under this key; what was appended now has been discarded.
    Existing(RunId),
}

/// What became of claiming an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyClaim {
    /// It is the claimant's for now. `stands_for`: the run that was sealed under it before, whatever has become of it.
    Granted {
        /// The run.
        stands_for: Option<RunId>,
    },
    /// Another submission under this key is on its way.
    Busy,
}

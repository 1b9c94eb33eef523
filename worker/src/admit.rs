//! Whether a resolved run may begin: the account's policy, in the worker's configuration, because a submitter's own
//! file guards nobody.

use usher_shared::RunStatus;

/// What becomes of a resolved run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is numbered and worked.
    Admit,
    /// It stays held; somebody has to do something first.
    Hold,
}

/// Decides about a resolved run. No caps and no approval can be configured yet, so that only a run that somebody stopped
/// stays held.
#[must_use]
pub fn admission(run: &RunStatus) -> Admission {
    if run.paused || run.cancelled { Admission::Hold } else { Admission::Admit }
}

//! What guards an account: caps on how many users are touched, and approval by another person.

use serde::Deserialize;

use super::Share;

/// `[accounts.NAME.caps]`: how many users may be touched. What counts is users whose state a run changes, each once a day
/// however often it is tried; without a cap, none applies. Enforced by the workers, by their own configuration, before the
/// first change, whatever way a run came into the store.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// At most so many users in one run.
    pub users_per_run: Option<u64>,
    /// At most this share of the account's active users in one run: `"10%"`.
    pub share_per_run: Option<Share>,
    /// At most so many users a day (UTC), over all runs.
    pub users_per_day: Option<u64>,
}

impl Caps {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `[accounts.NAME.approval]`: runs that another person than the submitter has to approve.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApprovalConfig {
    /// Which runs: `always`, or those `over_cap`, which are refused without this section.
    pub required: ApprovalRequired,
    /// For how many hours an approval counts: a run that is not admitted by then needs another. 0.1 to 720.
    pub valid_hours: f64,
    /// Whose runs can be approved: `token` (default): the submitter has to be proved by a personal token, too, so that
    /// nobody approves a run of their own under another login name; `anyone`: the name that the submitter gives is taken for
    /// granted, and only has to be another.
    pub submitter: Submitter,
}

impl Default for ApprovalConfig {
    fn default() -> Self {
        Self { required: ApprovalRequired::Always, valid_hours: 24.0, submitter: Submitter::Token }
    }
}

/// Which runs need approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalRequired {
    /// All of them.
    Always,
    /// Those over a cap.
    OverCap,
}

/// Whose runs can be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Submitter {
    /// Only those whose submitter is proved by a token.
    Token,
    /// Anyone's.
    Anyone,
}

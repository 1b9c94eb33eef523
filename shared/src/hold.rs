//! An account on hold, and why.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Why an account's work stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// The vendor refuses the account's credentials.
    Credentials,
    /// The token lacks a scope.
    Scope,
    /// The vendor failed again and again; a probe follows at `until`.
    Breaker,
    /// The day's quota is used up.
    Quota,
    /// Workers whose configurations differ about what guards the account are at work. Ends by itself, soon after they agree.
    Disagreement,
}

impl HoldReason {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Credentials, Self::Scope, Self::Breaker, Self::Quota, Self::Disagreement];

    /// The word in exports: an interface, never changed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Scope => "scope",
            Self::Breaker => "breaker",
            Self::Quota => "quota",
            Self::Disagreement => "disagreement",
        }
    }
}

/// An account on hold: nothing is leased for it until the time, or until somebody releases it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// What a person needs to know, and to do.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` until somebody releases it (`usher resume`, `usher accounts check`).
    pub until: Option<Timestamp>,
}

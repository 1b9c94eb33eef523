//! Users who are protected by the list in the store.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, config::ProtectedPattern};

/// One entry of an account's list of protected users, kept by `usher protect`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Protection {
    /// Who: as in the configuration's `protected`.
    pub pattern: ProtectedPattern,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who added it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// An account's list of protected users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protections {
    /// Grows with each change: [`Leased::protections`](crate::store::Leased::protections) says which one is in force.
    pub version: u64,
    /// The entries, by pattern.
    pub list: Vec<Protection>,
}

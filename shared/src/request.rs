//! One user and one action, as a producer states it.

use serde::{Deserialize, Serialize};

use crate::{Action, UserRef};

/// One user and one action, as a producer states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Where it stands in what was submitted: the line of the file, from 1.
    #[serde(rename = "n")]
    pub line: u64,
    /// Who.
    #[serde(rename = "u")]
    pub user: UserRef,
    /// What is wanted.
    #[serde(rename = "a")]
    pub action: Action,
    /// Why, where this row says so itself; the run has a reason of its own.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What an activation gives back beside the sign-in.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
}

/// What an activation gives back beside the sign-in: what the user had before, as far as the vendor takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The vendor's word for the licence type.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The vendor's id of the role.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The vendor's ids of the groups.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

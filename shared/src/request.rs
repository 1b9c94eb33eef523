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
}

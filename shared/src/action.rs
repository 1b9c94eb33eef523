//! What is wanted of a user, and how soon.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Status;

/// What is wanted. Every action sets a desired state, so doing it twice at once is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The user can't sign in any more. Zoom: all licences are released with it.
    Deactivate,
    /// The user can sign in again. Zoom: the licence does not come back by itself.
    Activate,
}

/// A word that is none of those expected. Never retried; the user corrects it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not {kind}: use {expected}")]
pub struct UnknownWord {
    /// The word found, cut to a readable length.
    pub word: String,
    /// What it should have been, with its article: `an action`.
    pub kind: &'static str,
    /// The words that are accepted.
    pub expected: &'static str,
}

impl UnknownWord {
    /// Names `word` as unknown among `expected`.
    #[must_use]
    pub fn new(word: &str, kind: &'static str, expected: &'static str) -> Self {
        Self { word: word.chars().take(40).collect(), kind, expected }
    }
}

impl Action {
    /// Every action, in the order in which they are listed to people.
    pub const ALL: [Self; 2] = [Self::Deactivate, Self::Activate];

    /// The word used in files, on the command line, and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deactivate => "deactivate",
            Self::Activate => "activate",
        }
    }

    /// The status that a user has once the action is done.
    #[must_use]
    pub fn desired(self) -> Status {
        match self {
            Self::Deactivate => Status::Inactive,
            Self::Activate => Status::Active,
        }
    }
}

impl FromStr for Action {
    type Err = UnknownWord;
    /// Takes the word in any case; `reactivate` is what several portals call `activate`.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text.trim().to_ascii_lowercase().as_str() {
            "deactivate" => Ok(Self::Deactivate),
            "activate" | "reactivate" => Ok(Self::Activate),
            _ => Err(UnknownWord::new(text, "an action", "deactivate or activate")),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How soon a run's jobs are worked: every urgent job before every normal one, every normal one before bulk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Takes the next permit: "this person was dismissed a minute ago".
    Urgent,
    /// Between the two; what a person waits for.
    #[default]
    Normal,
    /// Thousands at a time, overnight.
    Bulk,
}

impl Priority {
    /// Every priority, the soonest first.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Normal, Self::Bulk];

    /// The word used on the command line and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }

    /// 0 for urgent, 1 for normal, 2 for bulk: the order of leasing.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            Self::Urgent => 0,
            Self::Normal => 1,
            Self::Bulk => 2,
        }
    }
}

impl FromStr for Priority {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let word = text.trim().to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str() == word)
            .ok_or_else(|| UnknownWord::new(text, "a priority", "urgent, normal or bulk"))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case_and_an_unknown_one_names_the_choices() {
        assert_eq!(" Deactivate ".parse(), Ok(Action::Deactivate));
        assert_eq!("REACTIVATE".parse(), Ok(Action::Activate));
        assert_eq!("Urgent".parse(), Ok(Priority::Urgent));
        let error = "delete".parse::<Action>().unwrap_err().to_string();
        assert_eq!(error, "\"delete\" is not an action: use deactivate or activate");
    }
}

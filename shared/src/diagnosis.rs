//! What a look at one thing found: how bad it is, why it matters, and what to type.

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Work goes on; somebody should know.
    Warning,
    /// Work does not go on, or what it leaves is not safe.
    Failure,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// What a look at one thing found, in words. Findings make it of what they hold: nothing else puts it into words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// What was looked at, in a word or two.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// Why it matters; empty where all is well.
    pub why: String,
    /// What to type or to change; empty where all is well.
    pub cure: String,
}

impl Diagnosis {
    /// All is well.
    #[must_use]
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, found: found.into(), why: String::new(), cure: String::new() }
    }

    /// Work goes on; somebody should know.
    #[must_use]
    pub fn warning(
        check: &'static str,
        found: impl Into<String>,
        why: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { check, level: Level::Warning, found: found.into(), why: why.into(), cure: cure.into() }
    }

    /// Work does not go on, or what it leaves is not safe.
    #[must_use]
    pub fn failure(
        check: &'static str,
        found: impl Into<String>,
        why: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { check, level: Level::Failure, found: found.into(), why: why.into(), cure: cure.into() }
    }
}

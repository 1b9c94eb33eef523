//! What a caller says of a submission, and what it is told.

use usher_shared::{AccountName, NewRun, Priority, RunId, Timestamp};

use super::SubmitError;

/// A run as its submitter describes it; the id and the time are added when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Whose users.
    pub account: AccountName,
    /// How soon.
    pub priority: Priority,
    /// Why, in the submitter's words.
    pub reason: Option<String>,
    /// Who asks: `cli:alice@host`, the name of a service.
    pub asked_by: String,
    /// Where the requests come from: a file name, or `-`.
    pub source: Option<String>,
}

impl Description {
    /// A run of normal priority, without reason or source.
    #[must_use]
    pub fn new(account: AccountName, asked_by: &str) -> Self {
        Self {
            account,
            priority: Priority::default(),
            reason: None,
            asked_by: asked_by.to_owned(),
            source: None,
        }
    }

    pub(super) fn run(&self, id: RunId, created_at: Timestamp) -> NewRun {
        NewRun {
            terms: Default::default(),
            id,
            account: self.account.clone(),
            priority: self.priority,
            reason: self.reason.clone(),
            asked_by: self.asked_by.clone(),
            source: self.source.clone(),
            created_at,
        }
    }
}

/// What makes two submissions the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Their content, for as long as the run is not over: then the same content starts a new run.
    Content,
    /// A key of the caller's own, 1 to 200 printable characters, for good: with other content it is a conflict.
    Own(String),
}

/// What keys made of content begin with.
const CONTENT: &str = "content:";

impl Key {
    /// The text of the key for content of this digest, and whether it may start again once its run is over.
    pub(super) fn of(&self, digest: &str) -> Result<(String, bool), SubmitError> {
        match self {
            Self::Content => Ok((format!("{CONTENT}{digest}"), true)),
            Self::Own(key) => {
                let printable = key.chars().all(|c| !c.is_control()) && !key.trim().is_empty();
                if printable && key.chars().count() <= 200 && !key.starts_with(CONTENT) {
                    Ok((key.clone(), false))
                } else {
                    Err(SubmitError::Key(key.chars().take(80).collect()))
                }
            }
        }
    }
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// A new run.
    New {
        /// Its id.
        run: RunId,
        /// The run, over by now, that had the same content before.
        previous: Option<RunId>,
    },
    /// A run that was submitted before, and is not over (or has the same key for good). Nothing was added.
    Existing {
        /// Its id.
        run: RunId,
    },
}

impl Submitted {
    /// The run that stands for the submission.
    #[must_use]
    pub fn run(&self) -> &RunId {
        match self {
            Self::New { run, .. } | Self::Existing { run } => run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_ones_own_is_for_good_and_can_not_pass_for_content() {
        assert_eq!(Key::Content.of("ab").unwrap(), ("content:ab".into(), true));
        assert_eq!(Key::Own("ticket 7".into()).of("ab").unwrap(), ("ticket 7".into(), false));
        for bad in ["", "  ", "a\nb", "content:ab", &"x".repeat(201)] {
            assert!(matches!(Key::Own(bad.into()).of("ab"), Err(SubmitError::Key(_))), "{bad:?}");
        }
    }
}

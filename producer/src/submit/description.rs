//! What a caller says of a submission, and what it is told.

use usher_shared::{
    AccountName, NewRun, Priority, RunId, Terms, Timestamp,
    audit::{AuditEvent, AuditKind},
};

use super::{Contents, SubmitError};

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
    /// From which machine, for the audit.
    pub from: Option<String>,
    /// Where the requests come from: a file name, or `-`.
    pub source: Option<String>,
    /// On what terms it is worked. Its proof is made when it is opened, by [`FillOptions::signer`](super::FillOptions::signer).
    pub terms: Terms,
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
            from: None,
            source: None,
            terms: Terms::default(),
        }
    }

    /// What the audit is told.
    pub(super) fn event(&self, run: &RunId, contents: &Contents) -> AuditEvent {
        let actions = contents.by_action.iter().filter(|(_, number)| **number > 0);
        let actions: Vec<String> = actions.map(|(action, number)| format!("{action} {number}")).collect();
        let mut detail = actions.join(", ");
        if self.terms.plan {
            detail += "; only planned";
        }
        if let Some(run) = &self.terms.undoes {
            detail += &format!("; undoes {run}");
        }
        if let Some(reason) = &self.reason {
            detail += &format!("; {reason}");
        }
        AuditEvent {
            what: AuditKind::Submitted,
            by: self.asked_by.clone(),
            from: self.from.clone(),
            account: Some(self.account.clone()),
            run: Some(run.clone()),
            plan: None,
            detail: Some(detail),
        }
    }

    pub(super) fn run(&self, id: RunId, created_at: Timestamp) -> NewRun {
        NewRun {
            terms: self.terms.clone(),
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
    /// Their content and terms, for as long as the run is not over: then the same content starts a new run.
    Content,
    /// None: each submission is a run of its own. For plans, which are of the moment.
    Fresh,
    /// A key of the caller's own, 1 to 200 printable characters, for good: with other content it is a conflict.
    Own(String),
}

/// What keys made of content begin with.
const CONTENT: &str = "content:";

impl Key {
    /// The text of the key for content of this digest, submitted as this run on these terms, and whether it may start
    /// again once its run is over.
    pub(super) fn of(&self, digest: &str, run: &RunId, terms: &Terms) -> Result<(String, bool), SubmitError> {
        match self {
            Self::Content => Ok((format!("{CONTENT}{digest}{}", words(terms)), true)),
            Self::Fresh => Ok((format!("{CONTENT}run:{run}"), true)),
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

/// What tells a submission from one of the same content on other terms: what is wanted now is not done by a run that
/// begins next week, nor by a plan. Keys made of it lie in stores.
fn words(terms: &Terms) -> String {
    let mut text = String::new();
    if terms.plan {
        text += "+plan";
    }
    if let Some(run) = &terms.undoes {
        text += &format!("+undoes={run}");
    }
    for (word, at) in [("not_before", terms.not_before), ("deadline", terms.deadline)] {
        if let Some(at) = at {
            text += &format!("+{word}={}", at.as_millis());
        }
    }
    text
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

    fn key(key: &Key, terms: &Terms) -> Result<(String, bool), SubmitError> {
        key.of("ab", &"20261120-k3f9zm".parse().unwrap(), terms)
    }

    #[test]
    fn a_key_of_ones_own_is_for_good_and_can_not_pass_for_content() {
        let terms = Terms::default();
        assert_eq!(key(&Key::Content, &terms).unwrap(), ("content:ab".into(), true));
        assert_eq!(key(&Key::Own("ticket 7".into()), &terms).unwrap(), ("ticket 7".into(), false));
        for bad in ["", "  ", "a\nb", "content:ab", &"x".repeat(201)] {
            assert!(matches!(key(&Key::Own(bad.into()), &terms), Err(SubmitError::Key(_))), "{bad:?}");
        }
    }

    #[test]
    fn the_same_content_on_other_terms_is_another_submission() {
        let at = Some(Timestamp::from_millis(7));
        let all = [
            Terms::default(),
            Terms { plan: true, ..Terms::default() },
            Terms { undoes: Some("20261120-k3f9zm".parse().unwrap()), ..Terms::default() },
            Terms { not_before: at, ..Terms::default() },
            Terms { deadline: at, ..Terms::default() },
        ];
        let keys: std::collections::BTreeSet<String> =
            all.iter().map(|terms| key(&Key::Content, terms).unwrap().0).collect();
        assert_eq!(keys.len(), all.len());
        assert_eq!(key(&Key::Fresh, &all[0]).unwrap().0, "content:run:20261120-k3f9zm");
    }
}

//! What a caller says of a submission, and what it is told.

use usher_shared::{
    AccountName, NewRun, Priority, RunId, Terms, Timestamp,
    audit::{AuditEvent, AuditKind},
};

use super::Contents;

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

//! What is noted on a run beside its jobs: what was planned, why it is held, who let it go on, how it was ended.

use serde::{Deserialize, Serialize};

use crate::{Outcome, Timestamp, plan::PlanHash};

/// Everything noted on a run. Each note has one kind of writer, and the last one written counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNotes {
    /// What its users were when they were resolved first. By the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanNote>,
    /// Why it is not admitted yet. By the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Who said that a plan is to be applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go: Option<Go>,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// How its rest is ended, or was: set by the first [`Store::end`](crate::store::Store::end).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// One note to be written on a run, by the worker that looks after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What was planned.
    Plan(PlanNote),
    /// Why it is held; `None`: it is not, any more.
    Held(Option<Held>),
}

/// What a run's users were when they were resolved first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanNote {
    /// Binds an approval, and what is applied, to what was seen.
    pub hash: PlanHash,
    /// When it was made.
    pub at: Timestamp,
    /// Users whose state the run would change: found, allowed, and not already as wished.
    pub change: u64,
    /// Users of the account who could sign in then, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_users: Option<u64>,
}

/// Why a resolved run is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HeldReason {
    /// It is a plan that nobody said to apply.
    Planned,
    /// Its time has not come.
    NotBefore,
    /// Another person has to approve it.
    Approval,
    /// It touches more users than the account's caps allow in a run, and may be approved.
    OverRunCap,
    /// It touches more users than are left of the day's cap, and may be approved, or wait.
    OverDayCap,
    /// What its caps depend on (how many users are active) is not known yet.
    Unknown,
}

/// A run that is held, and what a person has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Why.
    pub reason: HeldReason,
    /// For people: the figures, and what to type.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a person says of a resolved run so that it goes on. It is numbered anew by that (the decision is of now, so it
/// wins over what was submitted in between), and its users are resolved again before anything is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The plan is to be applied.
    Apply(Go),
    /// Another person approves it.
    Approve(Approval),
}

/// Somebody said that a plan is to be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Go {
    /// Who, as in [`NewRun::asked_by`](crate::NewRun::asked_by).
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What was seen.
    pub plan: PlanHash,
}

/// A person's approval, proved by a personal token: valid for this run, this plan, and for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The name of the token.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What was seen.
    pub plan: PlanHash,
    /// Proves it: [`approval_text`](crate::identity::approval_text), signed.
    pub signature: String,
}

/// How the rest of a run is ended: the jobs that no worker holds get this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// [`Outcome::Cancelled`] or [`Outcome::Expired`].
    pub outcome: Outcome,
    /// usher's word for the reason, where it was not a person: `over_cap`, `deadline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For people.
    pub message: String,
}

impl Ending {
    /// The code of a run that was refused because it touches more users than the account's caps allow.
    pub const OVER_CAP: &'static str = "over_cap";
    /// The code of jobs that were not done by the run's deadline.
    pub const DEADLINE: &'static str = "deadline";

    /// A person cancelled the run.
    #[must_use]
    pub fn cancelled() -> Self {
        Self {
            outcome: Outcome::Cancelled,
            code: None,
            message: "the run was cancelled before this user was done".to_owned(),
        }
    }

    /// The run's deadline came.
    #[must_use]
    pub fn deadline() -> Self {
        Self {
            outcome: Outcome::Expired,
            code: Some(Self::DEADLINE.to_owned()),
            message: "the run's deadline came before this user was done".to_owned(),
        }
    }

    /// The account's caps refuse the run.
    #[must_use]
    pub fn over_cap(message: String) -> Self {
        Self { outcome: Outcome::Cancelled, code: Some(Self::OVER_CAP.to_owned()), message }
    }
}

//! A plan, for programs: exact, a row for each request.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{outcome::StateView, shown};
use crate::{
    Action, Restore, RunState, RunStatus,
    plan::{Plan, PlanKind, Planned},
    store::Resolution,
};

/// What is said of a whole plan.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Plan))]
pub struct PlanView<'a> {
    run: &'a str,
    account: &'a str,
    state: RunState,
    /// Who asked.
    asked_by: &'a str,
    reason: Option<&'a str>,
    /// The run that it undoes.
    undoes: Option<&'a str>,
    /// Made anew of what lies in the store; what is applied and approved names it.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
    hash: Option<&'a str>,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    planned_at: Option<String>,
    /// Users of the account who could sign in then.
    active_users: Option<u64>,
    /// How many requests came to what.
    counts: BTreeMap<&'static str, u64>,
    /// Users who would be changed, by what is wanted.
    changes: BTreeMap<&'static str, u64>,
    /// Licence types, in the vendor's words, of those who would be deactivated.
    licences_freed: &'a BTreeMap<String, u64>,
    /// Licence types that activations give back.
    licences_needed: &'a BTreeMap<String, u64>,
}

/// What a plan says of one request.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PlannedUser))]
pub struct PlannedView<'a> {
    /// The line of the file; in JSON the place in the list of users, from 1.
    line: u64,
    /// As the submitter named the user.
    user: &'a str,
    action: Action,
    kind: PlanKind,
    /// Why nothing is done, in a word: a rule's name, `not_found`.
    code: Option<&'a str>,
    message: Option<&'a str>,
    /// The line of the same user, for a duplicate.
    same_as_line: Option<u64>,
    /// The vendor's id of the user.
    id: Option<&'a str>,
    email: Option<&'a str>,
    /// What the user was when the plan was made.
    before: Option<StateView<'a>>,
    /// What an activation gives back.
    restore: Option<RestoreView<'a>>,
}

/// What an activation gives back.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Restore))]
struct RestoreView<'a> {
    license: Option<&'a str>,
    role: Option<&'a str>,
    groups: &'a [String],
}

impl<'a> From<&'a Restore> for RestoreView<'a> {
    fn from(restore: &'a Restore) -> Self {
        let Restore { license, role, groups } = restore;
        Self { license: license.as_deref(), role: role.as_deref(), groups }
    }
}

impl<'a> From<&'a Planned> for PlannedView<'a> {
    fn from(row: &'a Planned) -> Self {
        let (mut code, mut message, mut same_as_line, mut user) = (None, None, None, None);
        match &row.resolution {
            Resolution::Change(found) => user = Some(found),
            Resolution::Settled { code: word, message: words, user: found, .. } => {
                (code, message, user) = (word.as_deref(), words.as_deref(), found.as_ref());
            }
            Resolution::Duplicate { of_line } => same_as_line = Some(*of_line),
        }
        Self {
            line: row.request.line,
            user: row.request.user.as_str(),
            action: row.request.action,
            kind: row.kind(),
            code,
            message,
            same_as_line,
            id: user.map(|user| user.id.as_str()).filter(|id| !id.is_empty()),
            email: user.and_then(|user| user.email.as_deref()),
            before: user.map(|user| StateView::from(&user.before)),
            restore: row.request.restore.as_ref().map(RestoreView::from),
        }
    }
}

impl<'a> PlanView<'a> {
    /// What is said of this run's plan.
    #[must_use]
    pub fn of(status: &'a RunStatus, plan: &'a Plan) -> Self {
        Self {
            run: status.run.id.as_str(),
            account: status.run.account.as_str(),
            state: status.state(),
            asked_by: &status.run.asked_by,
            reason: status.run.reason.as_deref(),
            undoes: status.run.terms.undoes.as_ref().map(|run| run.as_str()),
            hash: plan.hash.as_ref().map(|hash| hash.as_str()),
            planned_at: shown(status.notes.plan.as_ref().map(|note| note.at)),
            active_users: status.notes.plan.as_ref().and_then(|note| note.active_users),
            counts: plan.counts.iter().map(|(kind, number)| (kind.as_str(), *number)).collect(),
            changes: plan.changes.iter().map(|(action, number)| (action.as_str(), *number)).collect(),
            licences_freed: &plan.freed,
            licences_needed: &plan.needed,
        }
    }
}

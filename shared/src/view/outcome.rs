//! What happened to one user: for programs, and as a row for spreadsheets.

use serde::Serialize;

use super::{shown, text::no_formula};
use crate::{Action, Attempt, Outcome, OutcomeRow, Status, Timestamp, UserState, Verdict, WorkerId};

/// One user of a run, exactly: what the CSV has, the vendor's id, and what was there before.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Outcome))]
pub struct OutcomeView<'a> {
    /// The line of the file; in JSON the place in the list of users, from 1.
    line: u64,
    /// As the submitter named the user.
    user: &'a str,
    action: Action,
    outcome: Outcome,
    /// The vendor's code, or usher's own word for the reason.
    code: Option<&'a str>,
    /// The vendor's message, or usher's own.
    message: Option<&'a str>,
    /// Attempts made; 0 where no call was needed.
    attempts: u32,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    first_attempt_at: Option<String>,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    last_attempt_at: Option<String>,
    /// Who finished it, where a worker did.
    worker: Option<&'a str>,
    /// Why, where the row said so itself.
    reason: Option<&'a str>,
    /// The vendor's id of the user, where it was looked up.
    id: Option<&'a str>,
    /// The address that the vendor has.
    email: Option<&'a str>,
    /// What was there before.
    before: Option<StateView<'a>>,
}

/// What a user is at the vendor.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = UserState))]
pub(super) struct StateView<'a> {
    status: Status,
    /// The licence type, in the vendor's words.
    license: Option<&'a str>,
    role: Option<&'a str>,
    groups: &'a [String],
}

impl<'a> From<&'a UserState> for StateView<'a> {
    fn from(state: &'a UserState) -> Self {
        let UserState { status, license, role, groups } = state;
        Self { status: *status, license: license.as_deref(), role: role.as_deref(), groups }
    }
}

impl<'a> From<&'a OutcomeRow> for OutcomeView<'a> {
    fn from(row: &'a OutcomeRow) -> Self {
        let user = row.resolved.as_ref();
        Self {
            line: row.line,
            user: row.user.as_str(),
            action: row.action,
            outcome: row.outcome,
            code: row.code.as_deref(),
            message: row.message.as_deref(),
            attempts: row.attempts,
            first_attempt_at: shown(row.first_attempt_at),
            last_attempt_at: shown(row.last_attempt_at),
            worker: row.worker.as_ref().map(WorkerId::as_str),
            reason: row.reason.as_deref(),
            id: user.map(|user| user.id.as_str()).filter(|id| !id.is_empty()),
            email: user.and_then(|user| user.email.as_deref()),
            before: user.map(|user| StateView::from(&user.before)),
        }
    }
}

/// The columns of reports for spreadsheets: an interface, never reordered.
pub const COLUMNS: [&str; 10] = [
    "line",
    "user",
    "action",
    "outcome",
    "code",
    "message",
    "attempts",
    "first_attempt_at",
    "last_attempt_at",
    "worker",
];

/// A row's cells, in the order of [`COLUMNS`]; none of them is a formula.
#[must_use]
pub fn cells(row: &OutcomeRow) -> [String; 10] {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    [
        row.line.to_string(),
        no_formula(row.user.as_str()),
        row.action.to_string(),
        row.outcome.to_string(),
        no_formula(row.code.as_deref().unwrap_or_default()),
        no_formula(row.message.as_deref().unwrap_or_default()),
        row.attempts.to_string(),
        time(row.first_attempt_at),
        time(row.last_attempt_at),
        no_formula(row.worker.as_ref().map(WorkerId::as_str).unwrap_or_default()),
    ]
}

/// One try at a user.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Attempt))]
pub struct AttemptView<'a> {
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    began_at: String,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    ended_at: String,
    /// Vendor calls made.
    calls: u32,
    /// The HTTP status of the vendor's last reply, where there was one.
    http: Option<u16>,
    verdict: Verdict,
    /// The vendor's code, where there was one.
    code: Option<&'a str>,
    /// Who tried.
    worker: &'a str,
}

impl<'a> From<&'a Attempt> for AttemptView<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        Self {
            began_at: attempt.began_at.to_string(),
            ended_at: attempt.ended_at.to_string(),
            calls: attempt.calls,
            http: attempt.http,
            verdict: attempt.verdict,
            code: attempt.code.as_deref(),
            worker: attempt.worker.as_str(),
        }
    }
}

//! What a submission is answered with.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use usher_producer::{
    intake::{BadRow, RowProblem},
    submit::{Contents, Submitted},
};
use usher_shared::{AccountName, RunId};
use utoipa::ToSchema;

use crate::{
    extract::Json,
    problem::{Kind, Problem, RowFlaw},
};

/// A run, as it was taken
#[derive(Debug, Serialize, ToSchema)]
pub struct Taken {
    /// The run's id.
    #[schema(value_type = String, pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$", example = "20261120-k3f9zm")]
    run: RunId,
    /// Whose users.
    #[schema(value_type = String)]
    account: AccountName,
    /// Whether it is new; else the same was submitted before, and this is the run that it became.
    created: bool,
    /// Users to be changed, repeated ones and bad ones not counted.
    requests: u64,
    /// Rows that repeat an earlier one, and were left out.
    duplicates: Duplicates,
    /// Rows that can't be read, and were left out because `skip_invalid` asked for that.
    skipped: Skipped,
    /// The run that had the same content before, and is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    previous: Option<RunId>,
    /// Where to follow it.
    #[schema(example = "/v1/runs/20261120-k3f9zm")]
    status: String,
}

/// Rows that repeat an earlier one
#[derive(Debug, Serialize, ToSchema)]
struct Duplicates {
    /// All of them.
    total: u64,
    /// The first of them, at most 100.
    first: Vec<RepeatedRow>,
}

/// A row that repeats an earlier one
#[derive(Debug, Serialize, ToSchema)]
struct RepeatedRow {
    /// Its line, from 1; in JSON its place in the list of users, from 1.
    line: u64,
    /// The user, as written there.
    user: String,
    /// The line of the row that is kept.
    first_line: u64,
}

/// Rows that were left out because they can't be read
#[derive(Debug, Serialize, ToSchema)]
struct Skipped {
    /// All of them.
    total: u64,
    /// The first of them, at most 100.
    rows: Vec<RowFlaw>,
}

impl Taken {
    /// Of what was submitted, and what became of it.
    pub fn new(account: AccountName, contents: &Contents, submitted: Submitted) -> Self {
        let duplicates = contents.duplicates.first.iter().take(Problem::ROWS).map(|row| RepeatedRow {
            line: row.line,
            user: row.user.as_str().to_owned(),
            first_line: row.first_line,
        });
        let (run, created, previous) = match submitted {
            Submitted::New { run, previous } => (run, true, previous),
            Submitted::Existing { run } => (run, false, None),
        };
        Self {
            status: format!("/v1/runs/{run}"),
            run,
            account,
            created,
            requests: contents.requests,
            duplicates: Duplicates { total: contents.duplicates.total, first: duplicates.collect() },
            skipped: Skipped { total: contents.bad.total, rows: flaws(contents) },
            previous,
        }
    }
}

impl IntoResponse for Taken {
    fn into_response(self) -> Response {
        let status = if self.created { StatusCode::CREATED } else { StatusCode::OK };
        let place = HeaderValue::from_str(&self.status).ok().filter(|_| self.created);
        let mut response = (status, Json(self)).into_response();
        if let Some(place) = place {
            response.headers_mut().insert(header::LOCATION, place);
        }
        response
    }
}

/// The first bad rows.
fn flaws(contents: &Contents) -> Vec<RowFlaw> {
    contents.bad.first.iter().take(Problem::ROWS).map(flaw).collect()
}

fn flaw(bad: &BadRow) -> RowFlaw {
    let problem = match &bad.column {
        Some(column) => format!("{column}: {}", bad.problem),
        None => bad.problem.to_string(),
    };
    RowFlaw { line: bad.line, problem }
}

/// Why a submission with bad rows was not taken; `contradictions`: how many of them want something else than an earlier one.
pub fn refusal(contents: &Contents, skip_invalid: bool, contradictions: u64) -> Problem {
    let bad = contents.bad.total;
    let is_about_the_action = contents.requests == 0
        && bad == contents.bad.first.len() as u64
        && contents.bad.first.iter().all(|bad| bad.problem == RowProblem::NoAction);
    let rows = |number: u64| if number == 1 { "1 row".to_owned() } else { format!("{number} rows") };
    let detail = if is_about_the_action {
        "nothing says what to do with the users: add \"action\" with \"deactivate\" or \"activate\""
            .to_owned()
    } else if skip_invalid && contradictions > 0 {
        format!(
            "{} want different things of one user, and skip_invalid can't say which is right; nothing was submitted. Keep \
             one row of each such user",
            rows(contradictions)
        )
    } else if skip_invalid {
        "no row is left without the bad ones; nothing was submitted".to_owned()
    } else {
        format!(
            "{} can't be used; nothing was submitted. Correct them, or leave such rows out with skip_invalid",
            rows(bad)
        )
    };
    Problem::new(Kind::InvalidInput, detail).with_rows(flaws(contents))
}

//! `POST /v1/accounts/{account}/deactivate` and `/activate`: one user, at once.

use axum::extract::State;
use serde::Deserialize;
use usher_producer::{
    intake::{Row, Stated, stated},
    submit::SubmitError,
};
use usher_shared::{AccountName, Action, Priority};
use utoipa::ToSchema;

use super::{
    answer::Taken,
    key::{IdempotencyKey, SentKey},
    said::Said,
    take::take_one,
};
use crate::{
    Api,
    auth::{As, Caller, ToSubmit},
    extract::{Json, Path},
    problem::{Kind, Problem, ProblemBody},
    times::Moment,
};

/// One user
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OneUser {
    /// An e-mail address or the vendor's id.
    #[schema(value_type = super::users::UserName)]
    user: String,
    /// Why, in the submitter's words.
    #[serde(default)]
    #[schema(max_length = 1000)]
    reason: Option<String>,
    /// How soon. Default: `urgent`, which overtakes all that is not.
    #[serde(default)]
    priority: Option<Priority>,
    /// If it is not done by then, it ends as expired: a time with its offset.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-12-31T00:00:00Z")]
    deadline: Option<Moment>,
}

/// Deactivate one user
///
/// Urgent unless said otherwise: it overtakes what is in the queue. A run of one user, guarded as every run.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/deactivate", tag = "runs", operation_id = "deactivateUser",
    security(("bearer" = ["submit"])),
    params(
        ("account" = String, Path, description = "Whose user", pattern = "^[a-z0-9][a-z0-9_-]{0,63}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "What the caller calls this submission", min_length = 1,
            max_length = 200, pattern = "^[ -~]*[!-~][ -~]*$"),
    ),
    request_body = OneUser,
    responses(
        (status = 201, body = Taken, description = "A new run", headers(("Location" = String, description = "The run"))),
        (status = 200, body = Taken, description = "The same was submitted before: this is its run"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "A call with this idempotency key is on its way"),
    ),
)]
pub async fn deactivate_user(
    caller: As<ToSubmit>,
    State(api): State<Api>,
    Path(account): Path<AccountName>,
    SentKey(key): SentKey,
    Json(one): Json<OneUser>,
) -> Result<Taken, Problem> {
    submit_one(&api, &caller.0, account, Action::Deactivate, key, one).await
}

/// Activate one user
///
/// Urgent unless said otherwise: it overtakes what is in the queue. A run of one user, guarded as every run.
#[utoipa::path(
    post, path = "/v1/accounts/{account}/activate", tag = "runs", operation_id = "activateUser",
    security(("bearer" = ["submit"])),
    params(
        ("account" = String, Path, description = "Whose user", pattern = "^[a-z0-9][a-z0-9_-]{0,63}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "What the caller calls this submission", min_length = 1,
            max_length = 200, pattern = "^[ -~]*[!-~][ -~]*$"),
    ),
    request_body = OneUser,
    responses(
        (status = 201, body = Taken, description = "A new run", headers(("Location" = String, description = "The run"))),
        (status = 200, body = Taken, description = "The same was submitted before: this is its run"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "A call with this idempotency key is on its way"),
    ),
)]
pub async fn activate_user(
    caller: As<ToSubmit>,
    State(api): State<Api>,
    Path(account): Path<AccountName>,
    SentKey(key): SentKey,
    Json(one): Json<OneUser>,
) -> Result<Taken, Problem> {
    submit_one(&api, &caller.0, account, Action::Activate, key, one).await
}

async fn submit_one(
    api: &Api,
    caller: &Caller,
    account: AccountName,
    action: Action,
    key: Option<IdempotencyKey>,
    one: OneUser,
) -> Result<Taken, Problem> {
    let OneUser { user, reason, priority, deadline } = one;
    let said = Said {
        account,
        action: Some(action),
        priority: priority.unwrap_or(Priority::Urgent),
        reason,
        plan: false,
        not_before: None,
        deadline,
        skip_invalid: false,
    };
    let row = stated([Stated { user, ..Stated::default() }], said.action).next();
    match row.transpose().map_err(SubmitError::from)? {
        Some(Row::Request(request)) => take_one(api, caller, said, key, request).await,
        Some(Row::Bad(bad)) => Err(Problem::new(Kind::InvalidInput, bad.problem.to_string())),
        // One user repeats nobody.
        Some(Row::Duplicate(_)) | None => Err(SubmitError::Empty.into()),
    }
}

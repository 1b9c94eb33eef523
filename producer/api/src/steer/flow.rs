//! Pause, resume, cancel, retry, and how soon.

use std::time::Duration;

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Deserialize;
use usher_producer::steer::{self, Retry, RetryOf, can_be_retried, find};
use usher_shared::{Outcome, Priority, RunId, view::StatusView};
use utoipa::{
    ToSchema,
    openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type},
};

use super::{carried_out, who};
use crate::{
    Api,
    auth::{As, ToOperate},
    extract::{Json, Path},
    problem::{Problem, ProblemBody},
    runs::seen,
};

/// How long a caller waits for a cancel to come to its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which users are to be tried again
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retry)]
pub struct RetryBody {
    /// Only who ended so; without it, all who failed, but for `superseded` and `drifted`, who have to be named.
    #[serde(default)]
    #[schema(schema_with = missed)]
    outcomes: Vec<Outcome>,
    /// Only these codes of the vendor.
    #[serde(default)]
    codes: Vec<String>,
}

/// The outcomes of who is not as wished: nobody else is tried again.
fn missed() -> Array {
    let words = Outcome::ALL.into_iter().filter(|outcome| !outcome.is_as_wished()).map(Outcome::as_str);
    ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))).build()
}

/// How soon
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPriority)]
pub struct PriorityBody {
    /// Every urgent user comes before every normal one, every normal one before bulk.
    priority: Priority,
}

/// Pause a run
///
/// Nothing more of it begins; calls in flight finish. Pausing a paused run changes nothing.
#[utoipa::path(
    post, path = "/v1/runs/{run}/pause", tag = "steering", operation_id = "pauseRun", security(("bearer" = ["operate"])),
    params(("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")),
    responses(
        (status = 200, body = StatusView<'static>, description = "It is paused"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "It is over, or being cancelled"),
    ),
)]
pub async fn pause_run(
    caller: As<ToOperate>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
) -> Result<Response, Problem> {
    let status = caller.0.run(&api, &run).await?;
    let status = steer::pause(&api.store, &status, &who(&caller.0)).await?;
    Ok(seen(&api, &status).await)
}

/// Let a run go on
///
/// Takes a pause back, and a hold of its account that waits for somebody (credentials, a scope). What a vendor's rate limit or
/// quota holds stays held. A run that goes on already is left as it is.
#[utoipa::path(
    post, path = "/v1/runs/{run}/resume", tag = "steering", operation_id = "resumeRun", security(("bearer" = ["operate"])),
    params(("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")),
    responses(
        (status = 200, body = StatusView<'static>, description = "It goes on"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "It is over"),
    ),
)]
pub async fn resume_run(
    caller: As<ToOperate>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
) -> Result<Response, Problem> {
    let status = caller.0.run(&api, &run).await?;
    let status = steer::resume(&api.store, &status, &who(&caller.0)).await?;
    Ok(seen(&api, &status).await)
}

/// Cancel a run
///
/// For good: from the answer on nothing more of it begins, and users not yet changed stay as they are. Calls in flight finish.
#[utoipa::path(
    post, path = "/v1/runs/{run}/cancel", tag = "steering", operation_id = "cancelRun", security(("bearer" = ["operate"])),
    params(("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")),
    responses(
        (status = 200, body = StatusView<'static>, description = "It is cancelled, and every user has an outcome"),
        (status = 202, body = StatusView<'static>,
            description = "It is being cancelled: calls are in flight, or users are many; `GET` tells when it is over"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "It is over"),
    ),
)]
pub async fn cancel_run(
    caller: As<ToOperate>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
) -> Result<Response, Problem> {
    let status = caller.0.run(&api, &run).await?;
    let left = steer::cancel(&api.store, &status, &who(&caller.0)).await?;
    if left > 0 {
        let (store, rest) = (api.store.clone(), run.clone());
        let rest = carried_out(async move { steer::cancel_rest(&store, &rest).await });
        // It goes on when the caller waits no longer, and a worker goes on with it should this process end.
        match tokio::time::timeout(PATIENCE, rest).await {
            Ok(ended) => drop(ended?),
            Err(_) => tracing::debug!(%run, "the cancel goes on"),
        }
    }
    let status = find(&api.store, &run).await?;
    let code = if status.phase.is_over() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = seen(&api, &status).await;
    *response.status_mut() = code;
    Ok(response)
}

/// Change how soon a run is worked
///
/// Calls in flight finish first.
#[utoipa::path(
    post, path = "/v1/runs/{run}/priority", tag = "steering", operation_id = "setPriority",
    security(("bearer" = ["operate"])),
    params(("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")),
    request_body = PriorityBody,
    responses(
        (status = 200, body = StatusView<'static>, description = "It has this priority"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "It is over"),
    ),
)]
pub async fn set_priority(
    caller: As<ToOperate>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
    Json(body): Json<PriorityBody>,
) -> Result<Response, Problem> {
    let status = caller.0.run(&api, &run).await?;
    let status = steer::set_priority(&api.store, &status, body.priority, &who(&caller.0)).await?;
    Ok(seen(&api, &status).await)
}

/// Try users of a run again
///
/// As part of the same run, once it is over. They are looked up again, and caps, approval and protection apply as to any run.
#[utoipa::path(
    post, path = "/v1/runs/{run}/retry", tag = "steering", operation_id = "retryRun", security(("bearer" = ["operate"])),
    params(("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")),
    request_body = Option<RetryBody>,
    responses(
        (status = 200, body = StatusView<'static>, description = "It is open again"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "It is not over, nobody is left to be tried again, or its deadline has passed"),
    ),
)]
pub async fn retry_run(
    caller: As<ToOperate>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
    body: Option<Json<Option<RetryBody>>>,
) -> Result<Response, Problem> {
    let RetryBody { outcomes, codes } = body.and_then(|Json(body)| body).unwrap_or_default();
    let of = RetryOf { outcomes, codes };
    of.check()?;
    let status = caller.0.run(&api, &run).await?;
    can_be_retried(&status, api.store.now().await?)?;
    let (store, who) = (api.store.clone(), who(&caller.0));
    let status = carried_out(async move {
        let retry = Retry::find(&store, &status, &of).await?;
        retry.reopen(&store, &status, &who).await?;
        store.resume(&status.run.id).await?;
        Ok(find(&store, &status.run.id).await?)
    })
    .await?;
    Ok(seen(&api, &status).await)
}

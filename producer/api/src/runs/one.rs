//! `GET /v1/runs/{run}`: one run, and what goes on around it.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use jiff::tz::TimeZone;
use usher_shared::{
    RunId, RunStatus,
    view::{Observer, Reader, StatusView},
};

use crate::{
    Api,
    auth::{As, ToRead},
    extract::{Json, Path},
    problem::{Problem, ProblemBody},
};

/// See a run
///
/// How far it has come, what its account's workers do now, and why it waits, if it does.
#[utoipa::path(
    get, path = "/v1/runs/{run}", tag = "runs", operation_id = "getRun", security(("bearer" = ["read"])),
    params(("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")),
    responses(
        (status = 200, body = StatusView<'static>, description = "The run"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
    ),
)]
pub async fn get_run(
    caller: As<ToRead>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
) -> Result<Response, Problem> {
    let status = caller.0.run(&api, &run).await?;
    Ok(seen(&api, &status).await)
}

/// A run, and what goes on around it, as every call that is about one answers.
pub async fn seen(api: &Api, status: &RunStatus) -> Response {
    let clock = Arc::clone(&api.clock);
    let mut observer = Observer::of(&api.store, &status.run.account, Reader::Caller, clock, TimeZone::UTC);
    let scene = observer.look(status, None).await;
    Json(StatusView::with(status, &scene)).into_response()
}

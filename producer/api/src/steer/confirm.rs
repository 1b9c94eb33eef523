//! Apply and approve: somebody's word for a run, which names the plan that was seen.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use usher_producer::steer::{self, Applied, SteerError, can_be_applied, can_be_approved, check_named, find};
use usher_shared::{RunId, RunStatus, plan::PlanHash, view::StatusView};
use utoipa::ToSchema;

use super::who;
use crate::{
    Api,
    auth::{As, ToApprove, ToSubmit},
    extract::{Json, Path},
    problem::{Problem, ProblemBody},
    runs::seen,
};

/// The plan that was seen
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SeenPlan)]
pub struct PlanBody {
    /// Its hash, as `GET /v1/runs/{run}/plan` shows it.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    plan: PlanHash,
}

/// Apply a plan
///
/// Exactly what was planned: everybody is looked up once more, and who is not as planned any more is left alone, and named as
/// drifted. Applying it again changes nothing.
#[utoipa::path(
    post, path = "/v1/runs/{run}/apply", tag = "steering", operation_id = "applyRun", security(("bearer" = ["submit"])),
    params(("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")),
    request_body = PlanBody,
    responses(
        (status = 200, body = StatusView<'static>, description = "It is to be applied; workers go on with it"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "It is no plan, has another one, is not looked up yet, or over"),
    ),
)]
pub async fn apply_run(
    caller: As<ToSubmit>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
    Json(body): Json<PlanBody>,
) -> Result<Response, Problem> {
    let status = caller.0.run(&api, &run).await?;
    let applied = status.notes.go.as_ref().map(|go| &go.plan);
    if let Some(applied) = applied {
        is_the_same(&status, applied, &body.plan)?;
        return Ok(seen(&api, &status).await);
    }
    if can_be_applied(&status)? == Applied::NotYet {
        check_named(&api.store, &status, &body.plan).await?;
        steer::apply(&api.store, &status, &body.plan, &who(&caller.0), api.now().await).await?;
    }
    Ok(seen(&api, &find(&api.store, &run).await?).await)
}

/// Approve a run
///
/// Of somebody else: it is signed with the token of this call, and workers verify that. Approving it again changes nothing.
#[utoipa::path(
    post, path = "/v1/runs/{run}/approve", tag = "steering", operation_id = "approveRun", security(("bearer" = ["approve"])),
    params(("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")),
    request_body = PlanBody,
    responses(
        (status = 200, body = StatusView<'static>, description = "It is approved; workers verify it and go on"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "It is the caller's own, has another plan, is not looked up yet, under way, or over"),
    ),
)]
pub async fn approve_run(
    caller: As<ToApprove>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
    Json(body): Json<PlanBody>,
) -> Result<Response, Problem> {
    let caller = caller.0;
    let status = caller.run(&api, &run).await?;
    let own = status.notes.approval.as_ref().filter(|approval| approval.by == caller.name());
    if let Some(own) = own {
        is_the_same(&status, &own.plan, &body.plan)?;
        return Ok(seen(&api, &status).await);
    }
    can_be_approved(&status)?;
    check_named(&api.store, &status, &body.plan).await?;
    let by = (caller.name(), caller.token());
    steer::approve(&api.store, &status, &body.plan, by, Some(caller.from()), api.now().await).await?;
    Ok(seen(&api, &find(&api.store, &run).await?).await)
}

/// Refuses another plan than the one that was confirmed before.
fn is_the_same(status: &RunStatus, confirmed: &PlanHash, named: &PlanHash) -> Result<(), SteerError> {
    if confirmed == named {
        return Ok(());
    }
    let (noted, named) = (confirmed.short().to_owned(), named.short().to_owned());
    Err(SteerError::AnotherPlan { run: status.run.id.clone(), noted, named })
}

//! `GET /v1/runs/{run}/plan`: what a run would do, to whom.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use usher_producer::steer::SteerError;
use usher_shared::{
    RunId, RunStatus,
    plan::{Plan, PlanKind, PlanPages, Planned},
    store::StoreError,
    view::{
        guards::guards,
        plan::{PlanView, PlannedView},
    },
};
use utoipa::{IntoParams, ToSchema};

use super::{
    accept::{Form, Wanted},
    paging,
    rows::{Pages, lines, streamed},
};
use crate::{
    Api,
    auth::{As, ToRead},
    extract::{Json, Path, Query},
    problem::{Problem, ProblemBody},
};

/// Users on a page, unless said otherwise.
const PAGE: usize = 100;
/// Users on a page at most.
const LONGEST: usize = 1_000;

/// What a run would do, and what guards the account against it
#[derive(Debug, Serialize, ToSchema)]
pub struct GuardedPlan<'a> {
    #[serde(flatten)]
    plan: PlanView<'a>,
    /// Caps and approval, as far as this server knows; the workers decide.
    guards: Vec<String>,
    /// Whether it is over a cap of one run, as far as this server knows.
    over_cap: bool,
}

/// A page of a plan
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanPage<'a> {
    /// Users, in the order in which they were submitted.
    users: Vec<PlannedView<'a>>,
    /// Where the next page begins (`from`); left out on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    next: Option<u64>,
}

/// Which users of a plan.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PlanQuery {
    /// From this place in the run on: `next` of the page before.
    #[serde(default)]
    #[param(minimum = 0, maximum = 1_000_000_000_000_u64)]
    from: Option<u64>,
    /// At most so many. Default: 100.
    #[serde(default)]
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u64>,
}

/// See what a run would do
///
/// Counted and hashed anew from what lies in the store; `apply` and `approve` take the hash. A run that is being worked shows
/// what was planned.
#[utoipa::path(
    get, path = "/v1/runs/{run}/plan", tag = "runs", operation_id = "getPlan", security(("bearer" = ["read"])),
    params(("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")),
    responses(
        (status = 200, body = GuardedPlan<'static>, description = "The plan"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "Its users have not all been looked up yet"),
    ),
)]
pub async fn get_plan(
    caller: As<ToRead>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
) -> Result<Response, Problem> {
    let status = caller.0.run(&api, &run).await?;
    let active = planned(&status)?.active_users;
    let plan = Plan::read(&api.store, &status, 0, None).await?;
    let undo = status.run.terms.undoes.is_some();
    let change = plan.of(PlanKind::Change);
    let guards = guards(&api.config, &status.run.account, change, active, false, undo);
    let plan = PlanView::of(&status, &plan);
    Ok(Json(GuardedPlan { plan, guards: guards.lines, over_cap: guards.over }).into_response())
}

/// See what a run would do to each user
///
/// A page in JSON; with `Accept: application/x-ndjson` all of them, in a stream.
#[utoipa::path(
    get, path = "/v1/runs/{run}/plan/users", tag = "runs", operation_id = "getPlannedUsers",
    security(("bearer" = ["read"])),
    params(
        ("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$"),
        PlanQuery,
    ),
    responses(
        (status = 200, description = "Users", content(
            (PlanPage<'static> = "application/json"),
            (String = "application/x-ndjson"),
        )),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 406, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "None of these forms is wanted"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "Its users have not all been looked up yet"),
    ),
)]
pub async fn get_planned_users(
    caller: As<ToRead>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
    Query(query): Query<PlanQuery>,
    Wanted(form): Wanted<false>,
) -> Result<Response, Problem> {
    let limit = paging::length(query.limit, PAGE, LONGEST)?;
    let from = paging::place(query.from)?;
    let status = caller.0.run(&api, &run).await?;
    planned(&status)?;
    if form == Form::Json {
        let rows = api.store.planned(&run, from, limit).await?;
        let next = (rows.len() == limit).then(|| rows.last().map(|row| row.seq + 1)).flatten();
        let page = PlanPage { users: rows.iter().map(PlannedView::from).collect(), next };
        return Ok(Json(page).into_response());
    }
    let write = |rows: &[Planned], to: &mut Vec<u8>| lines(rows.iter().map(PlannedView::from), to);
    Ok(streamed(form, Vec::new(), PlanPages::new(&api.store, &run), write))
}

/// What is noted of the plan, where everybody has been looked up.
fn planned(status: &RunStatus) -> Result<&usher_shared::PlanNote, Problem> {
    let note = status.notes.plan.as_ref();
    note.ok_or_else(|| SteerError::NotPlannedYet(status.run.id.clone()).into())
}

impl Pages for PlanPages {
    type Row = Planned;

    async fn page(&mut self) -> Result<Option<Vec<Planned>>, StoreError> {
        PlanPages::page(self).await
    }
}

//! `GET /v1/runs`: the newest runs.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use usher_shared::{AccountName, RunId, RunState, RunStatus, view::StatusView};
use utoipa::{IntoParams, ToSchema};

use super::paging;
use crate::{
    Api,
    auth::{As, Caller, ToRead},
    extract::{Json, Query},
    problem::{Kind, Problem},
};

/// Runs on a page, unless said otherwise.
const PAGE: usize = 50;
/// Runs on a page at most.
const LONGEST: usize = 200;
/// Runs looked at in one call of the store.
const LOOK: usize = 200;
/// Runs looked at in one call of the API: of a filter that keeps few, a page is short, and `next` goes on.
const LOOKED_AT_MOST: usize = 2_000;

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only this account's.
    #[serde(default)]
    #[param(value_type = Option<String>, pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    account: Option<AccountName>,
    /// Only those in this state.
    #[serde(default)]
    state: Option<RunState>,
    /// At most so many. Default: 50.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u64>,
    /// Those that come after this run: `next` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>, pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")]
    before: Option<RunId>,
}

/// A page of runs, the newest first
#[derive(Debug, Serialize, ToSchema)]
pub struct RunPage<'a> {
    /// The runs; there may be fewer than asked for although more follow.
    runs: Vec<StatusView<'a>>,
    /// Where the next page begins (`before`); left out on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$")]
    next: Option<RunId>,
}

/// List runs
///
/// The newest first, of the accounts that the token is for.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs", operation_id = "listRuns", security(("bearer" = ["read"])),
    params(ListQuery),
    responses((status = 200, body = RunPage<'static>, description = "A page of runs")),
)]
pub async fn list_runs(
    caller: As<ToRead>,
    State(api): State<Api>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let caller = caller.0;
    let limit = paging::length(query.limit, PAGE, LONGEST)?;
    if let Some(account) = query.account.as_ref().filter(|account| !caller.sees(account)) {
        let name = caller.name();
        return Err(Problem::new(
            Kind::Forbidden,
            format!("the token {name} is not for the account {account}: [tokens.{name}] names its accounts"),
        ));
    }
    let (runs, next) = look(&api, &caller, &query, limit).await?;
    let page = RunPage { runs: runs.iter().map(StatusView::from).collect(), next };
    Ok(Json(page).into_response())
}

/// Looks at runs until there are enough, none is left, or enough have been looked at; and says where to go on.
async fn look(
    api: &Api,
    caller: &Caller,
    query: &ListQuery,
    limit: usize,
) -> Result<(Vec<RunStatus>, Option<RunId>), Problem> {
    let keeps = |status: &RunStatus| {
        caller.sees(&status.run.account)
            && query.account.as_ref().is_none_or(|account| status.run.account == *account)
            && query.state.is_none_or(|state| status.state() == state)
    };
    let (mut found, mut before) = (Vec::new(), query.before.clone());
    for _ in 0..LOOKED_AT_MOST / LOOK {
        let runs = api.store.runs(before.as_ref(), LOOK).await?;
        let last = runs.len() < LOOK;
        let mut runs = runs.into_iter();
        while let Some(status) = runs.next() {
            before = Some(status.run.id.clone());
            if keeps(&status) {
                found.push(status);
            }
            if found.len() == limit {
                let more = !last || runs.len() > 0;
                return Ok((found, before.filter(|_| more)));
            }
        }
        if last {
            return Ok((found, None));
        }
    }
    Ok((found, before))
}

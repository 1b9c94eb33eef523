//! `GET /v1/accounts` and `GET /v1/me`: what a token is for.

use std::collections::BTreeSet;

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use usher_shared::{
    AccountName,
    config::Role,
    view::{Activity, ActivityView, HoldView},
};
use utoipa::ToSchema;

use crate::{
    Api,
    auth::{As, Caller, ToRead},
    extract::Json,
    problem::Problem,
};

/// The accounts that the token is for
#[derive(Debug, Serialize, ToSchema)]
pub struct Accounts<'a> {
    /// By name.
    accounts: Vec<AccountView<'a>>,
}

/// An account, and what goes on in it
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountView<'a> {
    /// Its name.
    account: &'a str,
    /// Why it stands still, where it does and a run waits for it.
    hold: Option<HoldView<'a>>,
    /// What its workers tell; null where that is not known.
    activity: Option<ActivityView<'a>>,
    /// Runs that are not over.
    unfinished: usize,
    /// Users of those runs who are not yet in the queue.
    pending: u64,
    /// Users in the queue.
    queued: u64,
    /// Users held by a worker.
    in_flight: u64,
}

/// Who calls
#[derive(Debug, Serialize, ToSchema)]
pub struct Me<'a> {
    /// The token's name in the configuration.
    name: &'a str,
    /// What it may do.
    #[schema(value_type = Vec<RoleWord>)]
    roles: Vec<&'static str>,
    /// For which accounts; null: for all.
    #[schema(value_type = Option<Vec<String>>)]
    accounts: Option<&'a [AccountName]>,
}

/// What a token may do
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "snake_case")]
#[allow(dead_code, reason = "stands for usher_shared::config::Role in the description")]
enum RoleWord {
    Submit,
    Operate,
    Approve,
    Read,
}

/// List accounts
///
/// Those that the token is for: whether one stands still, what its workers do, and what waits.
#[utoipa::path(
    get, path = "/v1/accounts", tag = "runs", operation_id = "listAccounts", security(("bearer" = ["read"])),
    responses((status = 200, body = Accounts<'static>, description = "The accounts")),
)]
pub async fn list_accounts(caller: As<ToRead>, State(api): State<Api>) -> Result<Response, Problem> {
    let caller = caller.0;
    let mut names: BTreeSet<AccountName> = api.config.accounts.keys().cloned().collect();
    names.extend(api.store.accounts().await?);
    names.retain(|account| caller.sees(account));
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let unfinished = api.store.unfinished(&name).await?;
        // Without it the rest is still worth knowing.
        let activity = api.store.pulses(&name).await.ok().map(|pulses| Activity::of(&pulses));
        found.push((name, unfinished, activity));
    }
    let accounts = found.iter().map(|(name, unfinished, activity)| {
        let sum = |of: fn(&usher_shared::Counters) -> u64| {
            unfinished.iter().map(|status| of(&status.counters)).sum()
        };
        AccountView {
            account: name.as_str(),
            hold: unfinished.iter().find_map(|status| status.hold.as_ref()).map(HoldView::from),
            activity: activity.as_ref().map(ActivityView::from),
            unfinished: unfinished.len(),
            pending: sum(|counters| counters.pending),
            queued: sum(|counters| counters.queued),
            in_flight: sum(|counters| counters.leased),
        }
    });
    Ok(Json(Accounts { accounts: accounts.collect() }).into_response())
}

/// See who calls
///
/// What this token is called here, and what it may do. Needs no role.
#[utoipa::path(
    get, path = "/v1/me", tag = "service", operation_id = "getMe", security(("bearer" = [])),
    responses((status = 200, body = Me<'static>, description = "The token, as it is configured")),
)]
pub async fn get_me(Extension(caller): Extension<Caller>) -> Response {
    let rights = caller.rights();
    Json(Me {
        name: caller.name(),
        roles: rights.roles.iter().copied().map(Role::as_str).collect(),
        accounts: rights.accounts.as_deref(),
    })
    .into_response()
}

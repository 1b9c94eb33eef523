//! Seeing runs: the list, one, its outcomes, its plan; the accounts, and who calls.

mod accept;
mod accounts;
mod list;
mod one;
mod outcomes;
mod paging;
mod plan;
mod rows;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Api;

pub use one::seen;

/// These calls.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list::list_runs))
        .routes(routes!(one::get_run))
        .routes(routes!(outcomes::get_outcomes))
        .routes(routes!(outcomes::get_outcome))
        .routes(routes!(plan::get_plan))
        .routes(routes!(plan::get_planned_users))
        .routes(routes!(accounts::list_accounts))
        .routes(routes!(accounts::get_me))
}

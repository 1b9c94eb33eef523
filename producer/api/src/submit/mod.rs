//! Submitting: a run of many users, or one user at once.

mod answer;
mod key;
mod many;
mod one;
mod reader;
mod said;
mod take;
mod users;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Api;

pub use key::{IdempotencyKey, SentKey};

/// These calls.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(many::submit_run))
        .routes(routes!(one::deactivate_user))
        .routes(routes!(one::activate_user))
}

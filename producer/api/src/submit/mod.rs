//! Submitting: a run of many users, or one user at once.

use utoipa_axum::router::OpenApiRouter;

use crate::Api;

/// These calls.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
}

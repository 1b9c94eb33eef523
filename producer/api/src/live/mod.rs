//! Server-sent events: a run as it goes on, and all that happens.

use utoipa_axum::router::OpenApiRouter;

use crate::Api;

/// These calls.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
}

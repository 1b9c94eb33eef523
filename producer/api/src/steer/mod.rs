//! Steering runs: pause, resume, cancel, retry, undo, apply, approve, priority.

use utoipa_axum::router::OpenApiRouter;

use crate::Api;

/// These calls.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
}

//! Seeing runs: the list, one, its outcomes, its plan.

use utoipa_axum::router::OpenApiRouter;

use crate::Api;

/// These calls.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
}

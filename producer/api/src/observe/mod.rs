//! What goes on, for Prometheus.

use utoipa_axum::router::OpenApiRouter;

use crate::Api;

/// These calls; /metrics needs a token that may read.
pub fn router(_api: &Api) -> OpenApiRouter<Api> {
    OpenApiRouter::new()
}

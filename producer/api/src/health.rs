//! Whether the server is there, and whether it can do anything. Without a token: load balancers ask.

use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    extract::Json,
    problem::{Kind, Problem, ProblemBody},
};

/// These calls.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// It is there.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`
    status: &'static str,
}

/// Whether the process is there
#[utoipa::path(get, path = "/healthz", tag = "service", security(()), responses((status = 200, body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether it can take calls: the store answers, and it was not told to stop
#[utoipa::path(get, path = "/readyz", tag = "service", security(()), responses(
    (status = 200, body = Health),
    (status = 503, body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
async fn readyz(State(api): State<Api>) -> Result<(StatusCode, Json<Health>), Problem> {
    if *api.stop.borrow() {
        return Err(Problem::new(Kind::Unavailable, "the server stops").retry_after(2));
    }
    api.store.now().await?;
    Ok((StatusCode::OK, Json(Health { status: "ok" })))
}

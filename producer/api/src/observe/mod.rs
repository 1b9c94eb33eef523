//! What goes on, for Prometheus: what this process counted, what it is made of, and what the store knows.

mod exporter;
mod http;
pub mod names;
mod process;
mod queue;
mod scrape;

use axum::{
    Router,
    extract::State,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use http_types::{HeaderValue, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use ::http as http_types;

use crate::{
    Api,
    auth::{As, ToRead, authenticate},
    problem::ProblemBody,
};

pub use exporter::{Exporter, NotInstalled};
pub(crate) use http::count;
pub use scrape::Scrape;
pub(crate) use scrape::StoreScrape;

/// The text format's content type.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// These calls; /metrics needs a token that may read.
pub fn router(api: &Api) -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(metrics))
        .route_layer(middleware::from_fn_with_state(api.clone(), authenticate))
}

/// What goes on, in Prometheus' text format
///
/// Figures over all accounts: a token that is for some accounts alone may not read them. Without a token, the same is at the
/// address `[serve] metrics_listen`, where there is one.
#[utoipa::path(get, path = "/metrics", tag = "service", responses(
    (status = 200, description = "Counters, gauges and histograms", body = String, content_type = "text/plain"),
    (status = 401, description = "No token that is known", body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = 403, description = "The token may not read, or not all accounts", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
async fn metrics(
    caller: As<ToRead>,
    State(api): State<Api>,
) -> Result<Response, crate::problem::Problem> {
    use crate::problem::{Kind, Problem};
    if caller.0.rights().accounts.is_some() {
        let name = caller.0.name();
        return Err(Problem::new(
            Kind::Forbidden,
            format!("the token {name} is for some accounts alone, and these figures are over all: use one without accounts"),
        ));
    }
    Ok(shown(api.scrape().text().await))
}

fn shown(text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(TEXT))], text).into_response()
}

/// What is served at an address of its own, without a token: /metrics and /healthz.
pub fn open_routes(scrape: Scrape) -> Router {
    Router::new()
        .route("/metrics", get(async |State(scrape): State<Scrape>| shown(scrape.text().await)))
        .route("/healthz", get(async || axum::Json(serde_json::json!({ "status": "ok" }))))
        .with_state(scrape)
}

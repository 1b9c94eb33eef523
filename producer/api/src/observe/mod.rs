//! What goes on, for Prometheus: what this process counted, what it is made of, and what the store knows.

mod calls;
mod exporter;
pub mod names;
mod process;
mod queue;
mod scrape;

use std::net::TcpListener;

use axum::{
    Router,
    extract::State,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    auth::{As, ToRead, authenticate},
    problem::{Kind, Problem},
};

pub(crate) use calls::count;
pub use exporter::{Exporter, NotInstalled};
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
#[utoipa::path(get, path = "/metrics", tag = "service", security(("bearer" = ["read"])), responses(
    (status = 200, description = "Counters, gauges and histograms", body = String, content_type = "text/plain"),
))]
async fn metrics(caller: As<ToRead>, State(api): State<Api>) -> Result<Response, Problem> {
    let caller = caller.0;
    if caller.rights().accounts.is_some() {
        let name = caller.name();
        return Err(Problem::new(
            Kind::Forbidden,
            format!(
                "the token {name} is for some accounts alone, and these figures are over all: use one without accounts"
            ),
        ));
    }
    Ok(shown(api.scrape().text().await))
}

fn shown(text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(TEXT))], text).into_response()
}

/// Serves /metrics and /healthz without a token; never ends by itself. The listener must not block.
pub async fn serve_openly(listener: TcpListener, scrape: Scrape) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(async |State(scrape): State<Scrape>| shown(scrape.text().await)))
        .route("/healthz", get(async || axum::Json(serde_json::json!({ "status": "ok" }))))
        .with_state(scrape);
    axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
}

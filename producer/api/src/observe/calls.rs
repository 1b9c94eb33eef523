//! Counts the calls of the API.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::Method;
use metrics::{Gauge, counter, gauge, histogram};

use super::names::{REQUEST_SECONDS, REQUESTS, REQUESTS_IN_FLIGHT};

/// Counts a call: by the pattern of its path, for the path itself may name a user or a run.
pub(crate) async fn count(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let method = word(request.method());
    let began = Instant::now();
    let under_way = UnderWay::begin();
    let response = next.run(request).await;
    drop(under_way);
    let status = response.status().as_u16().to_string();
    counter!(REQUESTS.name, "method" => method, "path" => path.clone(), "status" => status).increment(1);
    histogram!(REQUEST_SECONDS.name, "method" => method, "path" => path).record(began.elapsed());
    response
}

/// A caller may send any word as its method: those that nobody knows are one.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// A call under way; a caller that goes away ends it, too.
struct UnderWay(Gauge);

impl UnderWay {
    fn begin() -> Self {
        let calls = gauge!(REQUESTS_IN_FLIGHT.name);
        calls.increment(1.0);
        Self(calls)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

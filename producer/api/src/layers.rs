//! What lies around every call: its id, a line in the log, a panic that ends it alone, headers, and that whatever goes wrong is
//! answered as a [`Problem`].

use std::{any::Any, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use rand::RngExt;
use tokio::time::Instant;
use tower_http::{catch_panic::CatchPanicLayer, timeout::RequestBodyTimeoutLayer};
use tracing::{Instrument, field::Empty};

use crate::problem::{Kind, Problem};

/// How long nothing of a body may come.
pub const IDLE: Duration = Duration::from_secs(30);

/// The longest id of a call that is taken over from the caller.
const LONGEST_ID: usize = 128;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Nothing that is answered is a page of a browser's, but for the documentation.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// Puts these around a tree of calls.
pub fn around(router: Router) -> Router {
    router
        .layer(RequestBodyTimeoutLayer::new(IDLE))
        .layer(middleware::from_fn(only_problems))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(guard))
        .layer(middleware::from_fn(trace))
}

/// The id of a call, under which the log has it.
#[derive(Clone, Debug)]
pub struct CallId(HeaderValue);

impl CallId {
    /// The caller's own, where it can stand in a log; else a new one.
    fn of(request: &Request) -> Self {
        let given = request.headers().get(REQUEST_ID).filter(|id| {
            let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
            (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(sane)
        });
        given.cloned().map_or_else(Self::new, Self)
    }

    fn new() -> Self {
        let id = format!("{:032x}", rand::rng().random::<u128>());
        // Hexadecimal digits alone: it can't fail.
        Self(HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unknown")))
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Gives the call its id, and the log a line about it: which call, by whom, how it ended. Neither headers nor bodies, nor
/// what stands in a path or query: names of users do.
async fn trace(mut request: Request, next: Next) -> Response {
    let id = CallId::of(&request);
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map_or("-", MatchedPath::as_str);
    let span = tracing::info_span!("call", id = id.as_str(), %method, path, token = Empty);
    request.extensions_mut().insert(id.clone());
    let began = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    response.headers_mut().insert(REQUEST_ID, id.0);
    span.in_scope(|| {
        let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
        if response.status().is_server_error() {
            tracing::warn!(status, ms, "answered");
        } else if method == Method::GET || method == Method::HEAD {
            // Whoever looks every second should not bury what was done.
            tracing::debug!(status, ms, "answered");
        } else {
            tracing::info!(status, ms, "answered");
        }
    });
    response
}

/// Headers that keep an answer from being taken for something else, or from being kept. What a call set itself stays.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, NOTHING),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A call that panics ends alone. What it said went to the log with the panic itself.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a call panicked");
    Problem::new(Kind::Internal, "usher failed; its log says more under this request's id").into_response()
}

/// What a layer or library refused in words of its own, said as a problem.
async fn only_problems(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|found| found.as_bytes().starts_with(b"application/problem+json"));
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (kind, detail) = match status {
        StatusCode::NOT_FOUND => (Kind::NoSuchPath, "/openapi.json lists what there is, /docs shows it"),
        StatusCode::METHOD_NOT_ALLOWED => {
            (Kind::MethodNotAllowed, "/openapi.json lists what there is, /docs shows it")
        }
        StatusCode::PAYLOAD_TOO_LARGE => (Kind::TooLarge, "send less at a time"),
        StatusCode::REQUEST_TIMEOUT => (Kind::Timeout, "send it again"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            (Kind::UnsupportedMediaType, "/openapi.json says what this call takes")
        }
        status if status.is_client_error() => (Kind::BadRequest, "/openapi.json says what this call takes"),
        _ => (Kind::Internal, "usher failed; its log says more under this request's id"),
    };
    let mut answer = Problem::new(kind, detail).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow.clone());
    }
    answer
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use bytes::Bytes;
    use http::Request as HttpRequest;
    use tower::ServiceExt;

    use super::*;
    use crate::extract;

    async fn broken() -> &'static str {
        panic!("a defect")
    }

    async fn call(path: &str, id: Option<&str>) -> Response {
        let router = Router::new()
            .route("/ok", get(async || "ok"))
            .route("/panics", get(broken).post(async || ()))
            .route("/other", get(async || (StatusCode::IM_A_TEAPOT, "short and stout")));
        let mut request = HttpRequest::get(path);
        if let Some(id) = id {
            request = request.header(REQUEST_ID, id);
        }
        around(router).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_keeps_the_callers_id_where_it_is_one_and_gets_its_own_else() {
        let id = async |given: Option<&str>| {
            call("/ok", given).await.headers()[REQUEST_ID].to_str().unwrap().to_owned()
        };
        assert_eq!(id(Some("order-7:a.b_c")).await, "order-7:a.b_c");
        let long = "x".repeat(LONGEST_ID + 1);
        for strange in [None, Some(""), Some("a b"), Some("a\"b"), Some(long.as_str())] {
            let given = id(strange).await;
            assert!(
                given.len() == 32 && given.bytes().all(|b| b.is_ascii_hexdigit()),
                "{strange:?}: {given}"
            );
        }
        assert_ne!(id(None).await, id(None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_which_nothing_more_comes_ends_the_call() {
        let read = async |extract::Json(value): extract::Json<serde_json::Value>| value.to_string();
        let router = Router::new().route("/", axum::routing::post(read));
        let (more, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::convert::Infallible>>(1);
        more.send(Ok(Bytes::from_static(b"[1,"))).await.unwrap();
        let body = futures::stream::unfold(body, async |mut body| body.recv().await.map(|part| (part, body)));
        let request = HttpRequest::post("/").header("content-type", "application/json");
        let began = Instant::now();
        let response = around(router).oneshot(request.body(Body::from_stream(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
        assert!(began.elapsed() >= IDLE && began.elapsed() < 2 * IDLE, "{:?}", began.elapsed());
        drop(more);
    }

    #[tokio::test]
    async fn whatever_goes_wrong_is_a_problem_and_says_nothing_of_the_inside() {
        for (path, status) in [("/panics", 500), ("/nowhere", 404), ("/other", 400)] {
            let response = call(path, None).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(!text.contains("defect\"") && !text.contains("stout"), "{text}");
        }
    }
}

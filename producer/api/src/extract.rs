//! What a call brings with it, read: [`Json`], [`Query`] and [`Path`] as axum has them, but what can't be read is answered as a
//! [`Problem`] that names it. Every call takes these.

use axum::{
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Request,
        path::ErrorKind,
        rejection::{BytesRejection, PathRejection},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;
use tower_http::timeout::TimeoutError;

use crate::problem::{Kind, Problem};

/// A body in JSON, read or sent.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// The parameters behind the `?`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// The parameters in the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "send the body as JSON, with `Content-Type: application/json`",
            ));
        }
        not_packed(request.headers())?;
        let body = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
        read_json(&body).map(Self)
    }
}

/// A call without a body and without a `Content-Type` brings nothing.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if is_json(request.headers()) {
            return <Self as FromRequest<S>>::from_request(request, state).await.map(Some);
        }
        let named = request.headers().contains_key(header::CONTENT_TYPE);
        let body = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
        if body.is_empty() {
            return Ok(None);
        }
        let said = if named { "another type" } else { "none" };
        Err(Problem::new(
            Kind::UnsupportedMediaType,
            format!("send the body as JSON, with `Content-Type: application/json`; the header has {said}"),
        ))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(read)| Self(read)).map_err(
            |error| {
                let said = error.body_text();
                let said = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(&said);
                Problem::new(Kind::BadRequest, format!("the query can't be read: {said}"))
            },
        )
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(read)| Self(read)).map_err(|error| misread_path(&error))
    }
}

fn misread_path(error: &PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failed) = error else {
        tracing::error!(%error, "a call reads a path that it does not have");
        return Problem::new(Kind::Internal, "usher failed; its log says more under this request's id");
    };
    let said = match failed.kind() {
        ErrorKind::DeserializeError { key, message, .. } => format!("{key}: {message}"),
        ErrorKind::InvalidUtf8InPathParam { key } => format!("{key} is not UTF-8 text"),
        ErrorKind::Message(message) => message.clone(),
        other => other.to_string(),
    };
    Problem::new(Kind::BadRequest, format!("the path can't be read: {said}"))
}

/// Reads JSON; what is no JSON is told from JSON that says something else than is asked for.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Problem::new(Kind::InvalidInput, format!("the body can't be used: {error}")),
        _ if body.is_empty() => Problem::new(Kind::BadRequest, "the body is empty; JSON is expected"),
        _ => Problem::new(Kind::BadRequest, format!("the body is not JSON: {error}")),
    })
}

/// Refuses a body that is compressed: how long it is would be known too late.
pub(crate) fn not_packed(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(packed) if packed != "identity" => Err(Problem::new(
            Kind::UnsupportedMediaType,
            "send the body as it is, without a Content-Encoding",
        )),
        _ => Ok(()),
    }
}

/// Whether the body is said to be JSON, of whatever kind.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let essence = media_type(headers);
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// What the body is said to be, without parameters, in lower case; empty where nothing is said.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Why a body could not be read to its end.
pub(crate) fn unread(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_long();
    }
    broken_off(error).unwrap_or_else(|| {
        Problem::new(Kind::BadRequest, "the body did not come to its end: the connection broke off")
    })
}

fn too_long() -> Problem {
    Problem::new(
        Kind::TooLarge,
        "the body is longer than [serve] allows: max_body_mib, and max_stream_mib for rows that are streamed in",
    )
}

/// The problem that lies at the bottom of an error of a body: too long, or too slow.
pub(crate) fn broken_off(error: &(dyn std::error::Error + 'static)) -> Option<Problem> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An I/O error's own source is that of the error that it wraps.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let error = wrapped.map_or(error, |wrapped| wrapped as &(dyn std::error::Error + 'static));
        if error.is::<http_body_util::LengthLimitError>() {
            return Some(too_long());
        }
        if error.is::<TimeoutError>() {
            return Some(Problem::new(
                Kind::Timeout,
                format!(
                    "nothing of the body came for {} seconds; send it again",
                    crate::layers::IDLE.as_secs()
                ),
            ));
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request as HttpRequest;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[allow(dead_code)]
        user: String,
    }

    async fn json(content_type: Option<&str>, body: &str) -> Result<(), Kind> {
        let mut request = HttpRequest::post("/");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let read = <Json<Asked> as FromRequest<()>>::from_request(request, &()).await;
        read.map(|_| ()).map_err(|problem| problem.kind())
    }

    #[tokio::test]
    async fn what_is_no_json_is_told_from_json_that_says_something_else() {
        let good = r#"{"user": "ann"}"#;
        for taken in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"] {
            assert_eq!(json(Some(taken), good).await, Ok(()), "{taken}");
        }
        for other in [None, Some("text/plain"), Some("application/jsonl"), Some("application/x-ndjson")] {
            assert_eq!(json(other, good).await, Err(Kind::UnsupportedMediaType), "{other:?}");
        }
        let cases = [
            ("", Kind::BadRequest),
            ("{", Kind::BadRequest),
            ("{}", Kind::InvalidInput),
            (r#"{"user": 7}"#, Kind::InvalidInput),
            (r#"{"user": "ann", "usr": 1}"#, Kind::InvalidInput),
            (r#"{"user": "ann"} x"#, Kind::BadRequest),
        ];
        for (body, kind) in cases {
            assert_eq!(json(Some("application/json"), body).await, Err(kind), "{body}");
        }
    }

    #[tokio::test]
    async fn a_body_that_may_be_left_out_is_read_where_it_is_there() {
        let read = async |content_type: Option<&str>, body: &str| {
            let mut request = HttpRequest::post("/");
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let request = request.body(Body::from(body.to_owned())).unwrap();
            let read = <Json<Asked> as OptionalFromRequest<()>>::from_request(request, &()).await;
            read.map(|read| read.is_some()).map_err(|problem| problem.kind())
        };
        assert_eq!(read(None, "").await, Ok(false));
        assert_eq!(read(Some("application/json"), r#"{"user": "ann"}"#).await, Ok(true));
        assert_eq!(read(Some("application/json"), "").await, Err(Kind::BadRequest));
        assert_eq!(read(None, r#"{"user": "ann"}"#).await, Err(Kind::UnsupportedMediaType));
    }
}

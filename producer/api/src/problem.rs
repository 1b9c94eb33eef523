//! What goes wrong, as callers read it: problem details by RFC 9457.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use usher_shared::{RunId, config::Role, store::StoreError};
use utoipa::ToSchema;

/// Why a call was not carried out. Its word is an interface, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No token, or none that is known. The caller gets one (`usher token new`).
    Unauthenticated,
    /// The token may not do this, or not for this account.
    Forbidden,
    /// There is no such run, or none that the token may see.
    NoSuchRun,
    /// There is no such path.
    NoSuchPath,
    /// The path has no such method.
    MethodNotAllowed,
    /// The call can't be read: a parameter, JSON, a header.
    BadRequest,
    /// The call reads well, and asks for what can't be: bad rows, no rows, a contradiction. The caller corrects it.
    InvalidInput,
    /// The run is in a state in which this can't be done.
    WrongState,
    /// The plan is not the one that was named, or the caller's own: nothing was done.
    Refused,
    /// A call with this idempotency key is on its way. Sent again a moment later, it is answered.
    KeyInUse,
    /// The idempotency key stands for another body.
    KeyReused,
    /// The body is longer than allowed.
    TooLarge,
    /// The body is of a type that is not taken.
    UnsupportedMediaType,
    /// Nothing that the caller takes can be sent.
    NotAcceptable,
    /// Too many calls. Sent again after the time that `Retry-After` says, it is carried out.
    TooManyCalls,
    /// The body did not come to its end in time.
    Timeout,
    /// A defect of usher. The log has the request's id.
    Internal,
    /// The store does not answer, or the server stops. Sent again later, it is carried out.
    Unavailable,
}

impl Kind {
    /// All of them, for documents that have to name each.
    pub const ALL: [Self; 18] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NoSuchRun,
        Self::NoSuchPath,
        Self::MethodNotAllowed,
        Self::BadRequest,
        Self::InvalidInput,
        Self::WrongState,
        Self::Refused,
        Self::KeyInUse,
        Self::KeyReused,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::NotAcceptable,
        Self::TooManyCalls,
        Self::Timeout,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The word in `type`, after `urn:usher:problem:`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NoSuchRun => "no-such-run",
            Self::NoSuchPath => "no-such-path",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::BadRequest => "bad-request",
            Self::InvalidInput => "invalid-input",
            Self::WrongState => "wrong-state",
            Self::Refused => "refused",
            Self::KeyInUse => "idempotency-key-in-use",
            Self::KeyReused => "idempotency-key-reused",
            Self::TooLarge => "too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::NotAcceptable => "not-acceptable",
            Self::TooManyCalls => "too-many-calls",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    /// The sentence in `title`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Unauthenticated => "The call needs a personal token that is known here",
            Self::Forbidden => "The token may not do this",
            Self::NoSuchRun => "There is no such run",
            Self::NoSuchPath => "There is nothing at this path",
            Self::MethodNotAllowed => "This can't be done at this path",
            Self::BadRequest => "The call can't be read",
            Self::InvalidInput => "What is asked for can't be carried out",
            Self::WrongState => "The run is in a state in which this can't be done",
            Self::Refused => "Nothing was done",
            Self::KeyInUse => "A call with this idempotency key is on its way",
            Self::KeyReused => "The idempotency key stands for another body",
            Self::TooLarge => "The body is too long",
            Self::UnsupportedMediaType => "The body is of a type that is not taken",
            Self::NotAcceptable => "Nothing that the caller takes can be sent",
            Self::TooManyCalls => "Too many calls",
            Self::Timeout => "The body did not come to its end in time",
            Self::Internal => "A defect of usher",
            Self::Unavailable => "Not available for now",
        }
    }

    /// The status code.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NoSuchRun | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::InvalidInput | Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::WrongState | Self::Refused | Self::KeyInUse => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::TooManyCalls => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why a call was not carried out, with what its caller needs to know.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    rows: Vec<RowFlaw>,
    run: Option<RunId>,
    retry_after: Option<u64>,
}

/// What of a submission's rows is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RowFlaw {
    /// The line, from 1; in JSON the place in the list of users, from 1.
    pub line: u64,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

/// A problem by RFC 9457, sent as `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `urn:usher:problem:` and a word that never changes.
    #[schema(example = "urn:usher:problem:no-such-run")]
    r#type: String,
    /// The same for every problem of this type.
    title: &'a str,
    /// The status code.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong in this call, and what to do.
    detail: &'a str,
    /// The first bad rows of a submission, at most 100.
    #[serde(skip_serializing_if = "<[RowFlaw]>::is_empty")]
    #[schema(required = false)]
    rows: &'a [RowFlaw],
    /// The run that it is about, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String)]
    run: Option<&'a RunId>,
}

impl Problem {
    /// Rows told of at most.
    pub const ROWS: usize = 100;

    /// A problem, and what its caller does about it.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), rows: Vec::new(), run: None, retry_after: None }
    }

    /// The token lacks a role.
    #[must_use]
    pub fn lacks(name: &str, role: Role) -> Self {
        let role = role.as_str();
        Self::new(
            Kind::Forbidden,
            format!("the token {name} does not have the role {role:?}: add it to roles in [tokens.{name}]"),
        )
    }

    /// With the rows that are wrong.
    #[must_use]
    pub fn with_rows(self, rows: Vec<RowFlaw>) -> Self {
        Self { rows, ..self }
    }

    /// About a run.
    #[must_use]
    pub fn about(self, run: &RunId) -> Self {
        Self { run: Some(run.clone()), ..self }
    }

    /// With the time after which it may go through, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        use StoreError as E;
        match &error {
            E::Unavailable(_) | E::Refused(_) => {
                tracing::warn!(%error, "a call failed because of the store");
                Self::new(Kind::Unavailable, "the store does not answer; send it again").retry_after(2)
            }
            E::NoSuchRun(run) => no_such_run(run),
            E::WrongPhase { run, .. } => Self::new(Kind::WrongState, error.to_string()).about(run),
            E::Conflict { existing, .. } => Self::new(
                Kind::KeyReused,
                "the Idempotency-Key stands for another submission; use another key for another body",
            )
            .about(existing),
            _ => {
                tracing::error!(%error, "a call failed for a reason that it should not have");
                Self::new(Kind::Internal, "usher failed; its log says more under this request's id")
            }
        }
    }
}

/// There is no such run, or none that this caller may see: the two are not told apart.
#[must_use]
pub fn no_such_run(run: &RunId) -> Problem {
    Problem::new(Kind::NoSuchRun, format!("there is no run {run} that this token may see"))
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:usher:problem:{}", self.kind.word()),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            rows: &self.rows,
            run: self.run.as_ref(),
        };
        // Texts and numbers alone: it can't fail, and if it did, the status would still say what happened.
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.kind.status(), text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"usher\""));
        }
        response
    }
}

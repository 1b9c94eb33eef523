//! Calls and replies as the simulators see them, free of any server.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;

/// One HTTP call, read to its end.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path as it was sent, still percent-encoded.
    pub path: String,
    /// The query as it was sent, without `?`; empty where there was none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// The value of a header that is text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The content type in lower case, without its parameters.
    pub fn content_type(&self) -> Option<String> {
        let value = self.header(header::CONTENT_TYPE)?;
        Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
    }

    /// The last value of a query parameter, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        form_pairs(self.query.as_bytes())
            .filter(|(key, _)| key == name)
            .last()
            .map(|(_, value)| value.into_owned())
    }
}

/// The pairs of an `application/x-www-form-urlencoded` text, decoded.
pub fn form_pairs(text: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(text)
}

/// One path segment, decoded once; `None` where it is no UTF-8.
pub fn decode_segment(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

/// One HTTP reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, besides the date and the length.
    pub headers: Vec<(HeaderName, String)>,
    /// The body; empty for none.
    pub body: Bytes,
}

impl Reply {
    /// `status` without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// `status` with `body` as JSON.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => Self {
                status,
                headers: vec![(header::CONTENT_TYPE, "application/json;charset=UTF-8".to_owned())],
                body: bytes.into(),
            },
            Err(error) => Self::html(500, &format!("the simulator could not write its reply: {error}")),
        }
    }

    /// `status` with a page that is no JSON.
    pub fn html(status: u16, text: &str) -> Self {
        let page = format!("<html><head><title>{status}</title></head><body><h1>{text}</h1></body></html>\n");
        Self { status, headers: vec![(header::CONTENT_TYPE, "text/html".to_owned())], body: page.into() }
    }

    /// The same reply with one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of a header.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header_values(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
        self.headers
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_str(value).ok()?)))
    }
}

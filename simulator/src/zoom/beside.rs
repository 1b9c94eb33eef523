//! What is known of a call beside its endpoint: whom it is about, and what answers it where no endpoint does.

use std::borrow::Cow;

use http::header;
use serde_json::json;

use super::route::{Miss, Route};
use crate::message::{Call, Reply};
use crate::seeded::digest;

/// The one user whom a call is about: in its path, or alone in its list of members. Of several members no one's calls are
/// counted, for a call has one place in flight.
pub(super) fn user_of<'a>(route: &'a Route, call: &Call) -> Option<Cow<'a, str>> {
    if let Some(user) = route.user() {
        return Some(Cow::Borrowed(user));
    }
    let body: serde_json::Value =
        route.lists_members().then(|| serde_json::from_slice(&call.body).ok()).flatten()?;
    match body.get("members")?.as_array()?.as_slice() {
        [member] => {
            member.get("id").or_else(|| member.get("email"))?.as_str().map(|name| name.to_owned().into())
        }
        _ => None,
    }
}

pub(super) fn path_digest(call: &Call) -> u64 {
    digest(call.method.as_str()) ^ digest(&call.path)
}

pub(super) fn no_endpoint(miss: &Miss) -> Reply {
    match miss {
        Miss::NoSuchPath => {
            Reply::json(404, &json!({"code": 2300, "message": "This API endpoint is not recognized."}))
        }
        Miss::WrongMethod { allow } => {
            Reply::json(405, &json!({"code": 405, "message": "Request method is not supported."}))
                .with(header::ALLOW, *allow)
        }
    }
}

/// 500 comes from the application, as JSON; the others from a gateway, as a page.
pub(super) fn server_error(status: u16) -> Reply {
    match status {
        500 => Reply::json(500, &json!({"code": 500, "message": "Internal server error."})),
        502 => Reply::html(502, "502 Bad Gateway"),
        503 => Reply::html(503, "503 Service Temporarily Unavailable"),
        other => Reply::html(other, "504 Gateway Time-out"),
    }
}

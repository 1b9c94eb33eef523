//! What a 429 of Zoom's looks like.

use http::{HeaderName, header};
use serde_json::json;

use super::answers::HeaderVariant;
use super::injection::RefusalKind;
use super::limiter::{Headroom, Refusal};
use super::plan::Label;
use super::route::Route;
use super::settings::Limits;
use crate::clock::Moment;
use crate::message::Reply;
use crate::wait::{RetryAfterForm, Told};

const CATEGORY: HeaderName = HeaderName::from_static("x-ratelimit-category");
const TYPE: HeaderName = HeaderName::from_static("x-ratelimit-type");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// A 429, and until when its reader must wait.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) reply: Reply,
    pub(crate) told_until: Option<Moment>,
}

/// Writes a refusal sent at `now`. `wait_told` insists on a `Retry-After` even where the settings have none.
pub(crate) fn refuse(
    limits: &Limits,
    route: &Route,
    refusal: Refusal,
    now: Moment,
    wait_told: bool,
) -> Refused {
    let by_day = matches!(refusal.kind, RefusalKind::Day | RefusalKind::UserDay);
    let form = match refusal.kind {
        RefusalKind::Second => limits.retry_after_second,
        RefusalKind::Concurrent => RetryAfterForm::None,
        RefusalKind::Day | RefusalKind::UserDay => {
            limits.retry_after_day.unwrap_or(RetryAfterForm::IsoDateTime)
        }
    };
    let form = if wait_told && form == RetryAfterForm::None { RetryAfterForm::Seconds } else { form };
    let Told { header: retry_after, until } = form.render(now, refusal.until);
    // Without a date that can be read, a refusal by the day stands for 00:00 UTC.
    let told_until = until.or(by_day.then_some(refusal.until));
    let code = limits.code_429.unwrap_or(429);
    let mut reply = Reply::json(429, &json!({"code": code, "message": message(&refusal, route)}));
    let of_type = match refusal.kind {
        RefusalKind::Second => "QPS",
        RefusalKind::Day | RefusalKind::UserDay => "Daily-limit",
        RefusalKind::Concurrent => "Concurrent-limit",
    };
    if limits.headers != HeaderVariant::None {
        reply = reply.with(CATEGORY, route.label().category()).with(TYPE, of_type);
    }
    if limits.headers == HeaderVariant::Full {
        reply = reply.with(LIMIT, refusal.limit.to_string()).with(REMAINING, "0");
        reply = reply.with(RESET, refusal.until.ceil_second().to_timestamp().to_string());
    }
    if let Some(value) = retry_after {
        reply = reply.with(header::RETRY_AFTER, value);
    }
    Refused { reply, told_until }
}

/// Adds the headers that a reply carries which is no refusal.
pub(crate) fn add_headroom(reply: Reply, limits: &Limits, label: Label, headroom: Headroom) -> Reply {
    if limits.headers == HeaderVariant::None || headroom.limit == 0 {
        return reply;
    }
    let reply = reply.with(CATEGORY, label.category()).with(TYPE, "QPS");
    if limits.headers == HeaderVariant::Minimal {
        return reply;
    }
    reply.with(LIMIT, headroom.limit.to_string()).with(REMAINING, headroom.left.to_string())
}

fn message(refusal: &Refusal, route: &Route) -> String {
    match refusal.kind {
        RefusalKind::Second => {
            "You have reached the maximum per-second rate limit for this API. Try again later.".to_owned()
        }
        RefusalKind::Day => {
            "You have reached the maximum daily rate limit for this API. Refer to the response \
                             header for details on when you can make another request."
                .to_owned()
        }
        RefusalKind::UserDay => format!(
            "You have exceeded the daily rate limit ({}) of {} API requests permitted for this particular user. \
             You may resume these requests at GMT 00:00:00.",
            refusal.limit,
            route.name(),
        ),
        RefusalKind::Concurrent => {
            "Too many concurrent requests. A request to disassociate this user has already been made."
                .to_owned()
        }
    }
}

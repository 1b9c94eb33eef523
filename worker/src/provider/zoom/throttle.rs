//! The kinds of a 429, told apart by message first and headers second: sources conflict about both.

use std::time::Duration;

use http::HeaderMap;
use usher_shared::Timestamp;

use super::said::Said;
use crate::provider::{Throttle, retry_after::retry_after};

/// What a 429 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) throttle: Throttle,
    pub(super) retry_at: Option<Timestamp>,
}

/// A time that is so far ahead is a day's limit, where nothing else says what it is.
const LONGER_THAN_A_SECOND_S_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Reads a 429. Every header is optional.
pub(super) fn refusal(headers: &HeaderMap, said: &Said, now: Timestamp) -> Refusal {
    let retry_at = retry_at(headers, now);
    let message = said.lower();
    let kind = text(headers, "x-ratelimit-type").unwrap_or_default().to_lowercase();
    let has = |word: &str| message.contains(word);
    let throttle = if has("concurrent") || has("already been made") {
        Throttle::Concurrent
    } else if has("particular user") {
        Throttle::PerUserDay
    } else if has("per-second") || has("per second") {
        Throttle::PerSecond
    } else if has("daily") || has("per day") || has("per-day") || kind.contains("daily") {
        Throttle::PerDay
    } else if kind.contains("qps") || kind.contains("second") {
        Throttle::PerSecond
    } else if retry_at.is_some_and(|at| at.since(now) >= LONGER_THAN_A_SECOND_S_LIMIT) {
        Throttle::PerDay
    } else {
        Throttle::PerSecond
    };
    Refusal { throttle, retry_at }
}

/// `Retry-After`, where it is there and can be read.
pub(super) fn retry_at(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    retry_after(text(headers, "retry-after")?, now)
}

/// Calls left in the current second: `X-RateLimit-Remaining`, unless the headers say that it counts a day.
pub(super) fn remaining(headers: &HeaderMap) -> Option<u32> {
    if text(headers, "x-ratelimit-type").is_some_and(|kind| kind.to_lowercase().contains("daily")) {
        return None;
    }
    text(headers, "x-ratelimit-remaining")?.trim().parse().ok()
}

/// A header's value, where it is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

//! What Zoom's headers tell about itself: its clock, and the limit it counted a call under. Every one of them is optional.

use http::{HeaderMap, header::DATE};
use jiff::fmt::rfc2822;
use usher_shared::Timestamp;

use super::{LIGHT, MEDIUM, throttle::text};
use crate::provider::Label;

/// The vendor's clock, to the second.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let moment = rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(date).ok()?;
    Some(Timestamp::from_millis(moment.as_millisecond()))
}

/// Calls a second under a label, where the headers say that it is a limit of one second.
pub(super) fn limit(headers: &HeaderMap) -> Option<(Label, f64)> {
    let kind = text(headers, "x-ratelimit-type")?.to_lowercase();
    if !(kind.contains("qps") || kind.contains("second")) {
        return None;
    }
    let category = text(headers, "x-ratelimit-category")?;
    let label = [LIGHT, MEDIUM].into_iter().find(|label| label.0.eq_ignore_ascii_case(category.trim()))?;
    let calls: f64 = text(headers, "x-ratelimit-limit")?.trim().parse().ok()?;
    (calls.is_finite() && calls > 0.0).then_some((label, calls))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_date_is_read_and_rubbish_is_none() {
        let read = |value| date(&headers(&[("date", value)]));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp::from_millis(784_111_777_000)));
        assert_eq!(read("yesterday"), None);
        assert_eq!(date(&HeaderMap::new()), None);
    }

    #[test]
    fn a_limit_is_told_by_a_label_a_second_and_a_number() {
        let told = |label, kind, calls| {
            limit(&headers(&[
                ("x-ratelimit-category", label),
                ("x-ratelimit-type", kind),
                ("x-ratelimit-limit", calls),
            ]))
        };
        assert_eq!(told("Medium", "QPS", "60"), Some((MEDIUM, 60.0)));
        assert_eq!(told("light", "Per-second-limit", "80"), Some((LIGHT, 80.0)));
        for (label, kind, calls) in [
            ("Medium", "Daily-limit", "2000"),
            ("Heavy", "QPS", "40"),
            ("Light", "QPS", "many"),
            ("Light", "QPS", "0"),
        ] {
            assert_eq!(told(label, kind, calls), None, "{label} {kind} {calls}");
        }
    }
}

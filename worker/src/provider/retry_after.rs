//! When a vendor says to come back: `Retry-After`, in every form that vendors send.

use std::time::Duration;

use jiff::{civil, fmt::rfc2822, tz::TimeZone};
use usher_shared::Timestamp;

/// No vendor's limit lasts longer than its day; the hour is for clocks and time zones that are off. A later time is taken
/// as this.
pub const FARTHEST: Duration = Duration::from_secs(25 * 60 * 60);

/// Reads a `Retry-After` value: seconds (also with a fraction), an HTTP date (RFC 9110: IMF-fixdate, RFC 850, asctime), or
/// an ISO 8601 date-time (Zoom's daily limits; one without a zone is UTC).
///
/// `None` where it says nothing: rubbish, zero, a negative number, a time that is over. At most [`FARTHEST`] from `now`.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<Timestamp> {
    let value = value.trim();
    // Longer than any of the forms: not worth parsing.
    if value.is_empty() || value.len() > 64 || !value.is_ascii() {
        return None;
    }
    let at = match seconds(value) {
        Some(seconds) => now.after(seconds?),
        None => iso_date_time(value).or_else(|| http_date(value, now))?,
    };
    (at > now).then(|| at.min(now.after(FARTHEST)))
}

/// `None`: not a number. `Some(None)`: a number that says nothing.
fn seconds(value: &str) -> Option<Option<Duration>> {
    let unsigned = value.strip_prefix(['-', '+']).unwrap_or(value);
    let plain = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !plain {
        return None;
    }
    let number: f64 = value.parse().ok()?;
    if number <= 0.0 || number.is_nan() {
        return Some(None);
    }
    let bounded = number.min(FARTHEST.as_secs_f64());
    // A fraction is rounded up to the millisecond: never earlier than asked for.
    let millis = (bounded * 1000.0).ceil() as u64;
    Some(Some(Duration::from_millis(millis)))
}

fn iso_date_time(value: &str) -> Option<Timestamp> {
    if let Ok(moment) = value.parse::<jiff::Timestamp>() {
        return Some(round_up(moment));
    }
    let civil: civil::DateTime = value.parse().ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| round_up(zoned.timestamp()))
}

fn http_date(value: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(zoned) = rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_zoned(value) {
        return Some(round_up(zoned.timestamp()));
    }
    let rfc_850 = value.split_once(", ").and_then(|(_weekday, rest)| {
        let mut time = civil::DateTime::strptime("%d-%b-%y %H:%M:%S GMT", rest).ok()?;
        // RFC 9110 5.6.7: a two-digit year that seems more than 50 years ahead is the most recent past one.
        let this_year =
            jiff::Timestamp::from_millisecond(now.as_millis()).ok()?.to_zoned(TimeZone::UTC).year();
        let century = this_year - this_year.rem_euclid(100);
        let mut year = century.checked_add(time.year().rem_euclid(100))?;
        if year > this_year + 50 {
            year -= 100;
        }
        time = time.with().year(year).build().ok()?;
        Some(time)
    });
    // asctime pads the day with a space, which %d takes as white space.
    let asctime = || civil::DateTime::strptime("%a %b %d %H:%M:%S %Y", value).ok();
    rfc_850.or_else(asctime)?.to_zoned(TimeZone::UTC).ok().map(|zoned| round_up(zoned.timestamp()))
}

fn round_up(moment: jiff::Timestamp) -> Timestamp {
    let millis = moment.as_millisecond();
    let exact = jiff::Timestamp::from_millisecond(millis).is_ok_and(|cut| cut >= moment);
    Timestamp::from_millis(if exact { millis } else { millis.saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-20T12:00:00Z.
    const NOW: Timestamp = Timestamp::from_millis(1_795_176_000_000);

    fn ahead(value: &str) -> Option<u64> {
        retry_after(value, NOW).map(|at| at.since(NOW).as_millis() as u64)
    }

    #[test]
    fn now_is_what_it_says() {
        assert_eq!(NOW.to_string(), "2026-11-20T12:00:00.000Z");
    }

    #[test]
    fn every_form_is_read_and_what_says_nothing_is_none() {
        let day = FARTHEST.as_millis() as u64;
        let cases: &[(&str, Option<u64>)] = &[
            ("5", Some(5_000)),
            (" 5 ", Some(5_000)),
            ("+5", Some(5_000)),
            ("0.25", Some(250)),
            ("1.0001", Some(1_001)),
            ("3600", Some(3_600_000)),
            ("0", None),
            ("0.0", None),
            ("-1", None),
            ("-0.5", None),
            ("999999999999999999999999", Some(day)),
            ("90001", Some(day)),
            ("1e3", None),
            ("inf", None),
            ("nan", None),
            ("1.2.3", None),
            (".", None),
            ("+", None),
            ("", None),
            ("soon", None),
            ("5 seconds", None),
            ("Fri, 20 Nov 2026 12:00:30 GMT", Some(30_000)),
            ("Fri, 20 Nov 2026 13:00:30 +0100", Some(30_000)),
            ("Friday, 20-Nov-26 12:00:30 GMT", Some(30_000)),
            ("Fri Nov 20 12:00:30 2026", Some(30_000)),
            ("Tue Dec  1 12:00:30 2026", Some(day)),
            ("Fri, 20 Nov 2026 11:59:30 GMT", None),
            ("Friday, 20-Nov-99 12:00:30 GMT", None),
            ("Fri, 20 Nov 2076 12:00:30 GMT", Some(day)),
            ("2026-11-20T12:00:30Z", Some(30_000)),
            ("2026-11-20T12:00:30.5Z", Some(30_500)),
            ("2026-11-20T14:00:30+02:00", Some(30_000)),
            ("2026-11-20T12:00:30", Some(30_000)),
            ("2026-11-20 12:00:30", Some(30_000)),
            ("2026-11-21T00:00:00Z", Some(12 * 3_600_000)),
            ("2026-11-21", Some(12 * 3_600_000)),
            ("2020-05-31T00:00:00Z", None),
            ("9998-12-31T23:59:59Z", Some(day)),
            ("9999-12-31T23:59:59Z", None),
            ("2026-13-45T99:99:99Z", None),
            ("Fri, 20 Nov 2026", None),
            ("\u{661}\u{662}", None),
        ];
        for (value, expected) in cases {
            assert_eq!(ahead(value), *expected, "{value:?}");
        }
    }

    /// The times at which an input is read: a letter of it says which.
    const TIMES: [i64; 8] =
        [NOW.as_millis(), 0, -1, 951_782_399_999, 4_102_444_799_999, 253_402_207_200_000, i64::MIN, i64::MAX];

    /// An input is a letter for the time, and the header's value.
    #[test]
    fn any_retry_after_lies_ahead_within_the_bound() {
        bolero::check!(name = "retry_after").with_iterations(50_000).for_each(|input: &[u8]| {
            let Some((letter, value)) = input.split_first() else { return };
            let value = String::from_utf8_lossy(value);
            let now = Timestamp::from_millis(TIMES[usize::from(*letter) % TIMES.len()]);
            let read = retry_after(&value, now);
            if let Some(at) = read {
                assert!(at > now && at <= now.after(FARTHEST), "{value:?}");
                assert!(value.trim().is_ascii() && value.trim().len() <= 64);
            }
            assert_eq!(retry_after(&format!(" \t{value} "), now), read, "white space around it is nothing");
            let digits = value.trim();
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 64 {
                let seconds = digits.parse().unwrap_or(u64::MAX).min(FARTHEST.as_secs());
                let expected = now.after(Duration::from_secs(seconds));
                assert_eq!(read, (expected > now).then_some(expected), "{digits}");
            } else if let Some(at) =
                read.filter(|at| *at < now.after(FARTHEST) && now.after(FARTHEST).as_millis() < i64::MAX)
            {
                let later = Timestamp::from_millis(now.as_millis() + 1);
                // A moment stays where it is while the clock goes on; a number of seconds goes with the clock. (An RFC 850 year
                // has two digits, and is told by the clock.)
                let again = retry_after(&value, later);
                let moves = again == Some(Timestamp::from_millis(at.as_millis() + 1));
                let stays = again == Some(at) || (again.is_none() && at == later);
                assert!(moves || stays || value.contains(", "), "{value:?}: {at:?}, then {again:?}");
            }
        });
    }

    proptest! {

        #[test]
        fn whole_seconds_within_a_day_are_taken_exactly(seconds in 1u64..86_400) {
            prop_assert_eq!(retry_after(&seconds.to_string(), NOW), Some(NOW.after(Duration::from_secs(seconds))));
        }
    }
}

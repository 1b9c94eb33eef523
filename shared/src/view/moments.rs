//! Moments, as people read them: in their own time, with UTC beside it, for that is what vendors count days by.

use std::time::Duration;

use super::numbers::duration;
use crate::Timestamp;
use jiff::tz::TimeZone;

/// A wait that is shorter than this needs no time of day.
const SOON: Duration = Duration::from_secs(120);
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `in 4.2 s`; `at 01:00 (00:00 UTC), in 3 h 12 min`; `on 2026-11-23 at 01:00 (00:00 UTC), in 2 days 4 h`
pub fn when(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let left = at.since(now);
    if left < SOON {
        return format!("in {}", duration(left));
    }
    let day = if left < A_DAY { String::new() } else { format!("on {} ", date(at, zone)) };
    format!("{day}{}, in {}", time(at, zone), duration(left))
}

/// `2026-11-23`
pub fn date(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone, "%Y-%m-%d")
}

/// `at 01:00 (00:00 UTC)`, or `at 00:00 UTC` where that is the time here.
pub fn time(at: Timestamp, zone: &TimeZone) -> String {
    let (here, utc) = (zoned(at, zone, "%H:%M"), zoned(at, &TimeZone::UTC, "%H:%M"));
    if here == utc { format!("at {utc} UTC") } else { format!("at {here} ({utc} UTC)") }
}

/// `50 s`, `42 minutes`, `3 h 20 min`, `2 days 4 h`: what is only known roughly.
pub fn roughly(time: Duration) -> String {
    match time.as_secs() {
        0..120 => format!("{} s", ((time.as_millis() + 500) / 1_000).max(1)),
        seconds @ 120..5_400 => format!("{} minutes", (seconds + 30) / 60),
        seconds => duration(Duration::from_secs(seconds)),
    }
}

/// `1st`, `2nd`, `3rd`, `11th`
pub fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn zoned(at: Timestamp, zone: &TimeZone, format: &str) -> String {
    // Clocks are told from each other to the millisecond: a day that ends at 23:59:59.999 ends at 00:00.
    match jiff::Timestamp::from_second(at.as_millis().saturating_add(500).div_euclid(1_000)) {
        Ok(moment) => moment.to_zoned(zone.clone()).strftime(format).to_string(),
        // Further away than calendars reach.
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_moment_is_told_in_the_time_here_and_in_utc() {
        let (utc, cet) = (TimeZone::UTC, TimeZone::fixed(jiff::tz::offset(1)));
        let midnight = at("2026-11-22T00:00:00Z");
        let cases = [
            (midnight, "2026-11-21T20:48:00Z", &utc, "at 00:00 UTC, in 3 h 12 min"),
            (midnight, "2026-11-21T20:48:00Z", &cet, "at 01:00 (00:00 UTC), in 3 h 12 min"),
            (midnight, "2026-11-21T23:59:55.800Z", &cet, "in 4.2 s"),
            (midnight, "2026-11-19T20:00:00Z", &cet, "on 2026-11-22 at 01:00 (00:00 UTC), in 2 days 4 h"),
            (midnight, "2026-11-22T08:00:00Z", &utc, "in 0.0 s"),
            (at("2026-11-21T23:59:59.999Z"), "2026-11-21T21:00:00Z", &utc, "at 00:00 UTC, in 2 h 59 min"),
        ];
        for (moment, now, zone, expected) in cases {
            assert_eq!(when(moment, at(now), zone), expected);
        }
        assert_eq!(date(at("2026-11-22T23:30:00Z"), &cet), "2026-11-23");
    }

    #[test]
    fn what_is_known_roughly_is_told_roughly() {
        let told = |seconds| roughly(Duration::from_secs(seconds));
        assert_eq!(
            [told(0), told(50), told(2_500), told(12_000), told(190_000)],
            ["1 s", "50 s", "42 minutes", "3 h 20 min", "2 days 4 h"]
        );
    }

    #[test]
    fn places_have_their_endings() {
        let all: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 101, 111].into_iter().map(ordinal).collect();
        assert_eq!(all.join(" "), "1st 2nd 3rd 4th 11th 12th 13th 21st 101st 111th");
    }
}

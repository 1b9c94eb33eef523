//! When a run may begin and by when it is to be done: a time as a person writes it, with its zone.

use jiff::{
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone},
};
use usher_shared::{Terms, Timestamp};

use crate::{
    cli::Timing,
    exit::{Exit, Failure},
};

/// A moment, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// As it was written.
    given: String,
    /// The zone of this machine, where none was written.
    assumed: Option<String>,
}

impl Moment {
    /// Reads a moment that is still to come: with an offset or `Z`, with a zone behind it (`Europe/Berlin`, `[Europe/Berlin]`),
    /// or without either, which means `system`. A time that a change of the clocks leaves out or brings twice is refused, with
    /// both readings named: a guess would be an hour wrong.
    pub fn read(option: &str, text: &str, now: Timestamp, system: &TimeZone) -> Result<Self, Failure> {
        let refused = |problem: String| Failure::new(Exit::InvalidInput, format!("{option}: {problem}"));
        let given = text.trim().to_owned();
        let (body, name) = split(&given);
        let zone = match name {
            Some(name) => Some(TimeZone::get(name).map_err(|_| {
                refused(format!(
                    "{name:?} is no time zone: write one such as Europe/Berlin, or an offset such as +01:00"
                ))
            })?),
            None => None,
        };
        let moment = if let Ok(instant) = body.parse::<jiff::Timestamp>() {
            if let (Some(zone), Some(name)) = (&zone, name) {
                agrees(body, instant, zone, name).map_err(refused)?;
            }
            instant
        } else {
            let wall: DateTime = body.parse().map_err(|_| {
                refused(format!(
                    "{given:?} is no time: write it as \"2026-12-24T17:00 Europe/Berlin\", or with an offset as \
                     \"2026-12-24T17:00+01:00\""
                ))
            })?;
            if !body.contains(':') {
                return Err(refused(format!("{given:?} has no time of day: write it as \"{body}T17:00\"")));
            }
            in_zone(wall, zone.as_ref().unwrap_or(system), name).map_err(refused)?
        };
        let at = Timestamp::from_millis(moment.as_millisecond());
        let assumed = (zone.is_none() && body.parse::<jiff::Timestamp>().is_err()).then(|| named(system));
        let moment = Self { at, given, assumed };
        if at <= now {
            return Err(refused(format!("{} has passed; it is {} now", moment.words(), short(now))));
        }
        Ok(moment)
    }

    /// `2026-12-24T16:00:00Z (2026-12-24T17:00 Europe/Berlin)`
    pub fn words(&self) -> String {
        match &self.assumed {
            Some(zone) => {
                format!("{} ({}, taken to be in {zone}, this machine's zone)", short(self.at), self.given)
            }
            None => format!("{} ({})", short(self.at), self.given),
        }
    }
}

/// Reads what was given; returns it as terms, and what to show.
pub fn terms(timing: &Timing, now: Timestamp) -> Result<(Terms, Vec<String>), Failure> {
    let system = TimeZone::system();
    let read = |option, text: &Option<String>| {
        text.as_ref().map(|text| Moment::read(option, text, now, &system)).transpose()
    };
    let not_before = read("--not-before", &timing.not_before)?;
    let deadline = read("--deadline", &timing.deadline)?;
    if let (Some(begin), Some(end)) = (&not_before, &deadline)
        && end.at <= begin.at
    {
        return Err(Failure::new(
            Exit::InvalidInput,
            format!(
                "the deadline {} is not after {}, before which it must not begin",
                end.words(),
                begin.words()
            ),
        ));
    }
    let mut told = Vec::new();
    told.extend(not_before.iter().map(|moment| format!("It does not begin before {}.", moment.words())));
    told.extend(
        deadline.iter().map(|moment| format!("What is not done by {} ends as expired.", moment.words())),
    );
    let at = |moment: Option<Moment>| moment.map(|moment| moment.at);
    Ok((Terms { not_before: at(not_before), deadline: at(deadline), ..Terms::default() }, told))
}

/// The time, and the zone's name behind it, where there is one.
fn split(text: &str) -> (&str, Option<&str>) {
    if let Some((body, name)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        return (body.trim(), Some(name.trim()));
    }
    match text.rsplit_once(char::is_whitespace) {
        // A date and a time of day may have a blank between them, too.
        Some((body, name)) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            (body.trim(), Some(name))
        }
        _ => (text, None),
    }
}

/// An offset beside a zone has to be one that the zone has then.
fn agrees(body: &str, instant: jiff::Timestamp, zone: &TimeZone, name: &str) -> Result<(), String> {
    // `Z` says UTC and nothing about the zone.
    if body.ends_with(['Z', 'z']) {
        return Ok(());
    }
    let there = instant.to_zoned(zone.clone());
    let wall: Option<DateTime> = body.parse().ok();
    if wall.is_none_or(|wall| wall == there.datetime()) {
        return Ok(());
    }
    Err(format!(
        "{body} has another offset than {name} has then, which is {}; leave one of them out",
        there.offset()
    ))
}

fn in_zone(wall: DateTime, zone: &TimeZone, name: Option<&str>) -> Result<jiff::Timestamp, String> {
    let place = name.map_or_else(|| named(zone), str::to_owned);
    let at = |offset: Offset| offset.to_timestamp(wall).map_err(|error| format!("{wall}: {error}"));
    let reading = |offset: Offset| match offset.to_timestamp(wall) {
        Ok(instant) => format!(
            "{} ({})",
            instant.display_with_offset(offset),
            short(Timestamp::from_millis(instant.as_millisecond()))
        ),
        Err(_) => format!("{wall}{offset}"),
    };
    match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => at(offset),
        AmbiguousOffset::Gap { before, after } => Err(format!(
            "there is no {wall} in {place}: the clocks go forward over it. Write {} or {}",
            reading(before),
            reading(after)
        )),
        AmbiguousOffset::Fold { before, after } => Err(format!(
            "{wall} comes twice in {place}: the clocks go back over it. Write {} or {}",
            reading(before),
            reading(after)
        )),
    }
}

fn named(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("a zone without a name").to_owned()
}

/// To the second, in UTC.
fn short(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_millis().div_euclid(1_000))
        .map_or_else(|_| at.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis("2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn read(text: &str) -> Result<Moment, String> {
        let system = TimeZone::get("America/New_York").unwrap();
        Moment::read("--not-before", text, now(), &system).map_err(|failure| failure.error.to_string())
    }

    #[test]
    fn offsets_zones_and_this_machines_zone_are_read() {
        let cases = [
            ("2026-12-24T17:00 Europe/Berlin", "2026-12-24T16:00:00Z"),
            ("2026-12-24 17:00 Europe/Berlin", "2026-12-24T16:00:00Z"),
            ("2026-12-24T17:00[Europe/Berlin]", "2026-12-24T16:00:00Z"),
            ("2026-12-24T17:00+01:00[Europe/Berlin]", "2026-12-24T16:00:00Z"),
            ("2026-07-24T17:00 Europe/Berlin", "2026-07-24T15:00:00Z"),
            ("2026-12-24T17:00Z", "2026-12-24T17:00:00Z"),
            ("2026-12-24T17:00:30-05:00", "2026-12-24T22:00:30Z"),
            ("2026-12-24T17:00 Asia/Kathmandu", "2026-12-24T11:15:00Z"),
            ("2026-12-24T17:00 UTC", "2026-12-24T17:00:00Z"),
            ("2026-12-24T17:00", "2026-12-24T22:00:00Z"),
            ("2026-12-24 17:00", "2026-12-24T22:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(short(read(text).unwrap().at), expected, "{text}");
        }
        let assumed = read("2026-12-24T17:00").unwrap().words();
        assert!(
            assumed.contains("America/New_York") && assumed.contains("2026-12-24T22:00:00Z"),
            "{assumed}"
        );
        let written = read("2026-12-24T17:00 Europe/Berlin").unwrap().words();
        assert_eq!(written, "2026-12-24T16:00:00Z (2026-12-24T17:00 Europe/Berlin)");
    }

    #[test]
    fn a_time_that_the_clocks_leave_out_is_refused_with_both_readings() {
        // (the first moment that is not there, one hour later, both readings of it)
        let cases = [
            ("2026-03-29T02:30 Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-29T00:30:00Z"),
            ("2026-03-08T02:30 America/New_York", "2026-03-08T07:30:00Z", "2026-03-08T06:30:00Z"),
            ("2026-10-04T02:15 Australia/Lord_Howe", "2026-10-03T15:45:00Z", "2026-10-03T15:15:00Z"),
            ("2026-09-06T00:30 America/Santiago", "2026-09-06T04:30:00Z", "2026-09-06T03:30:00Z"),
        ];
        for (text, one, other) in cases {
            let problem = read(text).unwrap_err();
            assert!(problem.contains("go forward"), "{text}: {problem}");
            assert!(problem.contains(one) && problem.contains(other), "{text}: {problem}");
        }
    }

    #[test]
    fn a_time_that_comes_twice_is_refused_with_both_readings() {
        let cases = [
            ("2026-10-25T02:30 Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
            ("2026-11-01T01:30[America/New_York]", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
            ("2026-04-05T01:45 Australia/Lord_Howe", "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"),
        ];
        for (text, one, other) in cases {
            let problem = read(text).unwrap_err();
            assert!(problem.contains("comes twice"), "{text}: {problem}");
            // What it says to write can be written.
            let written = problem.split("Write ").nth(1).unwrap().split(' ').next().unwrap();
            assert_eq!(short(read(written).unwrap().at), one, "{written}");
            assert!(problem.contains(one) && problem.contains(other), "{text}: {problem}");
        }
        // With its offset it is one moment.
        let summer = read("2026-10-25T02:30+02:00[Europe/Berlin]").unwrap();
        let winter = read("2026-10-25T02:30+01:00[Europe/Berlin]").unwrap();
        assert_eq!(winter.at.since(summer.at).as_secs(), 3_600);
    }

    #[test]
    fn right_before_and_after_a_change_of_the_clocks_every_time_is_itself() {
        let cases = [
            ("2026-03-29T01:59:59 Europe/Berlin", "2026-03-29T00:59:59Z"),
            ("2026-03-29T03:00 Europe/Berlin", "2026-03-29T01:00:00Z"),
            ("2026-10-25T01:59:59 Europe/Berlin", "2026-10-24T23:59:59Z"),
            ("2026-10-25T03:00 Europe/Berlin", "2026-10-25T02:00:00Z"),
            // A zone that has no such change.
            ("2026-03-29T02:30 Asia/Tokyo", "2026-03-28T17:30:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(short(read(text).unwrap().at), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_has_passed_or_contradicts_itself_is_refused_with_the_cure() {
        let cases = [
            ("", "is no time"),
            ("tomorrow", "is no time"),
            ("2026-13-01T00:00Z", "is no time"),
            ("2026-12-24", "has no time of day"),
            ("2026-12-24T17:00 Europe/Atlantis", "is no time zone"),
            ("2026-12-24T17:00+05:00[Europe/Berlin]", "another offset"),
            ("2025-12-24T17:00 Europe/Berlin", "has passed"),
            ("2026-01-01T00:00Z", "has passed"),
        ];
        for (text, expected) in cases {
            let problem = read(text).unwrap_err();
            assert!(problem.starts_with("--not-before: ") && problem.contains(expected), "{text}: {problem}");
        }
    }

    #[test]
    fn a_deadline_before_the_beginning_is_refused() {
        let timing =
            |begin: &str, end: &str| Timing { not_before: Some(begin.into()), deadline: Some(end.into()) };
        let (early, late) = ("2026-12-24T17:00Z", "2026-12-24T18:00Z");
        let (terms, told) = super::terms(&timing(early, late), now()).unwrap();
        assert_eq!(terms.deadline.unwrap().since(terms.not_before.unwrap()).as_secs(), 3_600);
        assert_eq!(told.len(), 2);
        assert!(super::terms(&timing(late, early), now()).is_err());
    }
}

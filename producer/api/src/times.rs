//! What callers say of when and why, the same in every call that makes a run.

use serde::{Deserialize, Deserializer, de::Error as _};
use usher_shared::Timestamp;

use crate::problem::{Kind, Problem};

/// The longest reason of a run, in characters.
const LONGEST_REASON: usize = 1_000;

/// A time by RFC 3339, whose offset leaves no doubt when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // In a query an unescaped + is read as a blank, and no offset begins with one.
        let text = text.replace(' ', "+");
        // A zone in brackets is no part of RFC 3339.
        let instant = text.parse::<jiff::Timestamp>().ok().filter(|_| !text.contains('['));
        let instant = instant.ok_or_else(|| {
            let text: String = text.chars().take(60).collect();
            D::Error::custom(format!(
                "{text:?} is no time with an offset: write it as 2026-12-24T17:00:00+01:00 or 2026-12-24T16:00:00Z"
            ))
        })?;
        Ok(Self(Timestamp::from_millis(instant.as_millisecond())))
    }
}

/// Why, without the space around it; `None` where nothing is said.
pub fn reason(text: Option<&str>) -> Result<Option<String>, Problem> {
    let text = text.unwrap_or_default();
    match text.chars().count() {
        length if length > LONGEST_REASON => {
            Err(refused(format!("the reason is {length} characters long; at most {LONGEST_REASON}")))
        }
        _ => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
    }
}

/// Refuses a deadline that comes before the beginning.
pub fn in_order(not_before: Option<Timestamp>, deadline: Option<Timestamp>) -> Result<(), Problem> {
    match (not_before, deadline) {
        (Some(begins), Some(ends)) if ends <= begins => Err(refused(format!(
            "the deadline {ends} is not after not_before {begins}, before which it must not begin"
        ))),
        _ => Ok(()),
    }
}

/// Refuses times that have passed.
pub fn in_time(
    not_before: Option<Timestamp>,
    deadline: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Problem> {
    for (name, at) in [("not_before", not_before), ("deadline", deadline)] {
        if let Some(at) = at.filter(|at| *at <= now) {
            return Err(refused(format!("{name} {at} has passed; it is {now} now")));
        }
    }
    Ok(())
}

fn refused(detail: String) -> Problem {
    Problem::new(Kind::InvalidInput, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_an_offset_and_nothing_else() {
        let read = |text: &str| serde_json::from_value::<Moment>(text.into());
        let christmas = Moment(Timestamp::from_millis(1_798_128_000_000));
        for same in ["2026-12-24T16:00:00Z", "2026-12-24T17:00:00+01:00", "2026-12-24T17:00:00 01:00"] {
            assert_eq!(read(same).unwrap(), christmas, "{same}");
        }
        for bad in
            ["", "tomorrow", "2026-12-24", "2026-12-24T17:00:00", "2026-12-24T17:00:00+01:00[Europe/Berlin]"]
        {
            assert!(read(bad).unwrap_err().to_string().contains("with an offset"), "{bad}");
        }
    }
}

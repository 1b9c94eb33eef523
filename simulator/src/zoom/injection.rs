//! Refusals planted at certain calls, and another app that eats the account's limits.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::Label;
use crate::clock::Moment;

/// The kinds of 429 that Zoom sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalKind {
    /// Too many calls of a label in this second.
    Second,
    /// Too many calls of a label today.
    Day,
    /// Too many changes of this user today.
    UserDay,
    /// Another call on this user is in flight.
    Concurrent,
}

impl RefusalKind {
    /// Its name in settings and reports.
    pub const fn name(self) -> &'static str {
        match self {
            RefusalKind::Second => "second",
            RefusalKind::Day => "day",
            RefusalKind::UserDay => "user_day",
            RefusalKind::Concurrent => "concurrent",
        }
    }
}

/// Refuses exactly so many calls, from a certain one on. Written `second@100x3` (calls 100, 101 and 102), with
/// the wait that the refusal tells as `second@100x3:5` (seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Inject429 {
    /// What the refusal says.
    pub kind: RefusalKind,
    /// The number of the first call refused; the first call with a good token is number 1.
    pub at: u64,
    /// How many calls are refused in a row.
    pub count: u64,
    /// The wait that the refusal tells, in seconds; without it, until the window or day would end.
    pub wait_s: Option<u64>,
}

impl fmt::Display for Inject429 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}x{}", self.kind.name(), self.at, self.count)?;
        self.wait_s.map_or(Ok(()), |wait| write!(f, ":{wait}"))
    }
}

impl FromStr for Inject429 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` plants no refusal; write KIND@CALL, KIND@CALLxCOUNT or KIND@CALLxCOUNT:SECONDS")
        };
        let (kind, rest) = text.split_once('@').ok_or_else(wrong)?;
        let kind = [RefusalKind::Second, RefusalKind::Day, RefusalKind::UserDay, RefusalKind::Concurrent]
            .into_iter()
            .find(|known| known.name() == kind)
            .ok_or_else(|| {
                format!("`{kind}` is no kind of refusal; use second, day, user_day or concurrent")
            })?;
        let (calls, wait_s) = match rest.split_once(':') {
            Some((calls, wait)) => (calls, Some(wait.parse().map_err(|_| wrong())?)),
            None => (rest, None),
        };
        let (at, count) = calls.split_once('x').unwrap_or((calls, "1"));
        let (at, count) = (at.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
        Ok(Self { kind, at, count, wait_s })
    }
}

impl TryFrom<String> for Inject429 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Inject429> for String {
    fn from(inject: Inject429) -> Self {
        inject.to_string()
    }
}

impl Inject429 {
    /// Whether the call with this number is refused.
    pub const fn hits(&self, call: u64) -> bool {
        call >= self.at && call - self.at < self.count
    }
}

/// Another app of the account. Written `40` (light calls a second), `40:medium`, `40:light:5000/10000` (on for
/// 5,000 ms, off for 10,000 ms, and so on).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OtherApp {
    /// Its calls a second, evenly spaced.
    pub per_second: u32,
    /// Their label.
    pub label: Label,
    /// How long it calls, in milliseconds.
    pub on_ms: u64,
    /// How long it then rests, in milliseconds; 0: never.
    pub off_ms: u64,
}

impl fmt::Display for OtherApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.per_second, self.label)?;
        if self.off_ms > 0 { write!(f, ":{}/{}", self.on_ms, self.off_ms) } else { Ok(()) }
    }
}

impl FromStr for OtherApp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no other app; write 40, 40:light or 40:light:5000/10000");
        let mut parts = text.split(':');
        let per_second = parts.next().and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        let label = parts.next().map_or(Ok(Label::Light), str::parse)?;
        let (on_ms, off_ms) = match parts.next() {
            None => (0, 0),
            Some(periods) => {
                let (on, off) = periods.split_once('/').ok_or_else(wrong)?;
                (on.parse().map_err(|_| wrong())?, off.parse().map_err(|_| wrong())?)
            }
        };
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { per_second, label, on_ms, off_ms })
    }
}

impl TryFrom<String> for OtherApp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<OtherApp> for String {
    fn from(app: OtherApp) -> Self {
        app.to_string()
    }
}

impl OtherApp {
    /// When its calls after `after` and up to `now` arrive, counted from `start`; at most a day's worth.
    pub fn arrivals(self, start: Moment, after: Moment, now: Moment) -> impl Iterator<Item = Moment> {
        let spacing = 1_000_000u64.checked_div(u64::from(self.per_second)).unwrap_or(0).max(1);
        let from = after.max(now.minus(Duration::from_secs(86_400)));
        let first = from.since(start).as_micros() as u64 / spacing + 1;
        let last = now.since(start).as_micros() as u64 / spacing;
        let (calls, cycle_ms) = (self.per_second > 0, self.on_ms + self.off_ms);
        (first..=last).filter(move |_| calls).filter_map(move |n| {
            let since_start = n * spacing;
            let resting = self.off_ms > 0 && since_start / 1_000 % cycle_ms >= self.on_ms;
            (!resting).then(|| start.plus(Duration::from_micros(since_start)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_forms_are_read_back_as_they_were() {
        for text in ["second@100x3", "day@1x1:30", "user_day@5x2", "concurrent@7x1"] {
            assert_eq!(text.parse::<Inject429>().unwrap().to_string(), text);
        }
        for text in ["40:light", "7:medium:5000/10000"] {
            assert_eq!(text.parse::<OtherApp>().unwrap().to_string(), text);
        }
        assert_eq!("40".parse::<OtherApp>().unwrap().to_string(), "40:light");
        for text in ["second", "second@", "minute@1", "second@1x", "second@1x1:soon"] {
            assert!(text.parse::<Inject429>().is_err(), "{text}");
        }
        for text in ["", "many", "4:tiny", "4:light:5", "4:light:5/5:6"] {
            assert!(text.parse::<OtherApp>().is_err(), "{text}");
        }
    }

    #[test]
    fn exactly_the_planted_calls_are_hit() {
        let inject: Inject429 = "second@3x2".parse().unwrap();
        assert_eq!((1..=6).filter(|&n| inject.hits(n)).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn the_other_app_calls_evenly_and_rests_when_told() {
        let start = Moment::from_micros(1_000_000_000_000);
        let second = |n| start.plus(Duration::from_secs(n));
        let app: OtherApp = "10:light:1000/2000".parse().unwrap();
        assert_eq!(app.arrivals(start, start, second(3)).count(), 10);
        let whole: Vec<Moment> = app.arrivals(start, start, second(9)).collect();
        let mut pieces = Vec::new();
        for n in 0..90 {
            let piece = |n: u64| start.plus(Duration::from_millis(n * 100));
            pieces.extend(app.arrivals(start, piece(n), piece(n + 1)));
        }
        assert_eq!(whole, pieces, "however often one looks");
    }
}

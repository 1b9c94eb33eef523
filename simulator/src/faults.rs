//! What goes wrong between a vendor and its callers, apart from the vendor's own rules: delays, server errors,
//! lost replies, hangs, outages.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::seeded::Seeded;

/// A range of milliseconds, written `20` or `20..80`, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MsRange {
    /// The shortest, in milliseconds.
    pub min: u64,
    /// The longest, in milliseconds.
    pub max: u64,
}

impl MsRange {
    /// From `min` to `max` milliseconds.
    pub const fn new(min: u64, max: u64) -> Self {
        Self { min, max }
    }

    fn draw(self, rng: &mut Seeded) -> Duration {
        Duration::from_millis(rng.within(RangeInclusive::new(self.min, self.max)))
    }
}

impl fmt::Display for MsRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{}..{}", self.min, self.max) }
    }
}

impl FromStr for MsRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let ms = |part: &str| {
            part.trim()
                .parse()
                .map_err(|_| format!("`{text}` is no range of milliseconds; write 20 or 20..80"))
        };
        let range = Self { min: ms(min)?, max: ms(max)? };
        if range.max < range.min {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(range)
    }
}

impl TryFrom<String> for MsRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MsRange> for String {
    fn from(range: MsRange) -> Self {
        range.to_string()
    }
}

/// What callers meet during an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageMode {
    /// 503 with a body that is not JSON.
    Unavailable,
    /// The connection is closed without a reply.
    Close,
}

/// A time without service, written `1000..4000:503` or `1000..4000:close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Outage {
    /// Its first and last millisecond, counted from the simulator's start.
    pub during: MsRange,
    /// What callers meet.
    pub mode: OutageMode,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            OutageMode::Unavailable => "503",
            OutageMode::Close => "close",
        };
        write!(f, "{}..{}:{mode}", self.during.min, self.during.max)
    }
}

impl FromStr for Outage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (during, mode) = text.split_once(':').unwrap_or((text, "503"));
        let mode = match mode {
            "503" => OutageMode::Unavailable,
            "close" => OutageMode::Close,
            other => return Err(format!("`{other}` is no kind of outage; use 503 or close")),
        };
        Ok(Self { during: during.parse()?, mode })
    }
}

impl TryFrom<String> for Outage {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Outage> for String {
    fn from(outage: Outage) -> Self {
        outage.to_string()
    }
}

/// The faults that are planted. All off by default. Shares are parts of all calls, from 0.0 to 1.0, and are
/// drawn for each call by the seed, the method, the path and how often that path was called before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Time on the way to the vendor, before a call is counted: the jitter of arrivals.
    pub delay_ms: MsRange,
    /// Time the vendor takes, after a call is counted. A caller that hangs up does not stop the change.
    pub latency_ms: MsRange,
    /// Share of calls answered 500, 502, 503 or 504 without being carried out.
    pub errors: f64,
    /// Share of calls carried out and yet answered 500, 502, 503 or 504.
    pub errors_applied: f64,
    /// Share of calls carried out whose connection is then closed without a reply.
    pub lost: f64,
    /// Share of calls that are never answered and not carried out.
    pub hangs: f64,
    /// Share of calls that are carried out and never answered.
    pub hangs_applied: f64,
    /// Share of calls answered 200 with something that is no JSON, and not carried out.
    pub rubbish: f64,
    /// Users, by e-mail address or id as calls name them, whose changes are never answered and not carried out.
    pub silent_about: Vec<String>,
    /// Times without service; nothing is counted or carried out in them.
    pub outages: Vec<Outage>,
    /// Whether calls for tokens meet the delays and shares above too. Outages they meet always.
    pub on_tokens: bool,
}

/// What becomes of one call that the vendor's own rules have let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out and answered.
    Served,
    /// It is answered with this server error.
    Error {
        /// 500, 502, 503 or 504.
        status: u16,
        /// Whether it was carried out all the same.
        applied: bool,
    },
    /// It is carried out and the connection closed.
    Lost,
    /// It is never answered.
    Hung {
        /// Whether it was carried out all the same.
        applied: bool,
    },
    /// It is answered 200 with something that is no JSON.
    Rubbish,
}

/// What one call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Time before it is counted.
    pub delay: Duration,
    /// Time after it is counted.
    pub latency: Duration,
    /// What becomes of it.
    pub fate: Fate,
}

impl Faults {
    /// Refuses shares that are no shares. The message names the field.
    pub fn check(&self) -> Result<(), String> {
        let shares = [
            ("errors", self.errors),
            ("errors_applied", self.errors_applied),
            ("lost", self.lost),
            ("hangs", self.hangs),
            ("hangs_applied", self.hangs_applied),
            ("rubbish", self.rubbish),
        ];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} = {share}: a share lies between 0 and 1"));
            }
        }
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        if sum > 1.0 + 1e-9 {
            return Err(format!(
                "the shares of errors, lost, hangs and rubbish add up to {sum}, more than 1"
            ));
        }
        Ok(())
    }

    /// The outage that `since_start` falls into.
    pub fn outage(&self, since_start: Duration) -> Option<OutageMode> {
        let ms = since_start.as_millis();
        self.outages
            .iter()
            .find(|o| ms >= u128::from(o.during.min) && ms <= u128::from(o.during.max))
            .map(|o| o.mode)
    }

    /// What the `nth` call of `what` meets; equal for equal arguments.
    pub fn draw(&self, seed: u64, what: u64, nth: u64) -> Draw {
        let mut rng = Seeded::keyed(seed, what, nth);
        let delay = self.delay_ms.draw(&mut rng);
        let latency = self.latency_ms.draw(&mut rng);
        let status = *rng.pick(&[500, 502, 503, 504]);
        let mut left = rng.unit();
        let rows = [
            (self.errors, Fate::Error { status, applied: false }),
            (self.errors_applied, Fate::Error { status, applied: true }),
            (self.lost, Fate::Lost),
            (self.hangs, Fate::Hung { applied: false }),
            (self.hangs_applied, Fate::Hung { applied: true }),
            (self.rubbish, Fate::Rubbish),
        ];
        let mut fate = Fate::Served;
        for (share, row) in rows {
            if left < share {
                fate = row;
                break;
            }
            left -= share;
        }
        Draw { delay, latency, fate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_call_meets_the_same_fate_in_every_run() {
        let faults = Faults {
            errors: 0.2,
            lost: 0.1,
            hangs: 0.1,
            latency_ms: MsRange::new(5, 50),
            ..Faults::default()
        };
        for nth in 0..100 {
            assert_eq!(faults.draw(9, 4711, nth), faults.draw(9, 4711, nth));
        }
        let fates: Vec<Draw> = (0..100).map(|nth| faults.draw(9, 4711, nth)).collect();
        assert_ne!(fates, (0..100).map(|nth| faults.draw(10, 4711, nth)).collect::<Vec<_>>());
    }

    #[test]
    fn every_fate_comes_as_often_as_its_share_says() {
        let faults = Faults {
            errors: 0.10,
            errors_applied: 0.05,
            lost: 0.05,
            hangs: 0.02,
            hangs_applied: 0.03,
            rubbish: 0.05,
            ..Faults::default()
        };
        let (seed, calls) = (3, 20_000);
        let fates: Vec<Fate> = (0..calls).map(|nth| faults.draw(seed, 1, nth).fate).collect();
        let share =
            |wanted: fn(&Fate) -> bool| fates.iter().filter(|f| wanted(f)).count() as f64 / calls as f64;
        let near = |is: f64, should: f64| (is - should).abs() < 0.01;
        assert!(near(share(|f| matches!(f, Fate::Error { applied: false, .. })), 0.10));
        assert!(near(share(|f| matches!(f, Fate::Error { applied: true, .. })), 0.05));
        assert!(near(share(|f| *f == Fate::Lost), 0.05));
        assert!(near(share(|f| *f == Fate::Hung { applied: false }), 0.02));
        assert!(near(share(|f| *f == Fate::Hung { applied: true }), 0.03));
        assert!(near(share(|f| *f == Fate::Rubbish), 0.05));
        assert!(near(share(|f| *f == Fate::Served), 0.70));
    }

    #[test]
    fn outages_begin_and_end_when_they_say() {
        let faults = Faults {
            outages: vec!["1000..2000:close".parse().unwrap(), "5000..6000".parse().unwrap()],
            ..Faults::default()
        };
        let at = |ms| faults.outage(Duration::from_millis(ms));
        assert_eq!(at(999), None);
        assert_eq!(at(1000), Some(OutageMode::Close));
        assert_eq!(at(2001), None);
        assert_eq!(at(5500), Some(OutageMode::Unavailable));
    }

    #[test]
    fn shares_that_are_none_are_refused_by_name() {
        assert!(Faults { lost: 1.5, ..Faults::default() }.check().unwrap_err().contains("lost"));
        assert!(Faults { lost: 0.6, hangs: 0.6, ..Faults::default() }.check().unwrap_err().contains("1.2"));
        assert!(Faults { lost: 0.5, hangs: 0.5, ..Faults::default() }.check().is_ok());
    }

    #[test]
    fn written_forms_are_read_back_as_they_were() {
        for text in ["20", "20..80"] {
            assert_eq!(text.parse::<MsRange>().unwrap().to_string(), text);
        }
        for text in ["0..30000:503", "1..2:close"] {
            assert_eq!(text.parse::<Outage>().unwrap().to_string(), text);
        }
        assert!("80..20".parse::<MsRange>().is_err());
        assert!("fast".parse::<MsRange>().is_err());
        assert!("0..1:gone".parse::<Outage>().is_err());
    }
}

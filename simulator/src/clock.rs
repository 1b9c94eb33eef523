//! The simulator's own time: every rule reads it from here, so that tests can run years in a moment and a
//! server can be started a few seconds before 00:00 UTC.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

const MICROS_PER_DAY: u64 = 86_400_000_000;

/// A point in time, in whole microseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The moment that lies `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment of a calendar time; times before 1970 become the epoch.
    pub fn from_timestamp(at: Timestamp) -> Self {
        Self(u64::try_from(at.as_microsecond()).unwrap_or(0))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This moment as a calendar time; `Timestamp::MAX` where that lies beyond the calendar.
    pub fn to_timestamp(self) -> Timestamp {
        i64::try_from(self.0)
            .ok()
            .and_then(|us| Timestamp::from_microsecond(us).ok())
            .unwrap_or(Timestamp::MAX)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The moment `by` later.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The moment `by` earlier, not before the epoch.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The number of the UTC day that this lies in, counted from the epoch.
    pub const fn utc_day(self) -> u64 {
        self.0 / MICROS_PER_DAY
    }

    /// The next 00:00 UTC, strictly after this moment.
    pub const fn next_utc_midnight(self) -> Self {
        Self((self.utc_day() + 1) * MICROS_PER_DAY)
    }

    /// The first whole second that is not before this moment.
    pub const fn ceil_second(self) -> Self {
        Self(self.0.div_ceil(1_000_000) * 1_000_000)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_timestamp())
    }
}

/// Where the simulator reads the time. Clones share one time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Running { start: Moment, began: Instant },
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that shows `start` now and goes on at the pace of real time; it never jumps with the wall clock.
    pub fn running_from(start: Moment) -> Self {
        Self(Source::Running { start, began: Instant::now() })
    }

    /// A clock that shows real time now.
    pub fn system() -> Self {
        Self::running_from(Moment::from_timestamp(Timestamp::now()))
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Moment) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(start.as_micros()))))
    }

    /// The time now.
    pub fn now(&self) -> Moment {
        match &self.0 {
            Source::Running { start, began } => start.plus(began.elapsed()),
            Source::Manual(micros) => Moment(micros.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock forward; a running clock is left as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(micros) = &self.0 {
            micros.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        Moment::from_timestamp(text.parse().unwrap())
    }

    #[test]
    fn midnight_is_strictly_later() {
        assert_eq!(at("2026-03-01T23:59:59.999999Z").next_utc_midnight(), at("2026-03-02T00:00:00Z"));
        assert_eq!(at("2026-03-02T00:00:00Z").next_utc_midnight(), at("2026-03-03T00:00:00Z"));
    }

    #[test]
    fn a_whole_second_is_its_own_ceiling() {
        assert_eq!(at("2026-03-01T10:00:00Z").ceil_second(), at("2026-03-01T10:00:00Z"));
        assert_eq!(at("2026-03-01T10:00:00.000001Z").ceil_second(), at("2026-03-01T10:00:01Z"));
    }

    #[test]
    fn clones_of_a_manual_clock_share_its_time() {
        let clock = Clock::manual(at("2026-03-01T10:00:00Z"));
        let other = clock.clone();
        clock.advance(Duration::from_millis(1500));
        assert_eq!(other.now(), at("2026-03-01T10:00:01.5Z"));
    }
}

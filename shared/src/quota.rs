//! A vendor's quota of calls a day, counted in the store so that a restart forgets nothing.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Over what time a vendor counts a day's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaWindow {
    /// From 00:00 to 24:00 UTC (Zoom).
    UtcDay,
    /// The last 24 hours, counted by the hour (Salesforce).
    Rolling24h,
}

/// How many calls a vendor allows in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DayQuota {
    /// Calls.
    pub calls: u64,
    /// Over what time they are counted.
    pub window: QuotaWindow,
}

/// What has been drawn from a day's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// Calls granted now: fewer than were asked for where the cap is near, 0 where it is reached.
    pub granted: u64,
    /// Calls drawn in the window, those of now included.
    pub used: u64,
    /// The store's time of the draw: what a return names.
    pub at: Timestamp,
    /// When calls come free again: the next 00:00 UTC; of a rolling window, when its oldest counted hour leaves it (24
    /// hours after that hour's end).
    pub frees_at: Timestamp,
}

/// The least of a day's calls that are left for urgent work alone.
const LEAST_KEPT: u64 = 20;
/// One call in so many is left for urgent work: 2%.
const ONE_KEPT_IN: u64 = 50;

impl DayQuota {
    /// The last calls of the day, which are for urgent work alone: 2% rounded up, at least 20, never more than there are.
    /// A dismissal at 23:00 must not wait for midnight because a bulk run was there first.
    #[must_use]
    pub fn kept_for_urgent(self) -> u64 {
        self.calls.div_ceil(ONE_KEPT_IN).max(LEAST_KEPT).min(self.calls)
    }
}

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

impl QuotaWindow {
    /// The hour that a draw at `at` is counted under.
    #[must_use]
    pub fn bucket(at: Timestamp) -> Timestamp {
        Timestamp::from_millis(at.as_millis().div_euclid(HOUR) * HOUR)
    }

    /// The first hour that counts at `now`.
    #[must_use]
    pub fn begins(self, now: Timestamp) -> Timestamp {
        match self {
            Self::UtcDay => Timestamp::from_millis(now.as_millis().div_euclid(DAY) * DAY),
            // 24 whole hours back from the end of this one, so that no call is forgotten before its 24 hours are over.
            Self::Rolling24h => Timestamp::from_millis(Self::bucket(now).as_millis() - DAY),
        }
    }

    /// When calls come free again. `oldest` is the oldest hour in the window that calls are counted under.
    #[must_use]
    pub fn frees_at(self, now: Timestamp, oldest: Option<Timestamp>) -> Timestamp {
        match self {
            Self::UtcDay => Timestamp::from_millis((now.as_millis().div_euclid(DAY) + 1) * DAY),
            Self::Rolling24h => {
                let oldest = oldest.unwrap_or_else(|| Self::bucket(now));
                Timestamp::from_millis(oldest.as_millis() + DAY + HOUR)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn the_last_fiftieth_of_a_day_and_at_least_twenty_calls_are_kept_for_urgent_work() {
        for (calls, kept) in [(0, 0), (7, 7), (20, 20), (1_000, 20), (1_001, 21), (2_000, 40), (6_000, 120)] {
            let quota = DayQuota { calls, window: QuotaWindow::UtcDay };
            assert_eq!(quota.kept_for_urgent(), kept, "{calls}");
        }
    }

    #[test]
    fn a_utc_day_begins_and_ends_at_midnight() {
        let window = QuotaWindow::UtcDay;
        for (now, begins, frees) in [
            ("2026-11-21T00:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            ("2026-11-21T23:59:59.999Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            ("2026-12-31T12:00:00Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!((window.begins(at(now)), window.frees_at(at(now), None)), (at(begins), at(frees)));
        }
    }

    #[test]
    fn a_rolling_window_never_forgets_a_call_before_its_24_hours_are_over() {
        let window = QuotaWindow::Rolling24h;
        let drawn = at("2026-11-21T09:59:59Z");
        let bucket = QuotaWindow::bucket(drawn);
        assert!(bucket >= window.begins(at("2026-11-22T09:59:59Z")));
        assert!(bucket >= window.begins(at("2026-11-22T09:59:59.999Z")));
        let frees = window.frees_at(drawn, Some(bucket));
        assert_eq!(frees, at("2026-11-22T10:00:00Z"));
        assert!(bucket < window.begins(frees));
    }
}

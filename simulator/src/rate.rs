//! Rate windows and day quotas, counted the way a vendor may count them.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// How a vendor cuts time into the windows that it counts calls in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// The calls of the last period before each call: the strictest reading of "N per second".
    #[default]
    Sliding,
    /// The calls since the last whole period of the clock; two bursts may meet at its edge.
    Fixed,
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WindowKind::Sliding => "sliding",
            WindowKind::Fixed => "fixed",
        })
    }
}

impl FromStr for WindowKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sliding" => Ok(WindowKind::Sliding),
            "fixed" => Ok(WindowKind::Fixed),
            other => Err(format!("`{other}` is no window; use sliding or fixed")),
        }
    }
}

/// At most so many calls in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Calls allowed in one period.
    pub calls: u32,
    /// The period's length in milliseconds.
    pub per_ms: u64,
}

impl Rate {
    /// `calls` a second.
    pub const fn per_second(calls: u32) -> Self {
        Self { calls, per_ms: 1_000 }
    }

    /// `calls` a minute.
    pub const fn per_minute(calls: u32) -> Self {
        Self { calls, per_ms: 60_000 }
    }

    /// The period.
    pub const fn period(self) -> Duration {
        Duration::from_millis(self.per_ms)
    }
}

/// What one count of calls allows, and until when it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The call fits; so many more would fit now.
    Fits {
        /// Calls that would still fit at this moment.
        left: u32,
    },
    /// The call doesn't fit before this moment.
    FullUntil(Moment),
}

/// The calls of one window.
#[derive(Clone, Debug)]
pub struct RateWindow {
    kind: WindowKind,
    rate: Rate,
    counts_refused: bool,
    recent: VecDeque<Moment>,
    slot: u64,
    in_slot: u32,
}

impl RateWindow {
    /// An empty window. With `counts_refused` a refused call uses a sliding window up like
    /// any other; a fixed window that is full stays full either way.
    pub fn new(kind: WindowKind, rate: Rate, counts_refused: bool) -> Self {
        Self { kind, rate, counts_refused, recent: VecDeque::new(), slot: 0, in_slot: 0 }
    }

    /// The rate that it allows.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts one call that arrives `now`; calls must be given in the order of their time.
    pub fn take(&mut self, now: Moment) -> Count {
        match self.kind {
            WindowKind::Sliding => self.take_sliding(now),
            WindowKind::Fixed => self.take_fixed(now),
        }
    }

    fn take_sliding(&mut self, now: Moment) -> Count {
        let period = self.rate.period();
        while self.recent.front().is_some_and(|&at| at.plus(period) <= now) {
            self.recent.pop_front();
        }
        let used = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if used < self.rate.calls {
            self.recent.push_back(now);
            return Count::Fits { left: self.rate.calls - used - 1 };
        }
        if self.counts_refused {
            self.recent.push_back(now);
        }
        // The call fits again once all but `calls - 1` of the counted ones have left the window.
        let leaving = self.recent.len().saturating_sub(self.rate.calls.max(1) as usize);
        let last_to_leave = self.recent.get(leaving).copied().unwrap_or(now);
        Count::FullUntil(last_to_leave.plus(period))
    }

    fn take_fixed(&mut self, now: Moment) -> Count {
        let period = self.rate.per_ms.max(1) * 1_000;
        let slot = now.as_micros() / period;
        if slot != self.slot {
            self.slot = slot;
            self.in_slot = 0;
        }
        if self.in_slot < self.rate.calls {
            self.in_slot += 1;
            return Count::Fits { left: self.rate.calls - self.in_slot };
        }
        Count::FullUntil(Moment::from_micros((slot + 1) * period))
    }
}

/// A count that begins anew at 00:00 UTC.
#[derive(Clone, Debug)]
pub struct DayQuota {
    per_day: u64,
    day: u64,
    used: u64,
}

impl DayQuota {
    /// An unused quota of `per_day` calls.
    pub fn new(per_day: u64) -> Self {
        Self { per_day, day: 0, used: 0 }
    }

    /// How many calls the day of `now` has left.
    pub fn left(&self, now: Moment) -> u64 {
        if now.utc_day() == self.day { self.per_day.saturating_sub(self.used) } else { self.per_day }
    }

    /// Uses one call up, whether or not any are left.
    pub fn spend(&mut self, now: Moment) {
        if now.utc_day() != self.day {
            self.day = now.utc_day();
            self.used = 0;
        }
        self.used += 1;
    }

    /// The day's size in calls.
    pub const fn per_day(&self) -> u64 {
        self.per_day
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_micros(1_000_000_000_000 + ms * 1_000)
    }

    fn fits(count: Count) -> bool {
        matches!(count, Count::Fits { .. })
    }

    #[test]
    fn sliding_window_refuses_what_would_be_one_too_many_in_any_period() {
        let mut window = RateWindow::new(WindowKind::Sliding, Rate::per_second(2), false);
        assert_eq!(window.take(ms(0)), Count::Fits { left: 1 });
        assert_eq!(window.take(ms(900)), Count::Fits { left: 0 });
        assert_eq!(window.take(ms(999)), Count::FullUntil(ms(1000)));
        assert!(fits(window.take(ms(1000))), "the first call is a period old");
        assert_eq!(window.take(ms(1001)), Count::FullUntil(ms(1900)));
    }

    #[test]
    fn fixed_window_lets_two_bursts_meet_at_its_edge() {
        let mut window = RateWindow::new(WindowKind::Fixed, Rate::per_second(2), false);
        assert!(fits(window.take(ms(998))) && fits(window.take(ms(999))));
        assert_eq!(window.take(ms(999)), Count::FullUntil(ms(1000)));
        assert!(fits(window.take(ms(1000))) && fits(window.take(ms(1001))));
        assert_eq!(window.take(ms(1002)), Count::FullUntil(ms(2000)));
    }

    #[test]
    fn refused_calls_use_the_window_up_only_when_told_so() {
        for counts_refused in [false, true] {
            let mut window = RateWindow::new(WindowKind::Sliding, Rate::per_second(1), counts_refused);
            assert!(fits(window.take(ms(0))));
            assert!(!fits(window.take(ms(500))));
            assert_eq!(fits(window.take(ms(1000))), !counts_refused);
        }
    }

    #[test]
    fn a_refusal_names_the_moment_from_which_a_call_fits() {
        for kind in [WindowKind::Sliding, WindowKind::Fixed] {
            let mut window = RateWindow::new(kind, Rate::per_minute(3), false);
            for n in 0..3 {
                assert!(fits(window.take(ms(n * 100))));
            }
            let Count::FullUntil(until) = window.take(ms(400)) else { panic!("must be full") };
            let mut before = window.clone();
            assert!(!fits(before.take(until.minus(Duration::from_micros(1)))));
            assert!(fits(window.take(until)));
        }
    }

    #[test]
    fn a_day_quota_begins_anew_at_midnight_utc() {
        let mut quota = DayQuota::new(2);
        let late = Moment::from_timestamp("2026-03-01T23:59:59Z".parse().unwrap());
        quota.spend(late);
        quota.spend(late);
        assert_eq!(quota.left(late), 0);
        assert_eq!(quota.left(late.next_utc_midnight()), 2);
    }
}

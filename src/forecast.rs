//! How long a run will take at its account's limits, and over how many days: pure arithmetic.

use std::time::Duration;

use usher_shared::{DayUse, Priority, Timestamp};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Calls to be made, and what limits them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Calls.
    pub calls: u64,
    /// The time between two of them; zero where nothing limits the calls of a second.
    pub spacing: Duration,
    /// The day's calls, where they are limited.
    pub day: Option<Day>,
}

/// What a day's quota leaves for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Calls of one day that are open to the run.
    pub open: u64,
    /// Of them, those that are gone today.
    pub used: u64,
    /// When the next day begins.
    pub frees_at: Timestamp,
}

/// When it will be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Time in which calls are made.
    pub working: Duration,
    /// When the last one is made, should nothing come between.
    pub ends_at: Timestamp,
    /// Days on which it works, today counted: 1 where it is done today.
    pub days: u64,
}

impl Day {
    /// What the day leaves for a run of this priority: the last calls are for urgent work alone.
    pub fn of(day: &DayUse, priority: Priority) -> Self {
        let kept = if priority == Priority::Urgent { 0 } else { day.urgent_only };
        Self { open: day.calls.saturating_sub(kept), used: day.drawn.used, frees_at: day.drawn.frees_at }
    }

    /// Calls that are left today.
    pub fn left(&self) -> u64 {
        self.open.saturating_sub(self.used)
    }
}

impl Load {
    /// When it will be done, beginning now; `None` where that is never. A rolling day is taken to come free all at once,
    /// which is late rather than early.
    pub fn forecast(&self, now: Timestamp) -> Option<Forecast> {
        let Some(day) = self.day else {
            let working = self.time(self.calls);
            return Some(Forecast { working, ends_at: now.after(working), days: 1 });
        };
        let today = self.calls.min(day.left()).min(self.within(day.frees_at.since(now)));
        let left = self.calls - today;
        if left == 0 {
            let working = self.time(today);
            return Some(Forecast { working, ends_at: now.after(working), days: 1 });
        }
        let a_day = day.open.min(self.within(DAY));
        // A quota that leaves nothing for such work: no day is long enough.
        let full = (left - 1).checked_div(a_day)?;
        let last = left - full * a_day;
        let begins = day.frees_at.after(times(DAY, full));
        Some(Forecast {
            working: self.time(self.calls),
            ends_at: begins.after(self.time(last)),
            days: 2 + full,
        })
    }

    fn time(&self, calls: u64) -> Duration {
        times(self.spacing, calls)
    }

    /// Calls that fit into this time.
    fn within(&self, time: Duration) -> u64 {
        let fit = time.as_nanos().checked_div(self.spacing.as_nanos()).unwrap_or(u128::MAX);
        u64::try_from(fit).unwrap_or(u64::MAX)
    }
}

fn times(one: Duration, number: u64) -> Duration {
    // Ten thousand years are as good as never; past them the arithmetic would overflow.
    let nanos = one.as_nanos().saturating_mul(number.into()).min(DAY.as_nanos() * 3_650_000);
    Duration::from_secs(u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX))
        + Duration::from_nanos(u64::try_from(nanos % 1_000_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use usher_shared::Drawn;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn free(used: u64, now: &str) -> DayUse {
        let at = at(now);
        let frees_at = usher_shared::QuotaWindow::UtcDay.frees_at(at, None);
        DayUse { calls: 6_000, urgent_only: 120, drawn: Drawn { granted: 0, used, at, frees_at } }
    }

    #[test]
    fn days_and_end_follow_from_users_rate_quota_use_and_the_time_of_day() {
        let noon = "2026-11-21T12:00:00Z";
        let late = "2026-11-21T23:59:00Z";
        // (calls, ms between calls, used today, priority, now) -> (days, end)
        let cases = [
            ((2_000, 250, 0, Priority::Bulk, noon), (1, "2026-11-21T12:08:20Z")),
            ((5_880, 250, 0, Priority::Bulk, noon), (1, "2026-11-21T12:24:30Z")),
            ((5_881, 250, 0, Priority::Bulk, noon), (2, "2026-11-22T00:00:00.250Z")),
            // The calls that are kept for urgent work are open to urgent work.
            ((5_881, 250, 0, Priority::Urgent, noon), (1, "2026-11-21T12:24:30.250Z")),
            ((6_001, 250, 0, Priority::Urgent, noon), (2, "2026-11-22T00:00:00.250Z")),
            ((10_000, 250, 1_200, Priority::Normal, noon), (2, "2026-11-22T00:22:10Z")),
            ((10_561, 250, 1_200, Priority::Normal, noon), (3, "2026-11-23T00:00:00.250Z")),
            ((20_000, 250, 5_900, Priority::Bulk, noon), (5, "2026-11-25T00:09:50Z")),
            // Nothing is left today: today is the first day all the same.
            ((1, 250, 6_000, Priority::Bulk, noon), (2, "2026-11-22T00:00:00.250Z")),
            // The day ends before its calls are used up.
            ((1_000, 250, 0, Priority::Bulk, late), (2, "2026-11-22T00:03:10Z")),
            // So slow that the rate and not the quota decides what a day holds: 86 calls.
            ((100, 1_000_000, 0, Priority::Bulk, late), (3, "2026-11-23T03:53:20Z")),
            ((0, 250, 0, Priority::Bulk, noon), (1, noon)),
        ];
        for (given, (days, ends_at)) in cases {
            let (calls, spacing, used, priority, now) = given;
            let day = Some(Day::of(&free(used, now), priority));
            let load = Load { calls, spacing: Duration::from_millis(spacing), day };
            let found = load.forecast(at(now)).unwrap();
            assert_eq!((found.days, found.ends_at), (days, at(ends_at)), "{given:?}");
            assert_eq!(found.working, Duration::from_millis(spacing * calls));
        }
    }

    #[test]
    fn without_a_quota_only_the_rate_counts_and_without_a_rate_only_the_quota() {
        let now = at("2026-11-21T12:00:00Z");
        let load = Load { calls: 10_000, spacing: Duration::from_millis(250), day: None };
        assert_eq!(load.forecast(now).unwrap().working, Duration::from_secs(2_500));
        let day = Some(Day { open: 100, used: 0, frees_at: now.after(Duration::from_secs(60)) });
        let load = Load { calls: 350, spacing: Duration::ZERO, day };
        assert_eq!(load.forecast(now).unwrap().days, 4);
    }

    #[test]
    fn a_quota_that_leaves_nothing_for_such_work_is_never_done() {
        let now = at("2026-11-21T12:00:00Z");
        let day = Some(Day { open: 0, used: 0, frees_at: now });
        assert_eq!(Load { calls: 1, spacing: Duration::ZERO, day }.forecast(now), None);
        let forever = Load { calls: u64::MAX, spacing: Duration::from_secs(1), day: None };
        assert!(forever.forecast(now).is_some());
    }
}

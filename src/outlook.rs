//! How long a run will take, told before anybody says yes to it.

use std::time::Duration;

use jiff::tz::TimeZone;
use usher_shared::{
    AccountName, DayUse, Priority, RunStatus, Timestamp,
    config::Config,
    store::SharedStore,
    view::{Activity, Lane},
};
use usher_worker::limiter::spacing;

use crate::{
    forecast::{Day, Load},
    limits,
    report::{
        moments::{date, ordinal, roughly, time},
        numbers::{count, of},
    },
    wiring,
};

/// What is known of a run that is not yet sealed, and of what limits it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Outlook {
    /// Users to be changed: a call each, as far as one can say before they are looked up.
    users: u64,
    /// Users of other runs that come first.
    before: u64,
    priority: Priority,
    per_second: Option<f64>,
    day: Option<DayUse>,
    /// Whether the store said what is used of the day.
    used_is_known: bool,
    now: Timestamp,
}

/// How long a run of so many users will take, for people; `None` where nothing limits the account, or nothing is known.
/// `alone`: the other runs of the account are left alone, so that none comes first.
pub async fn outlook(
    config: &Config,
    store: &SharedStore,
    account: &AccountName,
    users: u64,
    priority: Priority,
    alone: bool,
) -> Option<String> {
    let now = store.now().await.unwrap_or_else(|_| wiring::clock().now());
    let mut outlook =
        Outlook { users, before: 0, priority, per_second: None, day: None, used_is_known: true, now };
    match limits::of_changes(config, account) {
        Some(rate) => {
            outlook.per_second = Some(rate.per_second);
            let looked = limits::day(store, account, &rate).await;
            outlook.used_is_known = looked.is_ok();
            outlook.day = looked.unwrap_or_else(|error| {
                tracing::debug!(%error, "what is used of the day's quota is not known");
                rate.per_day.map(|quota| unused(quota, now))
            });
        }
        // Whoever only submits may have no account configured; its workers tell what they keep to.
        None => {
            let activity = Activity::of(&store.pulses(account).await.ok()?);
            let Lane { plan, day, .. } = activity.changes()?.clone();
            (outlook.per_second, outlook.day) = (plan, day);
        }
    }
    if !alone {
        let unfinished = store.unfinished(account).await.unwrap_or_default();
        let first = unfinished.iter().filter(|status| comes_before(status, priority));
        outlook.before = first.map(|status| status.counters.total - status.counters.finished).sum();
    }
    outlook.words(&TimeZone::system())
}

fn unused(quota: usher_shared::DayQuota, now: Timestamp) -> DayUse {
    let frees_at = quota.window.frees_at(now, None);
    DayUse {
        calls: quota.calls,
        urgent_only: quota.kept_for_urgent(),
        drawn: usher_shared::Drawn { granted: 0, used: 0, at: now, frees_at },
    }
}

fn comes_before(status: &RunStatus, priority: Priority) -> bool {
    !status.paused && !status.cancelled && status.run.priority.rank() <= priority.rank()
}

impl Outlook {
    fn words(&self, zone: &TimeZone) -> Option<String> {
        let spacing = self.per_second.and_then(spacing);
        let day = self.day.map(|day| Day::of(&day, self.priority));
        if spacing.is_none() && day.is_none() {
            return None;
        }
        let load = |calls| Load { calls, spacing: spacing.unwrap_or_default(), day };
        let Some(all) = load(self.users.saturating_add(self.before)).forecast(self.now) else {
            return Some(format!(
                "The plan allows {} a day, all of them kept for urgent work: this will not be done.",
                of(self.day.map_or(0, |day| day.calls), "call"),
            ));
        };
        let rate = self.per_second.map(|rate| format!("At {rate} calls/s this")).unwrap_or("This".to_owned());
        let before = match self.before {
            0 => String::new(),
            before => format!(", after {} of other runs", of(before, "user")),
        };
        let Some(day) = self.day else {
            return Some(format!("{rate} takes about {}{before}.", roughly(self.takes(spacing))));
        };
        if all.days == 1 {
            let takes = roughly(self.takes(spacing));
            return Some(format!(
                "{rate} takes about {takes}{before}. The plan allows {}.",
                self.quota(&day, " calls")
            ));
        }
        Some(format!(
            "{}{before}, and the plan allows {}: done on {} {}, the {} day.",
            of(self.users, "call"),
            self.quota(&day, ""),
            date(all.ends_at, zone),
            time(all.ends_at, zone),
            ordinal(all.days),
        ))
    }

    fn takes(&self, spacing: Option<Duration>) -> Duration {
        let load = Load {
            calls: self.users.saturating_add(self.before),
            spacing: spacing.unwrap_or_default(),
            day: None,
        };
        load.forecast(self.now).map(|forecast| forecast.working).unwrap_or_default()
    }

    /// `6,000 calls a day (1,200 used today, the last 120 are for urgent work)`
    fn quota(&self, day: &DayUse, calls: &str) -> String {
        let used = if self.used_is_known {
            format!("{} used today", count(day.drawn.used))
        } else {
            "what is used today is not known".to_owned()
        };
        let kept = match self.priority {
            Priority::Urgent => String::new(),
            Priority::Normal | Priority::Bulk => {
                format!(", the last {} are for urgent work", count(day.urgent_only))
            }
        };
        format!("{}{calls} a day ({used}{kept})", count(day.calls))
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::{DayQuota, QuotaWindow};

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn bulk(users: u64, per_second: Option<f64>) -> Outlook {
        let now = at("2026-11-21T12:00:00Z");
        let priority = Priority::Bulk;
        Outlook { users, before: 0, priority, per_second, day: None, used_is_known: true, now }
    }

    fn free(users: u64, used: u64) -> Outlook {
        let outlook = bulk(users, Some(4.0));
        let mut day = unused(DayQuota { calls: 6_000, window: QuotaWindow::UtcDay }, outlook.now);
        day.drawn.used = used;
        Outlook { day: Some(day), ..outlook }
    }

    #[test]
    fn how_long_it_takes_is_said_in_minutes_or_in_days() {
        let kept = "the last 120 are for urgent work";
        let cases = [
            (bulk(10_000, Some(4.0)), "At 4 calls/s this takes about 42 minutes.".to_owned()),
            (bulk(1, Some(80.0)), "At 80 calls/s this takes about 1 s.".to_owned()),
            (
                Outlook { before: 3_000, ..bulk(4_000, Some(80.0)) },
                "At 80 calls/s this takes about 89 s, after 3,000 users of other runs.".to_owned(),
            ),
            (
                free(2_000, 1_200),
                format!(
                    "At 4 calls/s this takes about 8 minutes. The plan allows 6,000 calls a day (1,200 used today, {kept})."
                ),
            ),
            (
                free(10_600, 1_200),
                format!(
                    "10,600 calls, and the plan allows 6,000 a day (1,200 used today, {kept}): done on 2026-11-23 at 00:00 \
                     UTC, the 3rd day."
                ),
            ),
            (
                Outlook { priority: Priority::Urgent, ..free(10_000, 0) },
                "10,000 calls, and the plan allows 6,000 a day (0 used today): done on 2026-11-22 at 00:16 UTC, the 2nd day."
                    .to_owned(),
            ),
            (
                Outlook { used_is_known: false, ..free(10, 0) },
                format!(
                    "At 4 calls/s this takes about 3 s. The plan allows 6,000 calls a day (what is used today is not known, {kept})."
                ),
            ),
        ];
        for (outlook, expected) in cases {
            assert_eq!(outlook.words(&TimeZone::UTC), Some(expected), "{outlook:?}");
        }
        assert_eq!(bulk(10, None).words(&TimeZone::UTC), None, "nothing limits it");
    }

    #[test]
    fn a_quota_that_is_all_kept_for_urgent_work_is_said_to_be_so() {
        let day = unused(DayQuota { calls: 20, window: QuotaWindow::UtcDay }, at("2026-11-21T12:00:00Z"));
        let outlook = Outlook { day: Some(day), ..bulk(3, Some(4.0)) };
        assert!(outlook.words(&TimeZone::UTC).unwrap().contains("will not be done"));
    }
}

//! Counts the calls of an account against its plan, the other app's among them.

use std::collections::HashMap;
use std::time::Duration;

use super::injection::RefusalKind;
use super::plan::Label;
use super::settings::Limits;
use crate::clock::Moment;
use crate::rate::{Count, DayQuota, RateWindow};

/// Why a call comes too fast, and until when one would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    /// The limit that is used up, in calls a period.
    pub(crate) limit: u64,
    pub(crate) until: Moment,
}

/// What is left of a label's rate after a call that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headroom {
    pub(crate) limit: u64,
    pub(crate) left: u32,
}

#[derive(Debug)]
struct SharedQuota {
    labels: &'static [Label],
    quota: DayQuota,
}

/// All limits of one account.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    windows: HashMap<Label, RateWindow>,
    quotas: Vec<SharedQuota>,
    of_user: HashMap<u64, DayQuota>,
    start: Moment,
    other_until: Moment,
    other_calls: u64,
    other_refused: u64,
}

const LIGHT: &[Label] = &[Label::Light];
const MEDIUM: &[Label] = &[Label::Medium];
const HEAVY_AND_MORE: &[Label] = &[Label::Heavy, Label::ResourceIntensive];

impl Limiter {
    pub(crate) fn new(limits: Limits, start: Moment, now: Moment) -> Self {
        let mut windows = HashMap::new();
        for label in Label::ALL {
            let mut rate = limits.plan.rate(label);
            if let Some(calls) = limits.override_of(label) {
                rate = Some(match label {
                    Label::ResourceIntensive => crate::rate::Rate::per_minute(calls),
                    _ => crate::rate::Rate::per_second(calls),
                });
            }
            if let Some(rate) = rate {
                windows.insert(label, RateWindow::new(limits.window, rate, limits.count_refused));
            }
        }
        let mut quotas: Vec<SharedQuota> = Vec::new();
        let own = [
            (LIGHT, limits.light_per_day),
            (MEDIUM, limits.medium_per_day),
            (HEAVY_AND_MORE, limits.heavy_per_day),
        ];
        for (labels, per_day) in own {
            if let Some(per_day) = per_day {
                quotas.push(SharedQuota { labels, quota: DayQuota::new(per_day) });
            }
        }
        for &(labels, per_day) in limits.plan.per_day() {
            if !quotas.iter().any(|own| own.labels.iter().any(|label| labels.contains(label))) {
                quotas.push(SharedQuota { labels, quota: DayQuota::new(per_day) });
            }
        }
        Self {
            limits,
            windows,
            quotas,
            of_user: HashMap::new(),
            start,
            other_until: now,
            other_calls: 0,
            other_refused: 0,
        }
    }

    /// Counts a call of `label` that arrives `now`; calls must be given in the order of their time. `user` is
    /// the key of the user whom it changes.
    pub(crate) fn take(&mut self, now: Moment, label: Label, user: Option<u64>) -> Result<Headroom, Refusal> {
        self.other_app(now);
        let taken = self.take_label(now, label);
        let Some((key, per_day)) = user.zip(self.limits.per_user_per_day) else { return taken };
        let headroom = taken?;
        let quota = self.of_user.entry(key).or_insert_with(|| DayQuota::new(u64::from(per_day)));
        if quota.left(now) == 0 {
            let limit = u64::from(per_day);
            return Err(Refusal { kind: RefusalKind::UserDay, limit, until: now.next_utc_midnight() });
        }
        quota.spend(now);
        Ok(headroom)
    }

    fn take_label(&mut self, now: Moment, label: Label) -> Result<Headroom, Refusal> {
        let mut quotas = self.quotas.iter_mut().filter(|shared| shared.labels.contains(&label));
        if let Some(used_up) = quotas.find(|shared| shared.quota.left(now) == 0) {
            let limit = used_up.quota.per_day();
            return Err(Refusal { kind: RefusalKind::Day, limit, until: now.next_utc_midnight() });
        }
        let taken = match self.windows.get_mut(&label) {
            None => Ok(Headroom { limit: 0, left: u32::MAX }),
            Some(window) => {
                let limit = u64::from(window.rate().calls);
                match window.take(now) {
                    Count::Fits { left } => Ok(Headroom { limit, left }),
                    Count::FullUntil(until) => Err(Refusal { kind: RefusalKind::Second, limit, until }),
                }
            }
        };
        if taken.is_ok() || self.limits.count_refused {
            for shared in self.quotas.iter_mut().filter(|shared| shared.labels.contains(&label)) {
                shared.quota.spend(now);
            }
        }
        taken
    }

    /// Lets the other app make the calls that it would have made since it was last looked at.
    fn other_app(&mut self, now: Moment) {
        let Some(app) = self.limits.other_app else { return };
        let since = self.other_until;
        self.other_until = now;
        for at in app.arrivals(self.start, since, now) {
            match self.take_label(at, app.label) {
                Ok(_) => self.other_calls += 1,
                Err(_) => self.other_refused += 1,
            }
        }
    }

    /// Calls of the other app that fitted.
    pub(crate) const fn other_calls(&self) -> u64 {
        self.other_calls
    }

    /// Calls of the other app that did not.
    pub(crate) const fn other_refused(&self) -> u64 {
        self.other_refused
    }

    /// The refusal that a planted one looks like.
    pub(crate) fn planted(
        &self,
        kind: RefusalKind,
        label: Label,
        now: Moment,
        wait: Option<Duration>,
    ) -> Refusal {
        let rate = self.windows.get(&label).map(RateWindow::rate);
        let quota = self.quotas.iter().find(|shared| shared.labels.contains(&label));
        let (limit, until) = match kind {
            RefusalKind::Second => {
                let period = rate.map_or(Duration::from_secs(1), |rate| rate.period());
                (rate.map_or(0, |rate| u64::from(rate.calls)), now.plus(period))
            }
            RefusalKind::Day => (quota.map_or(0, |shared| shared.quota.per_day()), now.next_utc_midnight()),
            RefusalKind::UserDay => {
                (u64::from(self.limits.per_user_per_day.unwrap_or(100)), now.next_utc_midnight())
            }
            RefusalKind::Concurrent => (1, now.plus(Duration::from_secs(1))),
        };
        Refusal { kind, limit, until: wait.map_or(until, |wait| now.plus(wait)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::*;

    fn start() -> Moment {
        Moment::from_timestamp("2026-03-01T23:59:00Z".parse().unwrap())
    }

    fn limiter(limits: Limits) -> Limiter {
        Limiter::new(limits, start(), start())
    }

    fn kind(taken: Result<Headroom, Refusal>) -> Option<RefusalKind> {
        taken.err().map(|refusal| refusal.kind)
    }

    #[test]
    fn each_plan_lets_its_documented_number_of_calls_into_a_second() {
        let rows = [(Plan::Free, [4, 2, 1]), (Plan::Pro, [30, 20, 10]), (Plan::Business, [80, 60, 40])];
        for (plan, rates) in rows {
            let mut limiter = limiter(Limits { plan, ..Limits::default() });
            for (label, rate) in [Label::Light, Label::Medium, Label::Heavy].into_iter().zip(rates) {
                let fitted = (0..200).filter(|_| limiter.take(start(), label, None).is_ok()).count();
                assert_eq!(fitted, rate, "{plan} {label}");
            }
        }
    }

    #[test]
    fn a_spent_day_refuses_until_midnight_utc_and_not_longer() {
        let mut limiter = limiter(Limits { light_per_day: Some(3), ..Limits::default() });
        for _ in 0..3 {
            assert!(limiter.take(start(), Label::Light, None).is_ok());
        }
        let later = start().plus(Duration::from_secs(30));
        let refusal = limiter.take(later, Label::Light, None).unwrap_err();
        assert_eq!((refusal.kind, refusal.until), (RefusalKind::Day, start().next_utc_midnight()));
        assert!(limiter.take(later, Label::Medium, None).is_ok(), "other labels have their own");
        assert!(limiter.take(refusal.until, Label::Light, None).is_ok());
    }

    #[test]
    fn heavy_and_resource_intensive_calls_share_a_day() {
        let mut limiter = limiter(Limits { heavy_per_day: Some(2), ..Limits::default() });
        assert!(limiter.take(start(), Label::Heavy, None).is_ok());
        assert!(limiter.take(start(), Label::ResourceIntensive, None).is_ok());
        assert_eq!(kind(limiter.take(start(), Label::Heavy, None)), Some(RefusalKind::Day));
    }

    #[test]
    fn refused_calls_eat_the_day_only_when_told_so() {
        for count_refused in [false, true] {
            let limits =
                Limits { light: Some(1), light_per_day: Some(3), count_refused, ..Limits::default() };
            let mut limiter = limiter(limits);
            for _ in 0..3 {
                let _first_fits_two_refused = limiter.take(start(), Label::Light, None);
            }
            let later = start().plus(Duration::from_secs(10));
            let expected = count_refused.then_some(RefusalKind::Day);
            assert_eq!(kind(limiter.take(later, Label::Light, None)), expected);
        }
    }

    #[test]
    fn one_user_has_a_day_of_their_own() {
        let mut limiter = limiter(Limits { per_user_per_day: Some(2), ..Limits::default() });
        for _ in 0..2 {
            assert!(limiter.take(start(), Label::Light, Some(7)).is_ok());
        }
        let refusal = limiter.take(start(), Label::Light, Some(7)).unwrap_err();
        assert_eq!((refusal.kind, refusal.until), (RefusalKind::UserDay, start().next_utc_midnight()));
        assert!(limiter.take(start(), Label::Light, Some(8)).is_ok());
    }

    #[test]
    fn the_other_app_leaves_only_the_rest() {
        let limits = Limits { light: Some(80), other_app: Some("50".parse().unwrap()), ..Limits::default() };
        let mut limiter = limiter(limits);
        let mut fitted = 0;
        for n in 0..1_000u64 {
            let now = start().plus(Duration::from_millis(1_000 + n * 10));
            fitted += u32::from(limiter.take(now, Label::Light, None).is_ok());
        }
        // A sliding window of 80 shared by 50 even calls a second and 100 a second of ours, for ten seconds.
        assert!((280..=560).contains(&fitted), "{fitted}");
        let both = u64::from(fitted) + limiter.other_calls();
        assert!((800..=960).contains(&both), "{both}");
        let made = limiter.other_calls() + limiter.other_refused();
        assert!((540..=550).contains(&made), "50 a second for eleven seconds, fitting or refused: {made}");
    }

    #[test]
    fn unlimited_refuses_nothing() {
        let mut limiter = limiter(Limits { plan: Plan::Unlimited, ..Limits::default() });
        assert!((0..10_000).all(|_| limiter.take(start(), Label::Heavy, None).is_ok()));
    }
}

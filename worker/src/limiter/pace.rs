//! The even pace of one process: `governor`'s GCRA, asked for the moments at which calls may start.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};

/// `governor`, with a period and a burst of one, on a clock that is set to the moment asked about: so it gives out the
/// future instead of saying whether a call may start now.
pub(super) struct Pace {
    period: Duration,
    /// The last start given out, in microseconds.
    last: Option<u64>,
    clock: SetClock,
    governor: Direct,
}

type Direct = RateLimiter<NotKeyed, InMemoryState, SetClock, NoOpMiddleware<Nanos>>;

impl Pace {
    /// A pace with this much time between two starts; `None` for no time at all.
    pub fn new(period: Duration) -> Option<Self> {
        let clock = SetClock::default();
        let quota = Quota::with_period(period)?.allow_burst(NonZeroU32::MIN);
        Some(Self {
            period,
            last: None,
            governor: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
        })
    }

    /// Reserves the next start, where it lies no further than `horizon` after `now`; the start otherwise. Microseconds.
    pub fn next(&mut self, now: u64, horizon: u64) -> Result<u64, u64> {
        self.clock.set(now);
        let start = match self.governor.check() {
            Ok(()) => now,
            Err(not_until) => {
                let start = micros_up(&not_until);
                if start > now.saturating_add(horizon) {
                    return Err(start);
                }
                self.clock.set(start);
                self.governor.check().map_err(|later| micros_up(&later))?;
                start
            }
        };
        self.last = Some(start);
        Ok(start)
    }

    /// Goes on with another period, from the last start given out.
    pub fn change(&mut self, period: Duration) {
        if period == self.period {
            return;
        }
        if let Some(mut changed) = Self::new(period) {
            if let Some(last) = self.last {
                changed.clock.set(last);
                // A fresh one always grants its first: this takes the place that was given out.
                let _ = changed.governor.check();
                changed.last = Some(last);
            }
            *self = changed;
        }
    }

    /// Forgets every reservation.
    pub fn forget(&mut self) {
        if let Some(fresh) = Self::new(self.period) {
            *self = fresh;
        }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("period", &self.period).field("last", &self.last).finish_non_exhaustive()
    }
}

fn micros_up(not_until: &NotUntil<Nanos>) -> u64 {
    not_until.earliest_possible().as_u64().div_ceil(1_000)
}

/// A clock that shows what it is set to, in nanoseconds since the limiter began.
#[derive(Clone, Debug, Default)]
struct SetClock(Arc<AtomicU64>);

impl SetClock {
    fn set(&self, micros: u64) {
        self.0.store(micros.saturating_mul(1_000), Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.load(Ordering::Relaxed).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_period_keeps_the_place() {
        let mut pace = Pace::new(Duration::from_millis(10)).unwrap();
        let at = 1_000_000;
        let starts: Vec<u64> = (0..3).map(|_| pace.next(at, 100_000).unwrap()).collect();
        assert_eq!(starts, [at, at + 10_000, at + 20_000]);
        pace.change(Duration::from_millis(50));
        assert_eq!(pace.next(at, 100_000), Ok(at + 70_000));
        assert_eq!(pace.next(at, 100_000), Err(at + 120_000), "beyond the horizon: nothing is reserved");
        pace.change(Duration::from_millis(5));
        assert_eq!(pace.next(at, 100_000), Ok(at + 75_000));
    }

    #[test]
    fn who_was_away_finds_one_start_now_and_no_more() {
        let mut pace = Pace::new(Duration::from_millis(10)).unwrap();
        pace.next(1_000_000, 0).unwrap();
        assert_eq!(pace.next(9_000_000, 0), Ok(9_000_000));
        assert_eq!(pace.next(9_000_000, 0), Err(9_010_000));
    }
}

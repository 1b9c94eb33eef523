//! The limiter of one process.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use governor::{
    NotUntil, Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::{sync::watch, time::Instant};
use usher_shared::Priority;

use super::{HORIZON, Limiter, LimiterStatus, Permit, pause::Pauses, permit::Heard, spacing};
use crate::{
    decide::RatePause,
    provider::{Label, Rate},
};

/// The limiter of one process: `governor`, with a period and a burst of one, asked for the moments at which calls may
/// start instead of whether one may start now.
#[derive(Debug)]
pub struct EmbeddedLimiter {
    began: Instant,
    rates: HashMap<Label, f64>,
    lanes: Mutex<HashMap<Label, Arc<Lane>>>,
}

/// One label's calls.
#[derive(Debug)]
struct Lane {
    per_second: Option<f64>,
    state: Mutex<LaneState>,
    heard: watch::Sender<Heard>,
    refusals: AtomicU64,
}

#[derive(Debug)]
struct LaneState {
    pace: Option<Pace>,
    pauses: Pauses,
    /// Whether a call has gone through since the last pause.
    accepted: bool,
}

enum Reserved {
    Starts(Vec<u64>, u64),
    /// Ask again at this time.
    From(u64),
}

impl EmbeddedLimiter {
    /// A limiter that keeps these rates; a label without a rate is not limited.
    #[must_use]
    pub fn new(rates: &[Rate]) -> Self {
        Self {
            began: Instant::now(),
            rates: rates.iter().map(|rate| (rate.label, rate.per_second)).collect(),
            lanes: Mutex::default(),
        }
    }

    fn lane(&self, label: Label) -> Arc<Lane> {
        Arc::clone(locked(&self.lanes).entry(label).or_insert_with(|| {
            let per_second = self.rates.get(&label).copied().filter(|rate| spacing(*rate).is_some());
            let state = LaneState {
                pace: per_second.and_then(spacing).and_then(Pace::new),
                pauses: Pauses::default(),
                accepted: false,
            };
            Arc::new(Lane {
                per_second,
                state: Mutex::new(state),
                heard: watch::Sender::new(Heard { epoch: 0, until: self.began }),
                refusals: AtomicU64::new(0),
            })
        }))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn instant(&self, micros: u64) -> Instant {
        // Beyond a day ahead nothing is waited for exactly; it is asked again then.
        self.began + Duration::from_micros(micros.min(self.now().saturating_add(86_400_000_000)))
    }
}

#[async_trait]
impl Limiter for EmbeddedLimiter {
    async fn acquire(&self, label: Label, n: usize, _priority: Priority) -> Vec<Permit> {
        if n == 0 {
            return vec![];
        }
        let lane = self.lane(label);
        let mut heard = lane.heard.subscribe();
        loop {
            let reserved = locked(&lane.state).reserve(self.now(), n);
            match reserved {
                Reserved::Starts(starts, epoch) => {
                    let permit = |start| Permit {
                        label,
                        starts_at: self.instant(start),
                        epoch,
                        heard: lane.heard.subscribe(),
                    };
                    return starts.into_iter().map(permit).collect();
                }
                Reserved::From(time) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(self.instant(time)) => {}
                        // A pause that came meanwhile changes when to ask again.
                        changed = heard.changed() => if changed.is_err() {
                            tokio::time::sleep_until(self.instant(time)).await;
                        },
                    }
                }
            }
        }
    }

    async fn throttled(&self, permit: &Permit, pause: RatePause) {
        let lane = self.lane(permit.label);
        lane.refusals.fetch_add(1, Ordering::Relaxed);
        let now = self.now();
        let heard = {
            let mut state = locked(&lane.state);
            let accepted = state.accepted;
            if !state.pauses.refused(now, permit.epoch, pause, accepted) {
                return;
            }
            state.accepted = false;
            // What was reserved has died with the pause; its places are free again.
            if let Some(pace) = &mut state.pace {
                pace.forget();
            }
            Heard { epoch: state.pauses.epoch, until: self.instant(state.pauses.until) }
        };
        lane.heard.send_replace(heard);
    }

    fn accepted(&self, permit: &Permit) {
        let lane = self.lane(permit.label);
        let mut state = locked(&lane.state);
        if permit.epoch >= state.pauses.epoch {
            state.accepted = true;
        }
    }

    fn status(&self, label: Label) -> LimiterStatus {
        let lane = self.lane(label);
        let left = lane.heard.borrow().until.saturating_duration_since(Instant::now());
        LimiterStatus {
            plan: lane.per_second,
            per_second: lane.per_second,
            paused_for: (!left.is_zero()).then_some(left),
            refusals: lane.refusals.load(Ordering::Relaxed),
            day: None,
        }
    }
}

impl LaneState {
    fn reserve(&mut self, now: u64, n: usize) -> Reserved {
        if self.pauses.until > now {
            return Reserved::From(self.pauses.until);
        }
        let Some(pace) = &mut self.pace else {
            return Reserved::Starts(vec![now; n], self.pauses.epoch);
        };
        let horizon = u64::try_from(HORIZON.as_micros()).unwrap_or(u64::MAX);
        let mut starts = Vec::with_capacity(n.min(64));
        while starts.len() < n {
            match pace.next(now, horizon) {
                Ok(start) => starts.push(start),
                // Half a horizon's worth comes at once then, rather than one permit at a time.
                Err(next) if starts.is_empty() => {
                    return Reserved::From(next.saturating_sub(horizon / 2).max(now + 1));
                }
                Err(_) => break,
            }
        }
        Reserved::Starts(starts, self.pauses.epoch)
    }
}

/// The even pace: `governor`'s GCRA on a clock that is set to the moment asked about, so that it gives out the future.
struct Pace {
    period: Duration,
    clock: SetClock,
    governor: RateLimiter<NotKeyed, InMemoryState, SetClock, NoOpMiddleware<Nanos>>,
}

impl Pace {
    fn new(period: Duration) -> Option<Self> {
        let clock = SetClock::default();
        let quota = Quota::with_period(period)?.allow_burst(NonZeroU32::MIN);
        Some(Self { period, governor: RateLimiter::direct_with_clock(quota, clock.clone()), clock })
    }

    /// Reserves the next start, where it lies no further than `horizon` after `now`; the start otherwise. Microseconds.
    fn next(&mut self, now: u64, horizon: u64) -> Result<u64, u64> {
        self.clock.set(now);
        let Err(not_until) = self.governor.check() else { return Ok(now) };
        let start = micros_up(&not_until);
        if start > now.saturating_add(horizon) {
            return Err(start);
        }
        self.clock.set(start);
        self.governor.check().map(|()| start).map_err(|later| micros_up(&later))
    }

    /// Forgets every reservation.
    fn forget(&mut self) {
        if let Some(fresh) = Self::new(self.period) {
            *self = fresh;
        }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("period", &self.period).finish_non_exhaustive()
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{super::Withdrawn, *};

    const LIGHT: Label = Label("light");

    fn limiter(per_second: f64) -> EmbeddedLimiter {
        EmbeddedLimiter::new(&[Rate { label: LIGHT, per_second, per_day: None }])
    }

    async fn take(limiter: &EmbeddedLimiter, calls: usize, at_once: usize) -> Vec<Instant> {
        let mut starts = vec![];
        while starts.len() < calls {
            for mut permit in limiter.acquire(LIGHT, at_once, Priority::Normal).await {
                permit.start().await.unwrap();
                starts.push(permit.starts_at);
            }
        }
        starts
    }

    #[tokio::test(start_paused = true)]
    async fn calls_start_evenly_and_no_sliding_second_holds_more_than_the_plan() {
        for at_once in [1, 8, 100] {
            let starts = take(&limiter(80.0), 2_400, at_once).await;
            for window in starts.windows(81) {
                assert!(window[80] - window[0] > Duration::from_secs(1), "{at_once}");
            }
            let all = starts[2_399] - starts[0];
            assert!(all < Duration::from_millis(30_600), "{at_once}: {all:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fresh_or_rested_limiter_lets_no_two_calls_out_together() {
        let limiter = limiter(80.0);
        for rest in [0, 10, 3_600] {
            tokio::time::sleep(Duration::from_secs(rest)).await;
            let permits = limiter.acquire(LIGHT, 10, Priority::Normal).await;
            assert_eq!(permits[0].starts_at, Instant::now());
            for pair in permits.windows(2) {
                assert!(pair[1].starts_at - pair[0].starts_at >= spacing(80.0).unwrap(), "{rest}");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_reserved_further_ahead_than_the_horizon() {
        let limiter = limiter(80.0);
        let mut last = Instant::now();
        for _ in 0..50 {
            for permit in limiter.acquire(LIGHT, 1_000, Priority::Normal).await {
                assert!(permit.starts_at <= Instant::now() + HORIZON);
                assert!(permit.starts_at >= last);
                last = permit.starts_at;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_withdraws_what_was_handed_out_and_nothing_starts_before_the_named_time() {
        let limiter = limiter(80.0);
        let mut permits = limiter.acquire(LIGHT, 10, Priority::Normal).await;
        let refused_at = Instant::now();
        limiter.throttled(&permits[0], RatePause::Said(Duration::from_secs(5))).await;
        for permit in &mut permits {
            assert!(!permit.is_live());
            assert_eq!(permit.start().await, Err(Withdrawn));
        }
        assert_eq!(limiter.status(LIGHT).paused_for, Some(Duration::from_secs(5)));
        let next = limiter.acquire(LIGHT, 10, Priority::Normal).await;
        assert_eq!(next[0].starts_at, refused_at + Duration::from_secs(5));
        assert!(next.iter().all(Permit::is_live));
        assert_eq!((limiter.status(LIGHT).paused_for, limiter.status(LIGHT).refusals), (None, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_waits_for_its_start_hears_of_the_refusal() {
        let limiter = Arc::new(limiter(1.0));
        let first = limiter.acquire(LIGHT, 1, Priority::Normal).await.remove(0);
        let mut second = limiter.acquire(LIGHT, 1, Priority::Normal).await.remove(0);
        let waiting = tokio::spawn(async move { second.start().await });
        tokio::task::yield_now().await;
        limiter.throttled(&first, RatePause::Unsaid).await;
        assert_eq!(waiting.await.unwrap(), Err(Withdrawn));
    }

    #[tokio::test(start_paused = true)]
    async fn a_label_without_a_rate_is_not_paced_and_still_pauses() {
        let limiter = limiter(f64::INFINITY);
        let permits = limiter.acquire(LIGHT, 500, Priority::Normal).await;
        assert_eq!(permits.len(), 500);
        assert!(permits.iter().all(|permit| permit.starts_at <= Instant::now()));
        limiter.throttled(&permits[0], RatePause::Said(Duration::from_secs(1))).await;
        assert!(!permits[1].is_live());
        let before = Instant::now();
        limiter.acquire(LIGHT, 1, Priority::Normal).await;
        assert_eq!(before.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn labels_do_not_wait_for_each_other() {
        let limiter = limiter(80.0);
        let light = limiter.acquire(LIGHT, 1, Priority::Normal).await.remove(0);
        limiter.throttled(&light, RatePause::Said(Duration::from_secs(60))).await;
        let before = Instant::now();
        limiter.acquire(Label("medium"), 1, Priority::Normal).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}

//! The limiter of one process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};
use usher_shared::Priority;

use super::{
    Limiter, LimiterStatus, Parked, Permit, full_rate,
    lane::{Lane, Reserved},
    permit::Heard,
    room::RoomLeft,
};
use crate::{
    account::locked,
    decide::RatePause,
    provider::{Label, Rate},
};

/// The limiter of one process: `governor`, with a period and a burst of one, asked for the moments at which calls may
/// start instead of whether one may start now.
#[derive(Debug)]
pub struct EmbeddedLimiter {
    began: Instant,
    plans: HashMap<Label, f64>,
    lanes: Mutex<HashMap<Label, Arc<Shared>>>,
}

/// One label's calls, as all tasks of the process share them.
#[derive(Debug)]
struct Shared {
    plan: Option<f64>,
    lane: Mutex<Lane>,
    heard: watch::Sender<Heard>,
    room: RoomLeft,
    refusals: AtomicU64,
}

impl EmbeddedLimiter {
    /// A limiter that keeps these rates; a label without a rate is not limited.
    #[must_use]
    pub fn new(rates: &[Rate]) -> Self {
        Self {
            began: Instant::now(),
            plans: rates.iter().map(|rate| (rate.label, rate.per_second)).collect(),
            lanes: Mutex::default(),
        }
    }

    fn lane(&self, label: Label) -> Arc<Shared> {
        Arc::clone(locked(&self.lanes).entry(label).or_insert_with(|| {
            let full = self.plans.get(&label).copied().and_then(full_rate);
            Arc::new(Shared {
                plan: full.and_then(|_| self.plans.get(&label).copied()),
                lane: Mutex::new(Lane::new(full)),
                heard: watch::Sender::new(Heard { epoch: 0, until: self.began }),
                room: RoomLeft::default(),
                refusals: AtomicU64::new(0),
            })
        }))
    }

    /// Microseconds since a second before the limiter began: never 0, which stands for "never".
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(BEGINNING_US)
    }

    fn instant(&self, micros: u64) -> Instant {
        // Beyond a day ahead nothing is waited for exactly; it is asked again then.
        let micros = micros.min(self.now().saturating_add(86_400_000_000));
        self.began + Duration::from_micros(micros.saturating_sub(BEGINNING_US))
    }
}

const BEGINNING_US: u64 = 1_000_000;

#[async_trait]
impl Limiter for EmbeddedLimiter {
    async fn acquire(&self, label: Label, n: usize, _priority: Priority) -> Result<Vec<Permit>, Parked> {
        if n == 0 {
            return Ok(vec![]);
        }
        let shared = self.lane(label);
        let mut heard = shared.heard.subscribe();
        loop {
            let reserved = locked(&shared.lane).reserve(self.now(), n);
            match reserved {
                Reserved::Starts(starts, epoch) => {
                    let permit =
                        |start| Permit::new(label, self.instant(start), epoch, shared.heard.subscribe());
                    return Ok(starts.into_iter().map(permit).collect());
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
        let shared = self.lane(permit.label);
        shared.refusals.fetch_add(1, Ordering::Relaxed);
        let heard = {
            let mut lane = locked(&shared.lane);
            if !lane.refused(self.now(), permit.epoch, pause) {
                return;
            }
            let (until, epoch) = lane.pause();
            Heard { epoch, until: self.instant(until) }
        };
        shared.heard.send_replace(heard);
    }

    fn accepted(&self, permit: &Permit, room: Option<u32>) {
        let shared = self.lane(permit.label);
        let now = self.now();
        let mut lane = locked(&shared.lane);
        lane.accepted(now, permit.epoch);
        if let Some(room) = shared.room.told(now, room) {
            lane.room(now, room);
        }
    }

    fn status(&self, label: Label) -> LimiterStatus {
        let shared = self.lane(label);
        let left = shared.heard.borrow().until.saturating_duration_since(Instant::now());
        LimiterStatus {
            plan: shared.plan,
            per_second: locked(&shared.lane).rate(self.now()),
            paused_for: (!left.is_zero()).then_some(left),
            refusals: shared.refusals.load(Ordering::Relaxed),
            day: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{HORIZON, Withdrawn, conformance, period},
        *,
    };

    const LIGHT: Label = Label("light");

    fn limiter(per_second: f64) -> EmbeddedLimiter {
        EmbeddedLimiter::new(&[Rate { label: LIGHT, per_second, per_day: None }])
    }

    async fn take(limiter: &EmbeddedLimiter, calls: usize, at_once: usize) -> Vec<Instant> {
        let mut starts = vec![];
        while starts.len() < calls {
            for mut permit in limiter.acquire(LIGHT, at_once, Priority::Normal).await.unwrap() {
                permit.start().await.unwrap();
                starts.push(permit.starts_at);
            }
        }
        starts
    }

    #[tokio::test]
    async fn it_keeps_the_promises_of_every_limiter() {
        let fresh = async || Arc::new(EmbeddedLimiter::new(&conformance::rates())) as Arc<dyn Limiter>;
        conformance::keeps_its_promises(fresh).await;
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
            let permits = limiter.acquire(LIGHT, 10, Priority::Normal).await.unwrap();
            assert_eq!(permits[0].starts_at, Instant::now());
            for pair in permits.windows(2) {
                assert!(pair[1].starts_at - pair[0].starts_at >= period(full_rate(80.0).unwrap()), "{rest}");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_reserved_further_ahead_than_the_horizon() {
        let limiter = limiter(80.0);
        let mut last = Instant::now();
        for _ in 0..50 {
            for permit in limiter.acquire(LIGHT, 1_000, Priority::Normal).await.unwrap() {
                assert!(permit.starts_at <= Instant::now() + HORIZON);
                assert!(permit.starts_at >= last);
                last = permit.starts_at;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_withdraws_what_was_handed_out_and_nothing_starts_before_the_named_time() {
        let limiter = limiter(80.0);
        let mut permits = limiter.acquire(LIGHT, 10, Priority::Normal).await.unwrap();
        let refused_at = Instant::now();
        limiter.throttled(&permits[0], RatePause::Said(Duration::from_secs(5))).await;
        for permit in &mut permits {
            assert!(!permit.is_live());
            assert_eq!(permit.start().await, Err(Withdrawn));
        }
        assert_eq!(limiter.status(LIGHT).paused_for, Some(Duration::from_secs(5)));
        let next = limiter.acquire(LIGHT, 10, Priority::Normal).await.unwrap();
        assert_eq!(next[0].starts_at, refused_at + Duration::from_secs(5));
        assert!(next.iter().all(Permit::is_live));
        assert_eq!((limiter.status(LIGHT).paused_for, limiter.status(LIGHT).refusals), (None, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_waits_for_its_start_hears_of_the_refusal() {
        let limiter = Arc::new(limiter(1.0));
        let first = limiter.acquire(LIGHT, 1, Priority::Normal).await.unwrap().remove(0);
        let mut second = limiter.acquire(LIGHT, 1, Priority::Normal).await.unwrap().remove(0);
        let waiting = tokio::spawn(async move { second.start().await });
        tokio::task::yield_now().await;
        limiter.throttled(&first, RatePause::Unsaid).await;
        assert_eq!(waiting.await.unwrap(), Err(Withdrawn));
    }

    #[tokio::test(start_paused = true)]
    async fn a_label_without_a_rate_is_not_paced_and_still_pauses() {
        let limiter = limiter(f64::INFINITY);
        let permits = limiter.acquire(LIGHT, 500, Priority::Normal).await.unwrap();
        assert_eq!(permits.len(), 500);
        assert!(permits.iter().all(|permit| permit.starts_at <= Instant::now()));
        limiter.throttled(&permits[0], RatePause::Said(Duration::from_secs(1))).await;
        assert!(!permits[1].is_live());
        let before = Instant::now();
        limiter.acquire(LIGHT, 1, Priority::Normal).await.unwrap();
        assert_eq!(before.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn labels_do_not_wait_for_each_other() {
        let limiter = limiter(80.0);
        let light = limiter.acquire(LIGHT, 1, Priority::Normal).await.unwrap().remove(0);
        limiter.throttled(&light, RatePause::Said(Duration::from_secs(60))).await;
        let before = Instant::now();
        limiter.acquire(Label("medium"), 1, Priority::Normal).await.unwrap();
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}

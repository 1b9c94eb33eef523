//! What an account's calls have been like lately: how many a second, how long each takes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{account::locked, provider::Label};

/// The window over which the rate is told.
const WINDOW: Duration = Duration::from_secs(2);
/// What a call is taken to last before any has been seen.
const FIRST_GUESS: Duration = Duration::from_millis(500);

/// What an account's calls have been like lately.
#[derive(Debug)]
pub(crate) struct Meter {
    starts: Mutex<BTreeMap<Label, Starts>>,
    latency: Mutex<Option<f64>>,
    throttled: AtomicU64,
    calls: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            starts: Mutex::default(),
            latency: Mutex::default(),
            throttled: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        }
    }
}

impl Meter {
    /// A call under this label starts now.
    pub fn began(&self, label: Label) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut starts = locked(&self.starts);
        let starts = starts.entry(label).or_default();
        starts.forget(now);
        starts.lately.push_back(now);
    }

    /// A call has ended, this long after it began. Longer ones count at once, shorter ones by and by: too few calls in
    /// flight would cost speed, too many cost nothing.
    pub fn ended(&self, took: Duration) {
        let took = took.as_secs_f64();
        let mut latency = locked(&self.latency);
        *latency = Some(match *latency {
            None => took,
            Some(known) => known + (took - known) * if took > known { 0.3 } else { 0.02 },
        });
    }

    /// A call was refused for the rate limit.
    pub fn throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls refused so far.
    pub fn throttled_so_far(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// Calls made so far.
    pub fn calls_so_far(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls a second under every label together.
    pub fn rate(&self) -> f64 {
        self.rates().values().sum()
    }

    /// Calls a second under each label that has seen one, over the last two seconds or since the first call after a rest.
    pub fn rates(&self) -> BTreeMap<Label, f64> {
        let now = Instant::now();
        let mut starts = locked(&self.starts);
        starts
            .iter_mut()
            .map(|(label, starts)| {
                starts.forget(now);
                (*label, starts.rate(now))
            })
            .collect()
    }

    /// What a call lasts.
    pub fn latency(&self) -> Duration {
        locked(&self.latency).map_or(FIRST_GUESS, Duration::from_secs_f64)
    }
}

/// The calls of one label.
#[derive(Debug, Default)]
struct Starts {
    /// Those within the window.
    lately: VecDeque<Instant>,
    /// The last one before it.
    before: Option<Instant>,
}

impl Starts {
    fn forget(&mut self, now: Instant) {
        while let Some(start) = self.lately.front().copied() {
            if now.saturating_duration_since(start) <= WINDOW {
                break;
            }
            self.before = Some(start);
            self.lately.pop_front();
        }
    }

    fn rate(&self, now: Instant) -> f64 {
        let Some(first) = self.lately.front() else { return 0.0 };
        // Permits come by the handful: counting from the first call of the window would leave out the wait before it.
        let rested = self.before.is_none_or(|before| *first - before >= WINDOW);
        let span = if rested { (now - *first).max(WINDOW / 2) } else { WINDOW };
        let count = u32::try_from(self.lately.len()).unwrap_or(u32::MAX);
        f64::from(count) / span.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_that_of_the_last_two_seconds() {
        let meter = Meter::default();
        assert!(meter.rate() < 0.01);
        for _ in 0..400 {
            meter.began(Label("light"));
            tokio::time::advance(Duration::from_millis(20)).await;
        }
        assert!((49.0..51.0).contains(&meter.rate()), "{}", meter.rate());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(meter.rate() < 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_start_by_the_handful_are_not_counted_for_more_than_they_are() {
        let meter = Meter::default();
        for _ in 0..20 {
            (0..8).for_each(|_| meter.began(Label("light")));
            tokio::time::advance(Duration::from_millis(199)).await;
        }
        assert!((39.0..45.0).contains(&meter.rate()), "{}", meter.rate());
    }

    #[tokio::test(start_paused = true)]
    async fn each_label_has_its_own_rate() {
        let meter = Meter::default();
        for call in 0..100 {
            meter.began(Label(if call % 4 == 0 { "medium" } else { "light" }));
            tokio::time::advance(Duration::from_millis(20)).await;
        }
        let rates = meter.rates();
        assert!((36.0..39.0).contains(&rates[&Label("light")]), "{rates:?}");
        assert!((12.0..13.5).contains(&rates[&Label("medium")]), "{rates:?}");
    }

    #[test]
    fn a_slower_vendor_is_seen_within_a_few_calls() {
        let meter = Meter::default();
        (0..100).for_each(|_| meter.ended(Duration::from_millis(60)));
        (0..10).for_each(|_| meter.ended(Duration::from_millis(700)));
        assert!(meter.latency() > Duration::from_millis(650), "{:?}", meter.latency());
    }
}

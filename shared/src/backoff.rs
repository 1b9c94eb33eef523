//! How long to wait before the next try: exponential, full jitter, capped.
//!
//! The only user of the `backoff` crate, which is unmaintained (RUSTSEC-2025-0012): its interval arithmetic alone is
//! used, on a clock that stands still, so that neither its timers, its retry loops nor its random source take part.

use std::time::{Duration, Instant};

use backoff::{Clock as BackoffClock, backoff::Backoff as _, exponential::ExponentialBackoff};
use rand::{Rng, RngExt};

/// Exponential intervals with full jitter: the n-th wait lies anywhere between zero and `base * 2^(n-1)`, at most
/// `cap`. Full jitter spreads those who failed together further than any other kind (see AWS Architecture Blog,
/// "Exponential Backoff And Jitter").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait.
    pub base: Duration,
    /// The longest wait ever.
    pub cap: Duration,
}

impl Backoff {
    /// Between attempts at a job: 500 ms, doubling, up to a minute.
    pub const ATTEMPTS: Self = Self { base: Duration::from_millis(500), cap: Duration::from_secs(60) };
    /// Between tries at a store or limiter that does not answer: 50 ms, doubling, up to two seconds.
    pub const SERVICE: Self = Self { base: Duration::from_millis(50), cap: Duration::from_secs(2) };

    /// The longest wait after the `failures`-th failure in a row (from 1).
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let mut intervals = ExponentialBackoff {
            current_interval: self.base,
            initial_interval: self.base,
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_interval: self.cap,
            start_time: Instant::now(),
            max_elapsed_time: None,
            clock: Still,
        };
        // After 64 doublings every base has met every cap.
        let mut ceiling = self.base;
        for _ in 0..failures.clamp(1, 64) {
            ceiling = intervals.next_backoff().unwrap_or(self.cap);
        }
        // The crate adds up to a nanosecond of its own randomness to each interval: rounded away.
        Duration::from_millis(u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX)).min(self.cap)
    }

    /// How long to wait after the `failures`-th failure in a row (from 1).
    pub fn interval(&self, failures: u32, random: &mut impl Rng) -> Duration {
        self.ceiling(failures).mul_f64(random.random::<f64>())
    }
}

/// The crate asks a clock how long it has been at it; that is no business of ours.
#[derive(Clone, Copy, Debug, Default)]
struct Still;

impl BackoffClock for Still {
    fn now(&self) -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn the_ceiling_doubles_from_the_base_and_stops_at_the_cap() {
        let expected = [500, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
        for (failures, millis) in expected.into_iter().enumerate() {
            let failures = u32::try_from(failures).unwrap();
            assert_eq!(Backoff::ATTEMPTS.ceiling(failures), Duration::from_millis(millis), "{failures}");
        }
        assert_eq!(Backoff::ATTEMPTS.ceiling(u32::MAX), Duration::from_secs(60));
    }

    #[test]
    fn the_interval_is_spread_over_all_of_zero_to_the_ceiling() {
        let mut random = StdRng::seed_from_u64(11);
        let waits: Vec<_> = (0..1_000).map(|_| Backoff::ATTEMPTS.interval(3, &mut random)).collect();
        let ceiling = Duration::from_secs(2);
        assert!(waits.iter().all(|wait| *wait <= ceiling));
        for part in 0..4 {
            let range = ceiling * part / 4..ceiling * (part + 1) / 4;
            let share = waits.iter().filter(|wait| range.contains(*wait)).count();
            assert!((200..300).contains(&share), "{share} of 1,000 in quarter {part}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_intervals() {
        let waits = |seed| {
            let mut random = StdRng::seed_from_u64(seed);
            (1..9).map(|n| Backoff::ATTEMPTS.interval(n, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(waits(5), waits(5));
        assert_ne!(waits(5), waits(6));
    }
}

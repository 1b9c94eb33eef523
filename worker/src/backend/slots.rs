//! How many leases a worker holds at once for an account.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::limiter::HORIZON;

/// Room beyond what the arithmetic says, for what it can't know.
const HEADROOM: f64 = 1.5;
/// Never fewer: a single slow call must not stand in the way of the others.
const FEWEST: usize = 8;

/// Counts the leases held.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    taken: AtomicUsize,
    freed: Notify,
}

/// One lease held.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        // One waits at most: the feeder.
        self.0.freed.notify_one();
    }
}

impl Slots {
    /// Takes one.
    pub fn take(self: &Arc<Self>) -> Slot {
        self.taken.fetch_add(1, Ordering::AcqRel);
        Slot(Arc::clone(self))
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Waits until fewer than `width` are taken; answers how many more may be. For one who waits at a time.
    pub async fn free(&self, width: usize) -> usize {
        loop {
            let taken = self.taken();
            if taken < width {
                return width - taken;
            }
            // What was freed since the look above ends this at once.
            self.freed.notified().await;
        }
    }
}

/// How many leases the limit and the latency need (Little's law: rate times the time each is held), at most `most`.
pub(crate) fn width(per_second: Option<f64>, latency: Duration, most: usize) -> usize {
    let Some(rate) = per_second else { return most.max(1) };
    let held = rate * (latency + HORIZON).as_secs_f64() * HEADROOM;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
    let needed = held.clamp(0.0, 1e6).ceil() as usize;
    needed.max(FEWEST).min(most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_follows_rate_and_latency_up_to_the_cap() {
        let millis = Duration::from_millis;
        let cases = [
            (Some(80.0), millis(60), 100, 24),
            (Some(80.0), millis(400), 100, 65),
            (Some(80.0), millis(700), 100, 100),
            (Some(4.0), millis(400), 100, 8),
            (None, millis(1), 100, 100),
            (Some(80.0), millis(60), 1, 1),
            (Some(80.0), millis(60), 0, 1),
        ];
        for (rate, latency, most, expected) in cases {
            assert_eq!(width(rate, latency, most), expected, "{rate:?} {latency:?} {most}");
        }
    }

    #[tokio::test]
    async fn who_waits_for_room_goes_on_when_a_lease_is_done() {
        let slots = Arc::<Slots>::default();
        let (first, _second) = (slots.take(), slots.take());
        assert_eq!(slots.free(5).await, 3);
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.free(2).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(waiting.await.unwrap(), 1);
    }
}

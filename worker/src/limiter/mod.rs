//! The right to make a vendor call now: paced under the account's limit, and held back together after a refusal.
//!
//! The vendor counts per account and label, over all processes. [`EmbeddedLimiter`] paces one process, [`RedisLimiter`]
//! a fleet on one Redis; both hand out [`Permit`]s, each with the moment at which its call may start, reserved at most
//! [`HORIZON`] ahead and never two for the same moment. What counts at the vendor is when calls ARRIVE: evenly spaced
//! starts leave scheduling and the network the room that [`ROOM`] says.

mod adapt;
#[cfg(test)]
mod conformance;
mod day;
mod embedded;
mod lane;
mod pace;
mod pause;
mod permit;
mod redis;
mod room;
#[cfg(test)]
mod scenarios;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use usher_shared::{AccountName, DayUse, Priority, store::SharedStore};

use crate::{
    decide::RatePause,
    provider::{Label, Rate},
};

pub use day::{DayLimiter, Parked};
pub use embedded::EmbeddedLimiter;
pub use permit::{Permit, Withdrawn};
pub use redis::RedisLimiter;

/// How far ahead a start is reserved at most: what a pause or an urgent job has to wait for.
pub const HORIZON: Duration = Duration::from_millis(140);
/// How much later than another a call may arrive at the vendor without the plan's limit being met: a fleet that starts
/// its calls evenly needs a margin of that many seconds of the rate. 18 ms keep 80/s at 78.6/s; measured on two cores
/// that were busy with something else, 12.5 ms let up to 84 calls into one second.
pub const ROOM: Duration = Duration::from_millis(18);
/// The longest wait between refusals that follow each other, where the vendor names no time.
pub const LONGEST_UNSAID: Duration = Duration::from_secs(2);

/// What a label's calls are at, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimiterStatus {
    /// Calls a second that the plan allows; `None` where the label is not limited.
    pub plan: Option<f64>,
    /// Calls a second that are let out at most now; `None` where the label is not limited.
    pub per_second: Option<f64>,
    /// How long the calls still stand still after a refusal.
    pub paused_for: Option<Duration>,
    /// Refusals that this process met.
    pub refusals: u64,
    /// How far the day's quota is used up, where there is one and it has been drawn from.
    pub day: Option<DayUse>,
}

/// Hands out the right to make calls under an account's labels.
#[async_trait]
pub trait Limiter: fmt::Debug + Send + Sync + 'static {
    /// Waits for permits: at least one, at most `n` (none for 0), each with its start, the earliest first. Waits out
    /// pauses and a limiter that does not answer. Safe to drop half-way; what it had reserved is lost then.
    /// [`Parked`] where the day's quota has none left for this priority.
    async fn acquire(&self, label: Label, n: usize, priority: Priority) -> Result<Vec<Permit>, Parked>;

    /// The vendor refused the call made under this permit: every caller of its label waits, permits already handed out
    /// included. A permit that was older than the last pause only lengthens it to what the vendor says.
    async fn throttled(&self, permit: &Permit, pause: RatePause);

    /// The vendor did not refuse the call made under this permit; `room` is how many more it would have taken in that
    /// second, where it tells.
    fn accepted(&self, permit: &Permit, room: Option<u32>);

    /// What a label's calls are at.
    fn status(&self, label: Label) -> LimiterStatus;
}

/// Makes a limiter for an account and its rates.
pub type MakeLimiter = Arc<dyn Fn(&AccountName, &[Rate]) -> Arc<dyn Limiter> + Send + Sync>;

/// Makes an account's limiter.
#[derive(Clone)]
pub enum LimiterFactory {
    /// For one process: [`EmbeddedLimiter`].
    Embedded,
    /// For all processes on one Redis: [`RedisLimiter`].
    Redis(Box<::redis::Client>),
    /// Any other.
    Custom(MakeLimiter),
}

impl fmt::Debug for LimiterFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "Embedded",
            Self::Redis(_) => "Redis",
            Self::Custom(_) => "Custom",
        })
    }
}

impl LimiterFactory {
    /// Makes the account's limiter, its day's quotas counted in the store. Nothing is asked of either before the first
    /// permit is.
    #[must_use]
    pub fn make(&self, account: &AccountName, rates: &[Rate], store: &SharedStore) -> Arc<dyn Limiter> {
        let paced: Arc<dyn Limiter> = match self {
            Self::Embedded => Arc::new(EmbeddedLimiter::new(rates)),
            Self::Redis(client) => RedisLimiter::new((**client).clone(), account, rates),
            Self::Custom(make) => make(account, rates),
        };
        DayLimiter::wrap(paced, store, account, rates)
    }
}

/// Calls a second that keep a plan's limit with [`ROOM`] to spare; `None` where nothing is limited.
///
/// n calls that are spaced so span `n * (1 + room) / plan`, so that the n-th call after any other may arrive as much
/// as [`ROOM`] early and still meet the plan.
#[must_use]
pub fn full_rate(plan: f64) -> Option<f64> {
    (plan.is_finite() && plan > 0.0).then(|| (plan * (1.0 - ROOM.as_secs_f64())).max(1.0 / 86_400.0))
}

/// The time between two starts that keeps a plan's limit with [`ROOM`] to spare; `None` where nothing is limited.
#[must_use]
pub fn spacing(plan: f64) -> Option<Duration> {
    full_rate(plan).map(period)
}

/// The time between two starts at a rate, in whole microseconds.
#[must_use]
pub fn period(per_second: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a day")]
    let micros = (1e6 / per_second).ceil().clamp(1.0, 86_400e6) as u64;
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_leaves_every_plan_the_same_room_for_late_arrivals() {
        for plan in [1.0, 4.0, 30.0, 80.0, 1_000.0] {
            let room = period(full_rate(plan).unwrap()).mul_f64(plan).saturating_sub(Duration::from_secs(1));
            assert!((ROOM..ROOM * 11 / 10).contains(&room), "{plan}: {room:?}");
        }
        assert_eq!((full_rate(f64::INFINITY), full_rate(0.0), full_rate(f64::NAN)), (None, None, None));
    }
}

//! The wall clock without its jumps.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use usher_shared::{Clock, SystemClock, Timestamp};

use crate::boot_clock::{BootClock, SystemBootClock};

/// It gains or loses one part in so many until it agrees with the wall clock again: a lease of 15 s is then off by 75 ms,
/// within the grace that a call is given.
const SLEW: i64 = 200;
/// A difference that somebody is told of.
const WORTH_A_WORD: Duration = Duration::from_secs(5);

/// Shows the wall clock's time, and never jumps: from its first look on it goes by the boot clock, and follows the wall
/// clock, where that was set, by a two-hundredth.
///
/// The embedded store's leases, retries and pauses are times by the clock of the one process that works from it. Were
/// that clock set forward by an hour, all leases would lapse at once, their attempts be recorded as lost, and workers be
/// counted as dead; were it set back, whatever waits would wait an hour longer.
#[derive(Debug)]
pub struct SteadyClock {
    wall: Arc<dyn Clock>,
    boot: Arc<dyn BootClock>,
    shown: Mutex<Shown>,
}

#[derive(Debug)]
struct Shown {
    /// The moment of the boot clock at the last look, in nanoseconds.
    boot: i64,
    /// What is to be added to it, in nanoseconds.
    offset: i64,
    /// The wall clock stands elsewhere, and that was told.
    told: bool,
}

impl SteadyClock {
    /// A clock over these two, which agrees with `wall` now.
    #[must_use]
    pub fn over(wall: Arc<dyn Clock>, boot: Arc<dyn BootClock>) -> Self {
        let at = nanos(boot.now());
        let shown = Shown { boot: at, offset: wall_nanos(&*wall) - at, told: false };
        Self { wall, boot, shown: Mutex::new(shown) }
    }

    /// A clock over the operating system's.
    #[must_use]
    pub fn system() -> Self {
        Self::over(Arc::new(SystemClock), Arc::new(SystemBootClock::new()))
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        // Whole after a panic of another holder, too: it is numbers.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let boot = nanos(self.boot.now()).max(shown.boot);
        let apart = wall_nanos(&*self.wall) - boot - shown.offset;
        let may_move = (boot - shown.boot) / SLEW;
        shown.offset += apart.clamp(-may_move, may_move);
        shown.boot = boot;
        shown.tell(apart);
        Timestamp::from_millis((boot + shown.offset) / 1_000_000)
    }
}

impl Shown {
    fn tell(&mut self, apart: i64) {
        let far = apart.unsigned_abs() > WORTH_A_WORD.as_nanos() as u64;
        if far && !self.told {
            tracing::warn!(
                seconds = apart / 1_000_000_000,
                "the machine's clock was set; usher goes on by its old time and comes round slowly, so that no lease lapses \
                 and no wait changes. Start this usher again to take the new time over at once"
            );
        }
        self.told = far;
    }
}

fn nanos(boot: Duration) -> i64 {
    i64::try_from(boot.as_nanos()).unwrap_or(i64::MAX / 4)
}

/// Within three centuries of 1970, so that sums of two fit.
fn wall_nanos(wall: &dyn Clock) -> i64 {
    wall.now().as_millis().clamp(0, 9_000_000_000_000).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use usher_shared::ManualClock;

    use super::*;
    use crate::boot_clock::ManualBootClock;

    struct Both {
        wall: Arc<ManualClock>,
        boot: Arc<ManualBootClock>,
        steady: SteadyClock,
    }

    const START: Timestamp = Timestamp::from_millis(1_760_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn both() -> Both {
        let (wall, boot) = (Arc::new(ManualClock::new(START)), Arc::<ManualBootClock>::default());
        boot.advance(Duration::from_secs(77));
        let steady = SteadyClock::over(wall.clone(), boot.clone());
        Both { wall, boot, steady }
    }

    impl Both {
        /// Time goes by, in steps as a busy worker looks at the clock.
        fn pass(&self, time: Duration, steps: u32) {
            for _ in 0..steps {
                self.wall.advance(time / steps);
                self.boot.advance(time / steps);
                self.steady.now();
            }
        }
    }

    #[test]
    fn it_shows_the_wall_clock_s_time_while_that_is_left_alone() {
        let both = both();
        assert_eq!(both.steady.now(), START);
        both.pass(HOUR, 3600);
        assert_eq!(both.steady.now(), START.after(HOUR));
    }

    #[test]
    fn set_forward_it_hardly_goes_faster() {
        let both = both();
        both.wall.advance(HOUR);
        assert_eq!(both.steady.now(), START);
        both.pass(Duration::from_secs(15), 1000);
        let gone = both.steady.now().since(START);
        assert!(gone >= Duration::from_secs(15) && gone < Duration::from_millis(15_080), "{gone:?}");
    }

    #[test]
    fn set_back_it_goes_on_and_never_back() {
        let both = both();
        both.pass(HOUR, 10);
        // A manual clock can't be set back: a new one, an hour earlier.
        let earlier = SteadyClock { wall: Arc::new(ManualClock::new(START)), ..both.steady };
        let mut before = earlier.now();
        assert_eq!(before, START.after(HOUR));
        for _ in 0..1000 {
            both.boot.advance(Duration::from_millis(10));
            let now = earlier.now();
            assert!(now >= before, "{before} then {now}");
            before = now;
        }
        let gone = before.since(START.after(HOUR));
        assert!(gone > Duration::from_millis(9_940) && gone < Duration::from_secs(10), "{gone:?}");
    }

    #[test]
    fn in_the_end_it_agrees_again() {
        let both = both();
        both.wall.advance(Duration::from_secs(2));
        both.pass(Duration::from_secs(401), 4010);
        assert_eq!(both.steady.now(), both.wall.now());
    }
}

//! A clock that also counts while the process is stopped or the machine sleeps: what leases are measured on.

use std::{fmt, time::Duration};

/// Tells how much time has gone by, whatever the process or the machine did meanwhile.
///
/// A lease is measured from before it was asked for. A process that is stopped (SIGSTOP, a suspended machine, a long
/// page-in) and goes on later must see that its leases have lapsed, or it would call a vendor about users who are
/// somebody else's by then. Neither the wall clock (it can be set) nor a monotonic clock that sleeps along can tell.
pub trait BootClock: fmt::Debug + Send + Sync + 'static {
    /// Time since some fixed moment in the past.
    fn now(&self) -> Duration;
}

/// The operating system's clock: `CLOCK_BOOTTIME` on Linux; the monotonic clock elsewhere, which on some systems
/// stands still while the machine sleeps (but never while a process is stopped).
#[derive(Clone, Copy, Debug)]
pub struct SystemBootClock {
    #[cfg(not(target_os = "linux"))]
    started: std::time::Instant,
}

impl SystemBootClock {
    /// The operating system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self {
            #[cfg(not(target_os = "linux"))]
            started: std::time::Instant::now(),
        }
    }
}

impl Default for SystemBootClock {
    fn default() -> Self {
        Self::new()
    }
}

impl BootClock for SystemBootClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        )
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualBootClock(std::sync::Mutex<Duration>);

impl ManualBootClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += by;
    }
}

impl BootClock for ManualBootClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_clock_never_goes_back() {
        let clock = SystemBootClock::new();
        let earlier = clock.now();
        assert!(clock.now() >= earlier);
    }
}

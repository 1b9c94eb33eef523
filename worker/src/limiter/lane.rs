//! One label's calls: where they may start, what holds them back, what refusals have taught. Pure: told the time, and
//! driven by [`EmbeddedLimiter`](super::EmbeddedLimiter) and, in tests, by whole simulated fleets.

use std::time::Duration;

use crate::decide::RatePause;

use super::{HORIZON, adapt::Adaptation, pace::Pace, pause::Pauses, period};

/// One label's calls. Times are microseconds of one clock.
#[derive(Debug)]
pub(super) struct Lane {
    /// Calls a second without any refusal; `None` where the label is not limited.
    full: Option<f64>,
    pace: Option<Pace>,
    pauses: Pauses,
    adaptation: Adaptation,
    /// Whether a call has gone through since the last pause.
    accepted: bool,
}

/// The answer to who wants to call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    /// Calls may start at these times, the earliest first; with the pause that they were given after.
    Starts(Vec<u64>, u64),
    /// Ask again at this time.
    From(u64),
}

impl Lane {
    pub fn new(full: Option<f64>) -> Self {
        Self {
            full,
            pace: full.map(period).and_then(Pace::new),
            pauses: Pauses::default(),
            adaptation: Adaptation::default(),
            accepted: false,
        }
    }

    /// One whose first permits are of this epoch: Redis begins with the time.
    #[cfg(test)]
    pub fn beginning(full: Option<f64>, epoch: u64) -> Self {
        Self { pauses: Pauses { epoch, ..Pauses::default() }, ..Self::new(full) }
    }

    /// Reserves up to `n` starts, none further ahead than the horizon.
    pub fn reserve(&mut self, now: u64, n: usize) -> Reserved {
        if self.pauses.until > now {
            return Reserved::From(self.pauses.until);
        }
        let (Some(pace), Some(full)) = (&mut self.pace, self.full) else {
            return Reserved::Starts(vec![now; n], self.pauses.epoch);
        };
        pace.change(period(self.adaptation.rate(now, full)));
        let horizon = micros(HORIZON);
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

    /// Takes note of a refusal of a call whose permit was of `epoch`. Answers whether there is a new pause, or a longer one.
    pub fn refused(&mut self, now: u64, epoch: u64, pause: RatePause) -> bool {
        let before = self.pauses;
        if !self.pauses.refused(now, epoch, pause, self.accepted) {
            return false;
        }
        if let (Some(full), Some(wait)) = (self.full, pause.teaches())
            && epoch >= before.epoch
        {
            let quiet = now.saturating_sub(before.until);
            self.adaptation.refused(now, full, quiet, self.accepted, wait.map(micros));
        }
        self.accepted = false;
        // What was reserved has died with the pause; its places are free again.
        if let Some(pace) = &mut self.pace {
            pace.forget();
        }
        true
    }

    /// A call whose permit was of `epoch` was not refused.
    pub fn accepted(&mut self, now: u64, epoch: u64) {
        if epoch >= self.pauses.epoch {
            self.accepted = true;
            self.adaptation.accepted(now);
        }
    }

    /// The vendor's word of how many more calls it would have taken, at the fullest moment of the last second.
    pub fn room(&mut self, now: u64, room: u32) {
        if let Some(full) = self.full {
            self.adaptation.room(now, full, f64::from(room));
        }
    }

    /// Calls a second now; `None` where the label is not limited.
    pub fn rate(&self, now: u64) -> Option<f64> {
        Some(self.adaptation.rate(now, self.full?))
    }

    /// The pause in force, or the last one: its end, and its number.
    pub fn pause(&self) -> (u64, u64) {
        (self.pauses.until, self.pauses.epoch)
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

//! How long an account's calls stand still after a refusal: the rule that both limiters keep, in microseconds.
//!
//! `refuse.lua` keeps the same rule for a fleet, and a test holds the two against each other.

use crate::decide::{RatePause, UNSAID_WAIT};

use super::LONGEST_UNSAID;

/// A refusal so long after a pause is the first again.
pub(super) const STREAK_ENDS_US: u64 = 2_000_000;

pub(super) const UNSAID_US: u64 = UNSAID_WAIT.as_micros() as u64;
pub(super) const LONGEST_UNSAID_US: u64 = LONGEST_UNSAID.as_micros() as u64;

/// The pause a label is in, or was in last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pauses {
    /// Nothing starts before.
    pub until: u64,
    /// Grows with every pause: a permit of an earlier one is void.
    pub epoch: u64,
    /// How many refusals without a named wait followed each other.
    pub streak: u32,
}

impl Pauses {
    /// Takes note of a refusal of a call whose permit was of `permit_epoch`. `accepted` says whether a call has gone
    /// through since the last pause. Answers whether the pause is new or longer than it was.
    pub fn refused(&mut self, now: u64, permit_epoch: u64, pause: RatePause, accepted: bool) -> bool {
        let until = match pause {
            RatePause::Said(wait) | RatePause::Day(wait) => {
                self.streak = 0;
                now.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX))
            }
            // Calls that went out together are refused together: that is one refusal, not forty.
            RatePause::Unsaid if permit_epoch < self.epoch => return false,
            RatePause::Unsaid => {
                let follows = self.until > 0 && !accepted && now.saturating_sub(self.until) <= STREAK_ENDS_US;
                self.streak = if follows { self.streak.saturating_add(1) } else { 0 };
                now.saturating_add(UNSAID_US.saturating_mul(1 << self.streak.min(20)).min(LONGEST_UNSAID_US))
            }
        };
        if until <= self.until {
            return false;
        }
        self.until = until;
        self.epoch = now.max(self.epoch + 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn waits_without_a_named_time_double_while_refusals_follow_up_to_two_seconds() {
        let mut pauses = Pauses::default();
        let mut now = 100 * SECOND;
        let mut waits = vec![];
        for _ in 0..8 {
            assert!(pauses.refused(now, pauses.epoch, RatePause::Unsaid, false));
            waits.push((pauses.until - now) / 1_000);
            now = pauses.until + 30_000;
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
    }

    #[test]
    fn a_call_that_went_through_or_two_quiet_seconds_start_again_at_fifty_milliseconds() {
        for (quiet, accepted) in [(30_000, true), (STREAK_ENDS_US + 1, false)] {
            let mut pauses = Pauses::default();
            for _ in 0..4 {
                pauses.refused(pauses.until + 30_000, pauses.epoch, RatePause::Unsaid, false);
            }
            let now = pauses.until + quiet;
            pauses.refused(now, pauses.epoch, RatePause::Unsaid, accepted);
            assert_eq!(pauses.until - now, UNSAID_US);
        }
    }

    #[test]
    fn calls_refused_together_are_one_refusal() {
        let mut pauses = Pauses::default();
        let before = pauses.epoch;
        assert!(pauses.refused(SECOND, before, RatePause::Unsaid, false));
        let after = pauses;
        for late in 1..40 {
            assert!(!pauses.refused(SECOND + late * 1_000, before, RatePause::Unsaid, false));
        }
        assert_eq!(pauses, after);
    }

    #[test]
    fn a_named_wait_counts_from_any_call_and_never_shortens_the_pause() {
        let mut pauses = Pauses::default();
        pauses.refused(SECOND, 0, RatePause::Unsaid, false);
        assert!(pauses.refused(SECOND, 0, RatePause::Said(Duration::from_secs(5)), false));
        assert_eq!(pauses.until, 6 * SECOND);
        assert!(!pauses.refused(2 * SECOND, 0, RatePause::Said(Duration::from_secs(1)), false));
        assert_eq!(pauses.until, 6 * SECOND);
    }
}

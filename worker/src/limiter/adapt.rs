//! What refusals have taught about the rate: less after one, back up while there are none. One rate for the whole fleet.
//!
//! `adapt.lua` is the same rule for a fleet on Redis, and a test holds the two against each other, so both use plain
//! arithmetic alone. Times are microseconds, 0 for "never".
//!
//! A refusal by itself says "a little too fast", and cuts a little. Refusals that follow each other say "much too fast",
//! and cut deeply. After a cut the rate stays for a while, then grows by a share of itself, faster and faster: near the
//! limit it is probed gently, and what another app has given back is taken up within seconds. Where probe after probe
//! finds the limit at the same place, it is probed less and less often.

/// What a refusal by itself leaves of the rate.
const LONE: f64 = 0.975;
/// What is left after a refusal that came soon after the last one, calls having gone through between.
const AGAIN: f64 = 0.88;
/// What is left after a refusal when nothing has gone through since the last one.
const STILL: f64 = 0.7;
/// From this share of the full rate on, a rate is taken to be near its limit.
const NEAR_FULL: f64 = 0.94;
/// A refusal so long after a pause is one by itself, in microseconds.
const SOON_US: u64 = 1_000_000;
/// How long the rate stays after a cut, at first and at most while probes find the same limit.
const STAY_US: f64 = 2_000_000.0;
const LONGEST_STAY_US: f64 = 10_000_000.0;
/// How much longer it stays each time that a probe finds the limit where the last one did.
const STAY_LONGER: f64 = 1.6;
/// A vendor that names a wait is probed only so many waits later: what a probe costs decides how often it is worth it.
const WAITS: f64 = 10.0;
const LONGEST_STAY_FOR_WAITS_US: f64 = 60_000_000.0;
/// What a probe may win decides, too: near the full rate there is little to find. So long, over the share of the full rate that
/// is missing; at most so long.
const WORTH_US: f64 = 200_000.0;
const LONGEST_STAY_FOR_LITTLE_US: f64 = 15_000_000.0;
/// Two refusals at rates that differ by less than this share found the same limit.
const SAME: f64 = 0.04;
/// The growth: in t seconds by the share `SLOPE * t + CURVE * t * t`.
const SLOPE: f64 = 0.015;
const CURVE: f64 = 0.03;
/// Never less than this share of the full rate.
const LEAST: f64 = 0.02;
/// A vendor that says there is room for this share of the full rate and more is believed at once.
const ROOMY: f64 = 0.05;
/// How often what the vendor says about the room left is acted on.
const ROOM_EVERY_US: u64 = 1_000_000;

/// What refusals have taught about the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Adaptation {
    /// Calls a second after the last cut; 0 where there was none.
    pub level: f64,
    /// The rate that was refused last.
    pub refused_at: f64,
    /// When a call was first seen to have gone through since the cut; 0 while none has, and the rate does not grow.
    pub since: u64,
    /// How long the rate stays after that.
    pub stay: f64,
    /// When the vendor's word of the room left was acted on last.
    pub room_at: u64,
}

impl Adaptation {
    /// Calls a second now. `full` is the rate without any refusal.
    pub fn rate(&self, now: u64, full: f64) -> f64 {
        if self.level <= 0.0 {
            return full;
        }
        let mut rate = self.level;
        if self.since > 0 {
            let grown = (seconds(now.saturating_sub(self.since)) - self.stay / 1e6).max(0.0);
            rate = self.level * (1.0 + SLOPE * grown + CURVE * grown * grown);
        }
        rate.min(full)
    }

    /// A refusal, `quiet` after the last pause ended; `accepted` says whether a call has gone through since then, `wait` is
    /// the wait that the vendor named.
    pub fn refused(&mut self, now: u64, full: f64, quiet: u64, accepted: bool, wait: Option<u64>) {
        let rate = self.rate(now, full);
        let alone = self.level <= 0.0 || quiet > SOON_US;
        // Late arrivals crowd each other at the very limit: two refusals there are no sign of a wrong rate yet.
        let left = if alone || (accepted && rate >= full * NEAR_FULL) {
            LONE
        } else if accepted {
            AGAIN
        } else {
            STILL
        };
        let same = (rate - self.refused_at).abs() <= SAME * self.refused_at;
        let stay =
            if alone && same { (self.stay * STAY_LONGER).clamp(STAY_US, LONGEST_STAY_US) } else { STAY_US };
        let for_wait = (seconds(wait.unwrap_or(0)) * 1e6 * WAITS).min(LONGEST_STAY_FOR_WAITS_US);
        let level = (rate * left).max(full * LEAST);
        let for_little = (WORTH_US / (1.0 - level / full)).min(LONGEST_STAY_FOR_LITTLE_US);
        *self = Self {
            level,
            refused_at: rate,
            since: 0,
            stay: stay.max(for_wait).max(for_little),
            room_at: self.room_at,
        };
    }

    /// A call has gone through since the last cut.
    pub fn accepted(&mut self, now: u64) {
        if self.level > 0.0 && self.since == 0 {
            self.since = now;
        }
    }

    /// The vendor says how many more calls it would have taken, at the fullest moment of the last second. Answers whether
    /// that changed the rate.
    pub fn room(&mut self, now: u64, full: f64, room: f64) -> bool {
        if self.room_at > 0 && now.saturating_sub(self.room_at) < ROOM_EVERY_US {
            return false;
        }
        let rate = self.rate(now, full);
        // No room is what a rate at the limit looks like, and no reason to be slower; but probing further is no use.
        let (level, stay) = if room < 1.0 && rate < full {
            (rate, STAY_US)
        } else if room >= full * ROOMY && rate < full {
            // A little less than what is said to be free: the others may want some of it, too.
            ((rate + room * 0.8).min(full), 0.0)
        } else {
            return false;
        };
        *self = Self { level, since: now, stay, room_at: now, ..*self };
        true
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of some years fit into 53 bits")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const FULL: f64 = 80.0;

    fn refused_once(now: u64) -> Adaptation {
        let mut adaptation = Adaptation::default();
        adaptation.refused(now, FULL, 60 * SECOND, true, None);
        adaptation
    }

    #[test]
    fn without_a_refusal_the_rate_is_full_however_long_nothing_was_called() {
        let adaptation = Adaptation::default();
        for now in [1, SECOND, 86_400 * SECOND] {
            assert!((adaptation.rate(now, FULL) - FULL).abs() < 1e-9);
        }
    }

    #[test]
    fn a_refusal_by_itself_cuts_a_little_and_refusals_in_a_row_cut_deeply() {
        let mut adaptation = refused_once(SECOND);
        assert!((adaptation.rate(SECOND, FULL) - 78.0).abs() < 0.01);
        let mut still = adaptation;
        still.refused(SECOND + 100_000, FULL, 50_000, false, None);
        assert!((still.rate(SECOND, FULL) - 54.6).abs() < 0.01);
        let mut soon = |expected: f64| {
            adaptation.refused(SECOND + 500_000, FULL, 450_000, true, None);
            assert!((adaptation.rate(SECOND, FULL) - expected).abs() < 0.01, "{}", adaptation.level);
        };
        soon(76.05);
        soon(74.15);
        soon(65.25);
        soon(57.42);
    }

    #[test]
    fn it_never_falls_to_nothing() {
        let mut adaptation = Adaptation::default();
        for now in 0..100 {
            adaptation.refused(SECOND + now, FULL, 0, false, None);
        }
        assert!((adaptation.rate(2 * SECOND, FULL) - 1.6).abs() < 1e-9);
    }

    #[test]
    fn the_rate_stays_while_the_last_thing_known_is_a_refusal_and_is_full_after_a_long_idle_otherwise() {
        let mut adaptation = refused_once(SECOND);
        assert!((adaptation.rate(3_600 * SECOND, FULL) - 78.0).abs() < 0.01);
        adaptation.accepted(2 * SECOND);
        assert!((adaptation.rate(4 * SECOND, FULL) - 78.0).abs() < 0.01);
        assert!((adaptation.rate(60 * SECOND, FULL) - FULL).abs() < 1e-9);
    }

    #[test]
    fn a_limit_found_again_at_the_same_place_is_probed_less_often_and_one_near_the_plan_seldom() {
        let at =
            |rate: f64| Adaptation { level: rate, refused_at: rate, stay: STAY_US, ..Adaptation::default() };
        let mut same = at(64.0);
        let mut stays = vec![];
        for _ in 0..6 {
            same = Adaptation { level: 64.0, ..same };
            same.refused(100 * SECOND, FULL, 9 * SECOND, true, None);
            stays.push(same.stay);
        }
        assert!(stays.windows(2).all(|pair| pair[0] <= pair[1]), "{stays:?}");
        assert!(
            (stays[0] - 3_200_000.0).abs() < 1.0 && (stays[5] - LONGEST_STAY_US).abs() < 1.0,
            "{stays:?}"
        );
        let mut another = Adaptation { level: 40.0, ..same };
        another.refused(100 * SECOND, FULL, 9 * SECOND, true, None);
        assert!((another.stay - STAY_US).abs() < 1.0, "another limit is probed afresh");
        assert!(
            (refused_once(SECOND).stay - 8_000_000.0).abs() < 1.0,
            "near the plan there is little to find"
        );
    }

    #[test]
    fn a_vendor_that_makes_us_wait_for_each_refusal_is_probed_seldom() {
        for (wait, stay) in [(1, 10_000_000.0), (3, 30_000_000.0), (600, 60_000_000.0)] {
            let mut adaptation = Adaptation::default();
            adaptation.refused(SECOND, FULL, 60 * SECOND, true, Some(wait * SECOND));
            assert!((adaptation.stay - stay).abs() < 1.0);
        }
    }

    #[test]
    fn what_the_vendor_says_of_the_room_left_is_used_once_a_second() {
        let mut adaptation = refused_once(SECOND);
        assert!(!adaptation.room(2 * SECOND, FULL, 2.0), "neither full nor roomy: nothing to learn");
        adaptation = Adaptation { level: 40.0, since: SECOND, stay: 5e6, ..adaptation };
        assert!(adaptation.room(2 * SECOND, FULL, 30.0));
        assert!((adaptation.rate(2 * SECOND, FULL) - 64.0).abs() < 1e-9);
        assert!(!adaptation.room(2 * SECOND + 500_000, FULL, 30.0));
        let reached = adaptation.rate(3 * SECOND, FULL);
        assert!(adaptation.room(3 * SECOND, FULL, 0.0), "no use in probing further");
        assert!((adaptation.rate(4 * SECOND, FULL) - reached).abs() < 1e-9);
        let mut full = Adaptation::default();
        assert!(!full.room(SECOND, FULL, 0.0), "a full rate leaves no room: that is no reason to be slower");
    }
}

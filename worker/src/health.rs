//! Whether an account's vendor is well: the breaker, and how often in a row its token was refused.
//!
//! Pure: it is told what was seen and when, and answers with the hold to place. The hold lies in the store, so one
//! worker's finding stops the fleet.

use std::{collections::HashSet, time::Duration};

use usher_shared::{Hold, HoldReason, JobKey, Timestamp, Verdict};

/// Jobs that must have failed, with no success between, before the breaker opens. Jobs, not failures: a few users whose
/// every call fails must come to the end of their attempts instead of stopping everybody.
pub const BREAKER_JOBS: usize = 10;
/// The breaker's first wait; doubles with every probe that fails.
pub const BREAKER_FIRST: Duration = Duration::from_secs(1);
/// The breaker's longest wait.
pub const BREAKER_LONGEST: Duration = Duration::from_secs(15);
/// An outage so long spends no attempts, not even those of its probes. After that each probe spends one: users whose
/// every call fails, where there are none but them, must come to their end.
pub const FREE_OUTAGE: Duration = Duration::from_secs(60 * 60);
/// Rounds of refused tokens, each begun after the one before had been seen, before the credentials are held to be bad.
pub const UNAUTHORIZED_ROUNDS: u32 = 3;

/// What was seen of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which job.
    pub job: JobKey,
    /// What the reply meant.
    pub verdict: Verdict,
    /// Whether the failure was our own (a panic): no sign of the vendor's health.
    pub ours: bool,
    /// When the call began, by the store's clock.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// What follows from what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// A hold to place.
    pub hold: Option<Hold>,
    /// The vendor is out: the failure spends no attempt; until when the job waits. A probe's job waits for longer than
    /// until the next probe, so that each probe is another job's.
    pub outage_until: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Eq)]
enum Breaker {
    Closed {
        failed: HashSet<JobKey>,
    },
    /// Until then nothing is leased; what begins afterwards is a probe.
    Open {
        until: Timestamp,
        wait: Duration,
        /// Since when nothing has gone through.
        since: Timestamp,
    },
}

/// An account's health, as one worker sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Health {
    breaker: Breaker,
    unauthorized: u32,
    /// When the last round of refused tokens was seen.
    counted_at: Option<Timestamp>,
}

impl Default for Health {
    fn default() -> Self {
        Self { breaker: Breaker::Closed { failed: HashSet::new() }, unauthorized: 0, counted_at: None }
    }
}

impl Health {
    /// Takes note of an attempt.
    pub fn observe(&mut self, seen: &Seen) -> Finding {
        match seen.verdict {
            Verdict::Applied
            | Verdict::AlreadyApplied
            | Verdict::Rejected
            | Verdict::NoSeat
            | Verdict::NotFound
            | Verdict::Unknown => {
                *self = Self::default();
                Finding::default()
            }
            Verdict::Unauthorized => Finding { hold: self.refused_token(seen), outage_until: None },
            Verdict::Transient | Verdict::Lost if !seen.ours => self.failed(seen),
            // A refusal for the rate, a missing scope, a panic of ours: says nothing about the vendor's health.
            Verdict::Throttled | Verdict::Forbidden | Verdict::Transient | Verdict::Lost => {
                Finding::default()
            }
        }
    }

    /// Takes note of a hold that the store told of: another worker's breaker is ours, too.
    pub fn observe_hold(&mut self, hold: &Hold) {
        if let (HoldReason::Breaker, Some(until)) = (hold.reason, hold.until) {
            let (wait, since) = match &self.breaker {
                Breaker::Open { wait, since, .. } => (*wait, *since),
                Breaker::Closed { .. } => {
                    (until.since(hold.since).clamp(BREAKER_FIRST, BREAKER_LONGEST), hold.since)
                }
            };
            self.breaker = Breaker::Open { until, wait, since };
        }
    }

    /// Whether only one call at a time may go out, as a probe.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        matches!(self.breaker, Breaker::Open { .. })
    }

    fn failed(&mut self, seen: &Seen) -> Finding {
        match &mut self.breaker {
            Breaker::Closed { failed } => {
                failed.insert(seen.job.clone());
                if failed.len() < BREAKER_JOBS {
                    return Finding::default();
                }
                let message = format!("the vendor failed for {} users in a row", failed.len());
                let hold = self.open(seen.ended_at, BREAKER_FIRST, seen.ended_at, &message);
                Finding { hold: Some(hold), outage_until: None }
            }
            Breaker::Open { until, .. } if seen.began_at < *until => {
                Finding { hold: None, outage_until: Some(*until) }
            }
            Breaker::Open { wait, since, .. } => {
                let (wait, since) = (wait.saturating_mul(2).min(BREAKER_LONGEST), *since);
                let hold = self.open(seen.ended_at, wait, since, "the vendor still fails");
                let free = seen.ended_at.since(since) < FREE_OUTAGE;
                let after_the_next = seen.ended_at.after(wait * 2);
                Finding { hold: Some(hold), outage_until: free.then_some(after_the_next) }
            }
        }
    }

    fn open(&mut self, now: Timestamp, wait: Duration, since: Timestamp, what: &str) -> Hold {
        let until = now.after(wait);
        self.breaker = Breaker::Open { until, wait, since };
        let message = format!("{what}; a probe follows at {until}");
        Hold { reason: HoldReason::Breaker, message, since: now, until: Some(until) }
    }

    fn refused_token(&mut self, seen: &Seen) -> Option<Hold> {
        // Calls that were in flight together were refused for one and the same token: they count once.
        if self.counted_at.is_some_and(|counted| seen.began_at < counted) {
            return None;
        }
        self.counted_at = Some(seen.ended_at);
        self.unauthorized += 1;
        (self.unauthorized >= UNAUTHORIZED_ROUNDS).then(|| {
            *self = Self::default();
            Hold {
                reason: HoldReason::Credentials,
                message: format!(
                    "the vendor refused {UNAUTHORIZED_ROUNDS} new tokens in a row. Check the account's credentials \
                     (`usher accounts check`), then `usher resume`"
                ),
                since: seen.ended_at,
                until: None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_760_000_000_000 + millis)
    }

    fn seen(seq: u64, verdict: Verdict, began: i64, ended: i64) -> Seen {
        let job = JobKey { run: "20261120-k3f9zm".parse().unwrap(), seq };
        Seen { job, verdict, ours: false, began_at: at(began), ended_at: at(ended) }
    }

    fn open_breaker() -> Health {
        let mut health = Health::default();
        for seq in 0..9 {
            assert_eq!(health.observe(&seen(seq, Verdict::Transient, 0, 10)), Finding::default());
        }
        let hold = health.observe(&seen(9, Verdict::Transient, 0, 10)).hold.unwrap();
        assert_eq!((hold.reason, hold.until), (HoldReason::Breaker, Some(at(1_010))));
        health
    }

    #[test]
    fn ten_users_failing_in_a_row_open_the_breaker_and_one_success_between_does_not() {
        open_breaker();
        let mut health = Health::default();
        for seq in 0..50 {
            assert_eq!(health.observe(&seen(seq, Verdict::Transient, 0, 10)).hold, None);
            if seq % 9 == 8 {
                health.observe(&seen(seq, Verdict::NotFound, 0, 10));
            }
        }
    }

    #[test]
    fn a_few_users_who_always_fail_never_open_it() {
        let mut health = Health::default();
        for round in 0..100 {
            assert_eq!(health.observe(&seen(round % 9, Verdict::Transient, 0, 10)), Finding::default());
        }
    }

    #[test]
    fn what_was_in_flight_when_it_opened_spends_no_attempt() {
        let mut health = open_breaker();
        let finding = health.observe(&seen(20, Verdict::Transient, 5, 500));
        assert_eq!(finding, Finding { hold: None, outage_until: Some(at(1_010)) });
    }

    #[test]
    fn a_failed_probe_doubles_the_wait_up_to_its_cap_and_a_good_one_closes_the_breaker() {
        let mut health = open_breaker();
        let mut began = 1_010;
        for expected in [2_000, 4_000, 8_000, 15_000, 15_000] {
            assert!(health.is_probing());
            let finding = health.observe(&seen(1, Verdict::Transient, began, began));
            let until = finding.hold.unwrap().until.unwrap();
            assert_eq!((until, finding.outage_until), (at(began + expected), Some(at(began + 2 * expected))));
            began += expected;
        }
        health.observe(&seen(1, Verdict::Applied, began, began));
        assert!(!health.is_probing());
    }

    #[test]
    fn probes_spend_attempts_once_the_outage_has_lasted_an_hour() {
        let mut health = open_breaker();
        for (began, free) in [(2_000_000, true), (3_600_000, true), (3_700_000, false)] {
            let finding = health.observe(&seen(1, Verdict::Transient, began, began));
            assert_eq!(finding.outage_until.is_some(), free, "{began}");
        }
    }

    #[test]
    fn another_worker_s_breaker_makes_this_one_probe() {
        let mut health = Health::default();
        let hold = Hold {
            reason: HoldReason::Breaker,
            message: String::new(),
            since: at(0),
            until: Some(at(4_000)),
        };
        health.observe_hold(&hold);
        assert!(health.is_probing());
        let next = health.observe(&seen(1, Verdict::Transient, 4_000, 4_000)).hold.unwrap();
        assert_eq!(next.until, Some(at(12_000)));
    }

    #[test]
    fn a_panic_of_ours_is_no_sign_of_the_vendor_s_health() {
        let mut health = Health::default();
        for seq in 0..50 {
            let finding = health.observe(&Seen { ours: true, ..seen(seq, Verdict::Transient, 0, 1) });
            assert_eq!(finding, Finding::default());
        }
    }

    #[test]
    fn forty_calls_refused_with_one_token_count_once_and_three_tokens_hold_the_account() {
        let mut health = Health::default();
        for seq in 0..40 {
            assert_eq!(health.observe(&seen(seq, Verdict::Unauthorized, 0, 100)), Finding::default());
        }
        assert_eq!(health.observe(&seen(1, Verdict::Unauthorized, 100, 200)).hold, None);
        let hold = health.observe(&seen(1, Verdict::Unauthorized, 200, 300)).hold.unwrap();
        assert_eq!((hold.reason, hold.until), (HoldReason::Credentials, None));
    }

    #[test]
    fn a_success_between_forgets_refused_tokens() {
        let mut health = Health::default();
        for round in 0..10 {
            assert_eq!(
                health.observe(&seen(1, Verdict::Unauthorized, round * 10, round * 10 + 1)).hold,
                None
            );
            health.observe(&seen(2, Verdict::Applied, round * 10 + 2, round * 10 + 3));
        }
    }
}

//! When a run's calls were made, told from its ledger: how long it worked, how long it stood still, and after what.

use std::{collections::BTreeMap, time::Duration};

use usher_shared::{Attempt, OutcomeRow, RunId, Timestamp, Verdict, store::SharedStore, store::StoreError};

/// A time without a call that is shorter than this is no standing still.
const STILL_MS: i64 = 2_000;
/// The longest stands, whose cause is looked up.
const LOOKED_UP: usize = 8;
/// A stand that ends so soon after 00:00 UTC, and began with a refusal, was for the day's quota.
const AFTER_MIDNIGHT_MS: i64 = 120_000;
/// The call that a stand came after may have begun in an earlier second than the last one that ended before it.
const SHORTLY_S: i64 = 3;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// When calls were made, to the second: so a run of a million users needs no more memory than the seconds it took.
#[derive(Debug, Default)]
pub struct Rhythm(BTreeMap<i64, Second>);

/// The calls of one second.
#[derive(Clone, Copy, Debug)]
struct Second {
    first: i64,
    last: i64,
    /// A job first tried in this second and last tried much later: the place, and when that was.
    long: Option<(u64, i64)>,
}

/// A time in which no call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// How long.
    pub time: Duration,
    /// After what.
    pub after: Cause,
}

/// What a run stood still after, as far as its ledger tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The vendor refused for the rate limit.
    Refusal,
    /// The vendor refused, and the stand ended with the day.
    Day,
    /// Calls failed.
    Failures,
    /// A worker died, or lost its leases.
    Death,
    /// Nothing was tried: a pause, no worker, or a quota that was known to be used up.
    Nothing,
}

impl Rhythm {
    /// Takes note of a job.
    pub fn add(&mut self, row: &OutcomeRow) {
        let (Some(first), Some(last)) = (row.first_attempt_at, row.last_attempt_at) else { return };
        let (first, last) = (first.as_millis(), last.as_millis());
        self.note(last);
        let second = self.note(first);
        if last - first >= STILL_MS && second.long.is_none_or(|(_, until)| last > until) {
            second.long = Some((row.seq, last));
        }
    }

    fn note(&mut self, at: i64) -> &mut Second {
        let second = self.0.entry(at.div_euclid(1_000)).or_insert(Second { first: at, last: at, long: None });
        second.first = second.first.min(at);
        second.last = second.last.max(at);
        second
    }

    /// The stands, and what the ledger knows of their causes. `spacing` is the usual time between two calls.
    pub async fn stands(
        &mut self,
        store: &SharedStore,
        run: &RunId,
        spacing: Duration,
    ) -> Result<Vec<Stand>, StoreError> {
        let mut witnesses = Vec::new();
        for gap in self.gaps(spacing).into_iter().take(LOOKED_UP) {
            if let Some(seq) = gap.witness {
                witnesses.push(store.attempts(run, seq).await?);
            }
        }
        // What a witness tried in between was a call, too, though its row names the first and the last alone.
        for attempt in witnesses.iter().flatten() {
            self.note(attempt.began_at.as_millis());
            self.note(attempt.ended_at.as_millis());
        }
        let stands = self.gaps(spacing).into_iter().map(|gap| gap.stand(&witnesses));
        Ok(stands.collect())
    }

    /// The times without a call, the longest first.
    fn gaps(&self, spacing: Duration) -> Vec<Gap> {
        let usual = i64::try_from(spacing.as_millis()).unwrap_or(i64::MAX);
        let still = STILL_MS.max(usual.saturating_mul(5));
        let mut gaps: Vec<Gap> = self
            .0
            .values()
            .zip(self.0.values().skip(1))
            .filter(|(before, after)| after.first - before.last >= still)
            .map(|(before, after)| Gap {
                from: before.last,
                to: after.first,
                witness: self.witness(before.last, after.first),
            })
            .collect();
        gaps.sort_by_key(|gap| gap.from - gap.to);
        gaps
    }

    /// A job that was first tried shortly before a gap, and last after it.
    fn witness(&self, from: i64, to: i64) -> Option<u64> {
        let shortly = from.div_euclid(1_000) - SHORTLY_S..=from.div_euclid(1_000);
        let mut long = self.0.range(shortly).rev().filter_map(|(_, second)| second.long);
        long.find(|(_, until)| *until >= to).map(|(seq, _)| seq)
    }
}

/// A time without a call, and a job that was tried before it and after it.
#[derive(Clone, Copy, Debug)]
struct Gap {
    from: i64,
    to: i64,
    witness: Option<u64>,
}

impl Gap {
    fn stand(&self, witnesses: &[Vec<Attempt>]) -> Stand {
        let time = Timestamp::from_millis(self.to).since(Timestamp::from_millis(self.from));
        let before = witnesses.iter().filter_map(|attempts| {
            attempts.iter().rfind(|attempt| attempt.ended_at.as_millis() <= self.from)
        });
        // Of the attempts before it, the one that ended next to it.
        let last = before.max_by_key(|attempt| attempt.ended_at);
        let next_to_it = last.filter(|attempt| self.from - attempt.ended_at.as_millis() < STILL_MS);
        // An attempt that had changed its user before it was refused for the rate stands as `transient`, with the 429.
        let refused = |attempt: &Attempt| attempt.verdict == Verdict::Transient && attempt.http == Some(429);
        let meant = |attempt: &Attempt| if refused(attempt) { Verdict::Throttled } else { attempt.verdict };
        let after = match next_to_it.map(meant) {
            Some(Verdict::Throttled) if self.to.rem_euclid(DAY_MS) < AFTER_MIDNIGHT_MS => Cause::Day,
            Some(Verdict::Throttled) => Cause::Refusal,
            Some(Verdict::Transient) => Cause::Failures,
            Some(Verdict::Lost) => Cause::Death,
            _ => Cause::Nothing,
        };
        Stand { time, after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64, first: i64, last: i64) -> OutcomeRow {
        OutcomeRow {
            seq,
            line: seq + 1,
            user: "ann@corp.example".parse().unwrap(),
            action: usher_shared::Action::Deactivate,
            reason: None,
            resolved: None,
            outcome: usher_shared::Outcome::Applied,
            code: None,
            message: None,
            attempts: 1,
            first_attempt_at: Some(Timestamp::from_millis(first)),
            last_attempt_at: Some(Timestamp::from_millis(last)),
            worker: None,
        }
    }

    fn attempt(began: i64, ended: i64, verdict: Verdict) -> Attempt {
        Attempt {
            began_at: Timestamp::from_millis(began),
            ended_at: Timestamp::from_millis(ended),
            calls: 1,
            http: None,
            verdict,
            code: None,
            worker: usher_shared::WorkerId::new("w"),
        }
    }

    #[test]
    fn a_steady_run_never_stood_still_and_a_pause_is_found_to_the_millisecond() {
        let mut rhythm = Rhythm::default();
        for n in 0..800 {
            rhythm.add(&row(n as u64, n * 12, n * 12 + 60));
        }
        assert!(rhythm.gaps(Duration::ZERO).is_empty());
        rhythm.add(&row(900, 9_600, 14_710));
        rhythm.add(&row(901, 14_650, 14_700));
        let gaps = rhythm.gaps(Duration::ZERO);
        assert_eq!((gaps.len(), gaps[0].from, gaps[0].to, gaps[0].witness), (1, 9_648, 14_650, Some(900)));
        assert!(rhythm.gaps(Duration::from_secs(2)).is_empty(), "such a pace knows longer times");
    }

    #[test]
    fn the_cause_is_the_attempt_next_to_the_stand() {
        let midnight = 3 * DAY_MS;
        let gap = |from, to| Gap { from, to, witness: Some(1) };
        let cases = [
            (gap(midnight + 901_000, midnight + 906_000), Some(Verdict::Throttled), Cause::Refusal),
            (gap(midnight - 9_000_000, midnight + 500), Some(Verdict::Throttled), Cause::Day),
            (gap(midnight + 901_000, midnight + 906_000), Some(Verdict::Transient), Cause::Failures),
            (gap(midnight + 901_000, midnight + 906_000), Some(Verdict::Lost), Cause::Death),
            (gap(midnight + 901_000, midnight + 906_000), Some(Verdict::Applied), Cause::Nothing),
            (gap(midnight + 901_000, midnight + 906_000), None, Cause::Nothing),
        ];
        for (gap, verdict, expected) in cases {
            let attempts = verdict.map(|verdict| {
                vec![
                    attempt(gap.from - 60, gap.from - 10, verdict),
                    attempt(gap.to, gap.to + 50, Verdict::Applied),
                ]
            });
            let stand = gap.stand(attempts.as_slice());
            assert_eq!(stand.after, expected, "{gap:?} {verdict:?}");
            assert_eq!(stand.time, Duration::from_millis((gap.to - gap.from) as u64));
        }
        let long_ago = vec![attempt(0, 10, Verdict::Throttled)];
        assert_eq!(gap(60_000, 90_000).stand(&[long_ago]).after, Cause::Nothing);
    }
}

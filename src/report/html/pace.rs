//! When a run's calls were made: what the ledger tells, second by second.

use std::collections::BTreeMap;

use usher_shared::{Attempt, OutcomeRow, RunId, store::SharedStore, store::StoreError};

/// Users who were tried more than once, whose attempts are read one user at a time.
const LOOKED_UP: usize = 5_000;
/// Bars of the chart at most.
const BARS: i64 = 120;
/// Widths that a bar has, in seconds: what a person can reckon with.
const WIDTHS: [i64; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600];

/// Calls, by the second in which their attempt began.
#[derive(Debug, Default)]
pub struct Pace {
    seconds: BTreeMap<i64, u64>,
    often: Vec<u64>,
}

/// What the chart of a run's calls shows.
#[derive(Debug, PartialEq)]
pub struct Bars {
    /// When the first bar begins, in seconds since 1970.
    pub from: i64,
    /// Seconds that one bar stands for.
    pub width: i64,
    /// Calls a second in each.
    pub rates: Vec<f64>,
    /// Calls in all of them.
    pub calls: u64,
}

impl Pace {
    /// Takes note of a user.
    pub fn add(&mut self, row: &OutcomeRow) {
        match (row.attempts, row.first_attempt_at) {
            (1, Some(at)) => self.note(at.as_millis(), 1),
            (2.., _) if self.often.len() < LOOKED_UP => self.often.push(row.seq),
            (2.., Some(at)) => self.note(at.as_millis(), 1),
            _ => {}
        }
    }

    fn note(&mut self, at: i64, calls: u64) {
        *self.seconds.entry(at.div_euclid(1_000)).or_default() += calls;
    }

    fn tried(&mut self, attempts: &[Attempt]) {
        for attempt in attempts {
            self.note(attempt.began_at.as_millis(), attempt.calls.max(1).into());
        }
    }

    /// Reads the attempts of those who were tried more than once.
    pub async fn look_up(&mut self, store: &SharedStore, run: &RunId) -> Result<(), StoreError> {
        for seq in std::mem::take(&mut self.often) {
            self.tried(&store.attempts(run, seq).await?);
        }
        Ok(())
    }

    /// The bars of the chart; `None` where no call is known.
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    pub fn bars(&self) -> Option<Bars> {
        let (first, last) = (*self.seconds.keys().next()?, *self.seconds.keys().next_back()?);
        let span = last - first + 1;
        let wide = || (span / BARS / 86_400 + 1) * 86_400;
        let width = WIDTHS.into_iter().find(|width| span <= width * BARS).unwrap_or_else(wide);
        let mut counts = vec![0_u64; usize::try_from((last - first) / width + 1).unwrap_or(1)];
        for (second, calls) in &self.seconds {
            if let Some(count) =
                usize::try_from((second - first) / width).ok().and_then(|at| counts.get_mut(at))
            {
                *count += calls;
            }
        }
        let calls = counts.iter().sum();
        // The last bar may be cut short by the end of the run: it stands for the seconds that it has.
        let ended = span - (span - 1) / width * width;
        let bars = counts.len();
        let seconds = |at: usize| if at + 1 == bars { ended } else { width } as f64;
        let rates = counts.iter().enumerate().map(|(at, count)| *count as f64 / seconds(at)).collect();
        Some(Bars { from: first, width, rates, calls })
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::{Timestamp, Verdict, WorkerId};

    use super::*;

    fn attempt(at: i64, calls: u32) -> Attempt {
        let at = Timestamp::from_millis(at);
        let worker = WorkerId::new("w");
        Attempt {
            began_at: at,
            ended_at: at,
            calls,
            http: None,
            verdict: Verdict::Applied,
            code: None,
            worker,
        }
    }

    #[test]
    fn every_call_is_in_one_bar_whatever_the_run_s_length() {
        assert_eq!(Pace::default().bars(), None);
        for (span, width) in [(1, 1), (120, 1), (121, 2), (3_600, 30), (86_400, 1_800), (9_000_000, 86_400)] {
            let mut pace = Pace::default();
            for second in 0..span.min(5_000) {
                pace.tried(&[attempt(second * 1_000 + 999, 2)]);
            }
            pace.tried(&[attempt((span - 1) * 1_000, 0)]);
            let bars = pace.bars().unwrap();
            assert_eq!((bars.width, bars.from), (width, 0), "{span}");
            assert_eq!(bars.calls, span.min(5_000) as u64 * 2 + 1, "{span}");
            assert!(
                bars.rates.len() as i64 <= BARS
                    && bars.rates[0] >= 2.0 * (5_000.0 / span as f64).min(1.0) * 0.99
            );
        }
    }

    #[test]
    fn the_last_bar_is_not_lowered_by_the_time_after_the_run() {
        let mut pace = Pace::default();
        for second in 0..123 {
            pace.tried(&[attempt(second * 1_000, 80)]);
        }
        assert!(pace.bars().unwrap().rates.iter().all(|rate| (rate - 80.0).abs() < 1e-9));
    }
}

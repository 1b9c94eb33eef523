//! A run's state as scripts pack it: lua/lib_runs.lua has the same layout.

use std::collections::BTreeMap;

use super::record::{self, Flaw};
use crate::{Counters, Effort, Outcome, RunPhase, Timestamp};

/// Bytes of the packed state: four letters and flags, sixteen counts, four moments, a count for each outcome.
const LENGTH: usize = 4 + 16 * 4 + 4 * 8 + 12 * 4;

/// The outcomes by letter, in the order of their counts.
const LETTERS: [&str; 12] = ["a", "y", "r", "n", "p", "d", "u", "s", "x", "e", "c", "k"];

/// A run's state.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub phase: RunPhase,
    pub rank: u8,
    pub paused: bool,
    pub cancelled: bool,
    pub admission: Option<u64>,
    /// One past the last place.
    pub next: u64,
    pub counters: Counters,
    pub effort: Effort,
    pub sealed_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// Takes little-endian numbers off the front.
struct Packed<'a>(&'a [u8]);

impl Packed<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (first, rest) = self.0.split_first_chunk().ok_or("a packed state that is too short")?;
        self.0 = rest;
        Ok(*first)
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    fn count(&mut self) -> Result<u64, Flaw> {
        Ok(u32::from_le_bytes(self.take()?).into())
    }

    /// 0 stands for none.
    fn moment(&mut self) -> Result<Option<Timestamp>, Flaw> {
        let millis = i64::from_le_bytes(self.take()?);
        Ok((millis != 0).then_some(Timestamp::from_millis(millis)))
    }
}

/// The phase that a letter stands for.
pub(super) fn phase(letter: u8) -> Result<RunPhase, Flaw> {
    Ok(match letter {
        b'o' => RunPhase::Open,
        b's' => RunPhase::Sealed,
        b'r' => RunPhase::Resolved,
        b'a' => RunPhase::Admitted,
        b'f' => RunPhase::Finished,
        b'c' => RunPhase::Cancelled,
        other => return Err(format!("{:?} is no phase", char::from(other))),
    })
}

impl State {
    /// Reads a packed state.
    pub(super) fn unpack(bytes: &[u8]) -> Result<Self, Flaw> {
        if bytes.len() < LENGTH {
            return Err(format!("a packed state of {} bytes", bytes.len()));
        }
        let mut packed = Packed(bytes);
        let (phase, rank) = (phase(packed.byte()?)?, packed.byte()?);
        let (paused, cancelled) = (packed.byte()? == 1, packed.byte()? == 1);
        let admission = packed.count()?;
        let (total, next, _appended, _cursor) =
            (packed.count()?, packed.count()?, packed.count()?, packed.count()?);
        let (pending, queued, leased, finished) =
            (packed.count()?, packed.count()?, packed.count()?, packed.count()?);
        let (duplicates, _unresolved) = (packed.count()?, packed.count()?);
        let (attempts, calls, throttled, retries, lost) =
            (packed.count()?, packed.count()?, packed.count()?, packed.count()?, packed.count()?);
        let (first_attempt_at, last_attempt_at) = (packed.moment()?, packed.moment()?);
        let (sealed_at, finished_at) = (packed.moment()?, packed.moment()?);
        let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
        for letter in LETTERS {
            let count = packed.count()?;
            if count > 0 {
                outcomes.insert(record::outcome_of_letter(letter)?, count);
            }
        }
        Ok(Self {
            phase,
            rank,
            paused,
            cancelled,
            admission: (admission > 0 && phase >= RunPhase::Admitted).then_some(admission),
            next,
            counters: Counters { total, pending, queued, leased, finished, outcomes, duplicates },
            effort: Effort { attempts, calls, throttled, retries, lost, first_attempt_at, last_attempt_at },
            sealed_at,
            finished_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_cut_short_or_odd_is_refused_and_never_a_panic() {
        let mut whole = vec![0; LENGTH];
        (whole[0], whole[1], whole[4], whole[8]) = (b'a', 2, 7, 9);
        let state = State::unpack(&whole).unwrap();
        assert_eq!((state.phase, state.rank, state.admission), (RunPhase::Admitted, 2, Some(7)));
        assert_eq!((state.counters.total, state.sealed_at), (9, None));
        for length in 0..LENGTH {
            assert!(State::unpack(&whole[..length]).is_err(), "{length}");
        }
        whole[0] = b'?';
        assert!(State::unpack(&whole).is_err());
    }

    #[test]
    fn the_outcomes_stand_in_the_order_of_the_scripts() {
        let script = include_str!("lua/lib_runs.lua");
        assert!(script.contains(&format!("LETTERS = '{}'", LETTERS.concat())));
        let all: std::collections::BTreeSet<_> =
            LETTERS.iter().map(|letter| record::outcome_of_letter(letter).unwrap()).collect();
        assert_eq!(all.len(), Outcome::ALL.len());
    }
}

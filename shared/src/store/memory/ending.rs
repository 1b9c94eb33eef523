//! How the rest of a run is ended, and how what ended is tried again.

use super::State;
use crate::{
    Ending, RunId, RunPhase, Timestamp,
    store::{CHUNK, StoreError},
};

impl State {
    pub(super) fn end(
        &mut self,
        id: &RunId,
        ending: &Ending,
        limit: usize,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let run = self.visible(id)?;
        if run.phase == RunPhase::Cancelled {
            return Ok(0);
        }
        let run = self.steered(id, "it can't be cancelled any more")?;
        let ending = run.ending().unwrap_or_else(|| ending.clone());
        run.cancelled = true;
        let free = run.jobs.iter_mut().filter(|(_, job)| job.is_free());
        free.take(limit.min(CHUNK)).for_each(|(seq, job)| job.end_with(*seq, &ending));
        run.notes.ending = Some(ending);
        run.end_if_done(now);
        let counters = run.status(None).counters;
        Ok(counters.total - counters.finished)
    }

    pub(super) fn reopen(&mut self, id: &RunId, seqs: &[u64]) -> Result<u64, StoreError> {
        let run = self.visible(id)?;
        let reopened = run.phase == RunPhase::Sealed && run.paused && !run.cancelled;
        if !run.phase.is_over() && !reopened {
            return run.refuse("what ended is tried again once all of it is over");
        }
        let mut again = 0;
        for seq in seqs {
            again += u64::from(run.jobs.get_mut(seq).is_some_and(|job| job.try_again()));
        }
        if again > 0 {
            (run.phase, run.paused, run.cancelled) = (RunPhase::Sealed, true, false);
            (run.finished_at, run.fresh_at, run.steward) = (None, None, None);
            (run.notes.held, run.notes.approval, run.notes.ending) = (None, None, None);
        }
        Ok(again)
    }
}

//! Old runs are forgotten.

use std::collections::BTreeSet;

use super::{
    State,
    jobs::{Place, Run},
};
use crate::{AccountName, Outcome, RunId, Timestamp, store::CHUNK};

/// What is kept of a run that was forgotten: whom it decided about, for as long as an older run may come round to them.
#[derive(Debug)]
pub(super) struct Pruned {
    pub(super) run: RunId,
    account: AccountName,
    pub(super) number: u64,
    users: BTreeSet<String>,
    /// Rows that are not gone yet.
    rows: usize,
}

impl Pruned {
    /// Whether it decides about the user, and not that run.
    pub(super) fn decides_over(&self, run: &Run, key: &str) -> bool {
        self.account == run.run.account && self.number > run.number && self.users.contains(key)
    }
}

impl State {
    pub(super) fn prune(&mut self, ended_before: Timestamp) -> Option<(RunId, bool)> {
        // What was begun is brought to its end first.
        let begun = self.pruned.iter().position(|pruned| pruned.rows > 0);
        let at = begun.or_else(|| self.begin_to_prune(ended_before))?;
        let pruned = &mut self.pruned[at];
        pruned.rows = pruned.rows.saturating_sub(CHUNK);
        let answer = (pruned.run.clone(), pruned.rows == 0);
        let unfinished: Vec<_> = self
            .runs
            .values()
            .filter(|run| !run.phase.is_over() && run.number > 0)
            .map(|run| (run.run.account.clone(), run.number))
            .collect();
        self.pruned.retain(|pruned| {
            let is_older = |(account, number): &(AccountName, u64)| {
                *account == pruned.account && *number < pruned.number
            };
            pruned.rows > 0 || unfinished.iter().any(is_older)
        });
        Some(answer)
    }

    /// Takes the oldest of the runs that ended before then out of sight.
    fn begin_to_prune(&mut self, ended_before: Timestamp) -> Option<usize> {
        let over = self.runs.values().filter(|run| run.phase.is_over());
        let ended = over.filter_map(|run| Some((run.finished_at?, run.number, run.run.id.clone())));
        let (_, number, id) = ended.filter(|(at, ..)| *at < ended_before).min()?;
        let run = self.runs.remove(&id)?;
        self.keys.retain(|_, (_, standing)| *standing != id);
        let decided = |outcome| !matches!(outcome, Outcome::Cancelled | Outcome::Expired);
        let stands =
            run.jobs.values().filter(|job| matches!(&job.place, Place::Done(row) if decided(row.outcome)));
        self.pruned.push(Pruned {
            run: id,
            account: run.run.account.clone(),
            number,
            users: stands.filter_map(|job| job.user()).map(crate::ResolvedUser::key).collect(),
            rows: run.jobs.values().map(|job| 1 + job.attempts.len()).sum::<usize>().max(1),
        });
        Some(self.pruned.len() - 1)
    }
}

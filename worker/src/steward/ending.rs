//! How a run ends: by its deadline, by somebody's word, or because every job has its outcome.

use std::collections::HashSet;

use usher_shared::{
    Ending, RunId, RunStatus,
    audit::AuditKind,
    store::{CHUNK, StoreError},
};

use super::Steward;
use crate::{account::Account, admit::day_of, audit::teller::came_to, deadline::misses_by, provider::Call};

impl Steward {
    /// The deadline has come: what no worker holds ends, and nothing more is leased.
    pub(super) async fn expire(&mut self, run: &RunStatus) -> Result<bool, StoreError> {
        let (account, id) = (self.account.clone(), &run.run.id);
        let left = run.counters.total - run.counters.finished;
        account.tell(AuditKind::Expired, run, Some(format!("{left} users were not done"))).await?;
        tracing::warn!(run = %id, account = %account.name, left, "the run's deadline has come");
        self.end(run, &Ending::deadline()).await
    }

    /// Ends more of a run that is being ended.
    pub(super) async fn sweep(&mut self, run: &RunStatus) -> Result<bool, StoreError> {
        // The first ending stands, whatever is said here.
        let ending = run.notes.ending.clone().unwrap_or_else(Ending::cancelled);
        self.end(run, &ending).await
    }

    async fn end(&mut self, run: &RunStatus, ending: &Ending) -> Result<bool, StoreError> {
        let (account, id) = (self.account.clone(), &run.run.id);
        if run.admission.is_none() && account.rules.caps.users_per_day.is_some() {
            take_back(&account, id).await?;
        }
        let left = account.store.end(id, ending, CHUNK).await?;
        if left == 0 {
            self.ended.insert(id.clone());
        }
        // What is left may all be in flight: the next look tells.
        let swept = run.counters.pending + run.counters.queued;
        Ok(left > 0 && swept > CHUNK as u64)
    }

    /// Tells of runs that were at work at the last look and are over now: once, by the worker that had the last word.
    pub(super) async fn tell_finished(&mut self, runs: &[RunStatus]) -> Result<(), StoreError> {
        let at_work: HashSet<RunId> =
            runs.iter().filter(|run| !run.phase.is_over()).map(|run| run.run.id.clone()).collect();
        let gone: Vec<RunId> = self.at_work.difference(&at_work).cloned().collect();
        for id in gone {
            let status = self.account.store.run(&id).await?.filter(|status| status.phase.is_over());
            if let Some(status) = status {
                let last = self.account.recorded_last(&status);
                if last || self.ended.remove(&id) {
                    self.account.tell(AuditKind::Finished, &status, Some(came_to(&status))).await?;
                }
            }
            self.at_work.remove(&id);
            self.resolved.remove(&id);
            self.undos.remove(&id);
            self.full.remove(&id);
            self.warned.remove(&id);
        }
        self.at_work = at_work;
        Ok(())
    }

    /// Says once of each run that it will not make its deadline.
    pub(super) fn warn_of_deadlines(&mut self, runs: &[RunStatus]) {
        let account = &self.account;
        for run in runs.iter().filter(|run| run.run.terms.deadline.is_some()) {
            let action = run.by_action.keys().next().copied().unwrap_or(usher_shared::Action::Deactivate);
            let label = account.provider.label(Call::Apply(action));
            let rate = account.limiter.status(label).per_second.unwrap_or(f64::INFINITY);
            if let Some(over) = misses_by(run, rate, account.now())
                && self.warned.insert(run.run.id.clone())
            {
                tracing::warn!(
                    run = %run.run.id, account = %account.name, seconds = over.as_secs(),
                    "the run will not make its deadline at the present rate: what is not done by then ends as expired"
                );
            }
        }
    }
}

/// A run that never began has changed nobody: its users do not count towards the day's cap.
async fn take_back(account: &Account, run: &RunId) -> Result<(), StoreError> {
    let day = day_of(account.store.now().await?);
    while account.store.unreserve(run, day).await? > 0 {}
    Ok(())
}

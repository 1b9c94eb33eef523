//! From open to worked: append, seal, resolve, admit, promote.

use std::time::Duration;

use super::{
    State,
    jobs::{Job, Place, Run, Stewardship},
};
use crate::{
    AccountName, NewRun, Request, RunId, RunPhase, Timestamp, WorkerId,
    audit::AuditEvent,
    store::{CHUNK, OPEN_RUN_EXPIRES, Resolution, Seal, Sealed, Steward, StoreError},
};

/// Why a run that stood still moves no further.
const STOOD_STILL: &str = "it stood still, so its users are resolved again before it goes on";

impl State {
    pub(super) fn open_run(&mut self, run: &NewRun, now: Timestamp) -> Result<(), StoreError> {
        if self.runs.contains_key(&run.id) {
            return Err(StoreError::IdTaken(run.id.clone()));
        }
        self.runs.insert(run.id.clone(), Run::open(run, now));
        Ok(())
    }

    pub(super) fn append(
        &mut self,
        run: &RunId,
        first_seq: u64,
        requests: &[Request],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let run = self.known(run)?;
        if run.phase != RunPhase::Open {
            return run.refuse("nothing can be added to it");
        }
        for (seq, request) in (first_seq..).zip(requests) {
            run.jobs.entry(seq).or_insert_with(|| Job::new(request.clone()));
        }
        run.touched_at = now;
        Ok(())
    }

    pub(super) fn seal(&mut self, id: &RunId, seal: &Seal, now: Timestamp) -> Result<Sealed, StoreError> {
        let key = &seal.idempotency;
        let Some(run) = self.runs.get(id) else {
            // Asked for again: the content is another run, for which this one was discarded.
            let mut standing = self.keys.iter();
            let same = standing.find(|((_, name), (digest, _))| *name == key.key && *digest == key.digest);
            let existing = same.map(|(_, (_, existing))| existing.clone());
            return existing.map(Sealed::Existing).ok_or_else(|| StoreError::NoSuchRun(id.clone()));
        };
        if let Some(before) = &run.seal {
            let same = before.total == seal.total
                && before.by_action == seal.by_action
                && (&before.idempotency.key, &before.idempotency.digest) == (&key.key, &key.digest);
            return if same {
                Ok(Sealed::New { previous: run.previous.clone() })
            } else {
                run.refuse("it was sealed with other content")
            };
        }
        if seal.total == 0 {
            return run.refuse("it has no requests, so it can't be sealed");
        }
        let found = run.jobs.len() as u64;
        if found != seal.total {
            return Err(StoreError::Incomplete { run: id.clone(), expected: seal.total, found });
        }
        let stands_under = (run.run.account.clone(), key.key.clone());
        let mut previous = None;
        if let Some((digest, existing)) = self.keys.get(&stands_under).cloned() {
            if digest != key.digest {
                return Err(StoreError::Conflict { key: key.key.clone(), existing });
            }
            let over = self.runs.get(&existing).is_none_or(|run| run.phase.is_over());
            if !(over && key.again_after_end) {
                self.runs.remove(id);
                return Ok(Sealed::Existing(existing));
            }
            previous = Some(existing);
        }
        let number = self.next_number(stands_under.0.clone());
        self.keys.insert(stands_under, (key.digest.clone(), id.clone()));
        let run = self.known(id)?;
        run.number = number;
        (run.phase, run.sealed_at) = (RunPhase::Sealed, Some(now));
        (run.seal, run.previous) = (Some(seal.clone()), previous.clone());
        Ok(Sealed::New { previous })
    }

    pub(super) fn submit(
        &mut self,
        run: &NewRun,
        requests: &[Request],
        seal: &Seal,
        event: &AuditEvent,
        now: Timestamp,
    ) -> Result<Sealed, StoreError> {
        if let Some(known) = self.runs.get(&run.id) {
            // By this very call, perhaps.
            let same = known.phase != RunPhase::Open && known.run == *run;
            return if same {
                self.seal(&run.id, seal, now)
            } else {
                Err(StoreError::IdTaken(run.id.clone()))
            };
        }
        self.open_run(run, now)?;
        let sealed = self.append(&run.id, 0, requests, now).and_then(|()| self.seal(&run.id, seal, now));
        match &sealed {
            Ok(Sealed::New { .. }) => drop(self.tell(event, now)?),
            Ok(Sealed::Existing(_)) => {}
            Err(_) => drop(self.runs.remove(&run.id)),
        }
        sealed
    }

    /// The number of the next run of an account.
    pub(super) fn next_number(&mut self, account: AccountName) -> u64 {
        let number = self.admissions.entry(account).or_default();
        *number += 1;
        *number
    }

    pub(super) fn discard(&mut self, id: &RunId) -> Result<(), StoreError> {
        let run = self.known(id)?;
        if run.phase != RunPhase::Open {
            return run.refuse("only an open run can be discarded");
        }
        self.runs.remove(id);
        Ok(())
    }

    pub(super) fn expire_open_runs(&mut self, now: Timestamp) -> u64 {
        let before = self.runs.len();
        self.runs
            .retain(|_, run| run.phase != RunPhase::Open || run.touched_at.after(OPEN_RUN_EXPIRES) > now);
        (before - self.runs.len()) as u64
    }

    pub(super) fn take_steward(
        &mut self,
        id: &RunId,
        worker: &WorkerId,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Steward>, StoreError> {
        let next = self.tokens + 1;
        let run = self.visible(id)?;
        if !run.is_to_be_resolved(now) || run.paused || run.cancelled {
            return Ok(None);
        }
        let held = run.steward.as_ref().filter(|held| held.until > now);
        let token = match held {
            Some(held) if held.worker != *worker => return Ok(None),
            Some(own) => own.token,
            None => next,
        };
        run.steward = Some(Stewardship { token, worker: worker.clone(), until: now.after(ttl) });
        self.tokens = next;
        Ok(Some(Steward { run: id.clone(), token, worker: worker.clone() }))
    }

    /// The run, if the stewardship is in force.
    fn stewarded(&mut self, steward: &Steward, now: Timestamp) -> Result<&mut Run, StoreError> {
        let run = self.visible(&steward.run)?;
        let kept = run.steward.as_ref();
        let in_force = kept.is_some_and(|kept| kept.token == steward.token && kept.until > now);
        let resolving = run.phase == RunPhase::Sealed || run.stood_still(now);
        if in_force && resolving && !run.cancelled {
            Ok(run)
        } else {
            Err(StoreError::LeaseLapsed(format!("the resolving of run {}", steward.run)))
        }
    }

    pub(super) fn renew_steward(
        &mut self,
        steward: &Steward,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(kept) = &mut self.stewarded(steward, now)?.steward {
            kept.until = now.after(ttl);
        }
        Ok(())
    }

    pub(super) fn resolve(
        &mut self,
        steward: &Steward,
        resolved: &[(u64, Resolution)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let run = self.stewarded(steward, now)?;
        if resolved.iter().any(|(seq, _)| !run.jobs.contains_key(seq)) {
            return run.refuse("it has no request waiting at a place that was resolved");
        }
        if run.phase != RunPhase::Sealed {
            if resolved.iter().any(|(_, resolution)| matches!(resolution, Resolution::Duplicate { .. })) {
                return run.refuse("its users are known apart, so none of them is a duplicate");
            }
            for (seq, resolution) in resolved {
                if let Some(job) = run.jobs.get_mut(seq) {
                    job.resolve_again(*seq, resolution.clone(), now);
                }
            }
            run.end_if_done(now);
            return Ok(());
        }
        for (seq, resolution) in resolved {
            if let Some(job) = run.jobs.get_mut(seq) {
                job.resolve(resolution.clone(), now);
            }
        }
        Ok(())
    }

    pub(super) fn finish_resolving(&mut self, steward: &Steward, now: Timestamp) -> Result<(), StoreError> {
        let run = self.visible(&steward.run)?;
        let own = run.steward.as_ref().is_some_and(|kept| kept.token == steward.token);
        if own && run.phase != RunPhase::Sealed && !run.stood_still(now) && !run.cancelled {
            // It did so before.
            return Ok(());
        }
        let run = self.stewarded(steward, now)?;
        if run.jobs.values().any(|job| job.resolution.is_none() && job.outcome().is_none()) {
            return run.refuse("some of its requests have no resolution yet");
        }
        if run.phase == RunPhase::Sealed {
            run.phase = RunPhase::Resolved;
        }
        run.fresh_at = Some(now);
        Ok(())
    }

    pub(super) fn admit(&mut self, id: &RunId, now: Timestamp) -> Result<u64, StoreError> {
        let run = self.visible(id)?;
        if run.is_admitted() {
            return Ok(run.number);
        }
        if run.cancelled || run.phase != RunPhase::Resolved {
            return run.refuse("it can't be admitted");
        }
        if run.stood_still(now) {
            return run.refuse(STOOD_STILL);
        }
        run.phase = RunPhase::Admitted;
        run.end_if_done(now);
        Ok(run.number)
    }

    pub(super) fn promote(&mut self, id: &RunId, limit: usize, now: Timestamp) -> Result<u64, StoreError> {
        let run = self.visible(id)?;
        if run.phase.is_over() {
            return Ok(0);
        }
        if run.phase != RunPhase::Admitted || run.cancelled {
            return run.refuse("it can't be put into the queue");
        }
        if run.stood_still(now) {
            return run.refuse(STOOD_STILL);
        }
        let is_pending = |job: &Job| matches!(job.place, Place::Pending) && !job.is_duplicate();
        let pending = run.jobs.iter_mut().filter(|(_, job)| is_pending(job));
        for (seq, job) in pending.take(limit.min(CHUNK)) {
            match job.resolution.clone() {
                Some(Resolution::Settled { outcome, code, message, .. }) => {
                    job.end(*seq, outcome, code, message, None);
                }
                _ => job.queue(now),
            }
        }
        let left = run.jobs.values().filter(|job| is_pending(job)).count();
        run.end_if_done(now);
        Ok(left as u64)
    }
}

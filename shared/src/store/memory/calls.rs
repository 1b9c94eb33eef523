//! The trait's calls: each locks the state, does its one step on it, and tells whoever waits.

use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryStore, jobs::Place};
use crate::{
    AccountName, Attempt, Confirmation, Drawn, Ending, Hold, JobReport, NewRun, Note, OutcomeRow, Priority,
    Protection, Protections, Pulse, QuotaWindow, Request, RunId, RunPhase, RunStatus, Timestamp, WorkerId,
    audit::{AuditEntry, AuditEvent, AuditHead},
    plan::Planned,
    store::{
        KeyClaim, Lease, LeaseAsk, Leased, Refresh, RefreshClaim, Remaining, Reserved, Resolution, Seal,
        Sealed, Seat, ShelvedToken, Steward, Store, StoreError, UtcDay,
    },
};

/// The most outcomes in one page.
const PAGE: usize = 5_000;

#[async_trait]
impl Store for MemoryStore {
    async fn open_run(&self, run: &NewRun) -> Result<(), StoreError> {
        self.state("open_run")?.open_run(run, self.clock.now())
    }

    async fn append(&self, run: &RunId, first_seq: u64, requests: &[Request]) -> Result<(), StoreError> {
        let _in_flight = self.trouble.append().await;
        self.state("append")?.append(run, first_seq, requests, self.clock.now())
    }

    async fn seal(&self, run: &RunId, seal: &Seal) -> Result<Sealed, StoreError> {
        self.change("seal", |state, now| state.seal(run, seal, now))
    }

    async fn submit(
        &self,
        run: &NewRun,
        requests: &[Request],
        seal: &Seal,
        event: &AuditEvent,
    ) -> Result<Sealed, StoreError> {
        self.change("submit", |state, now| state.submit(run, requests, seal, event, now))
    }

    async fn claim_key(
        &self,
        account: &AccountName,
        key: &str,
        claimant: &str,
        ttl: Duration,
    ) -> Result<KeyClaim, StoreError> {
        self.change("claim_key", |state, now| Ok(state.claim_key(account, key, claimant, ttl, now)))
    }

    async fn release_key(&self, account: &AccountName, key: &str, claimant: &str) -> Result<(), StoreError> {
        self.state("release_key")?.release_key(account, key, claimant);
        Ok(())
    }

    async fn discard(&self, run: &RunId) -> Result<(), StoreError> {
        self.state("discard")?.discard(run)
    }

    async fn expire_open_runs(&self) -> Result<u64, StoreError> {
        Ok(self.state("expire_open_runs")?.expire_open_runs(self.clock.now()))
    }

    async fn take_steward(
        &self,
        run: &RunId,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<Option<Steward>, StoreError> {
        self.state("take_steward")?.take_steward(run, worker, ttl, self.clock.now())
    }

    async fn renew_steward(&self, steward: &Steward, ttl: Duration) -> Result<(), StoreError> {
        self.state("renew_steward")?.renew_steward(steward, ttl, self.clock.now())
    }

    async fn requests(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Request)>, StoreError> {
        let mut state = self.state("requests")?;
        let jobs = state.visible(run)?.jobs.range(from_seq..);
        Ok(jobs.take(limit).map(|(seq, job)| (*seq, job.request.clone())).collect())
    }

    async fn remaining(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<Remaining>, StoreError> {
        Ok(self.state("remaining")?.visible(run)?.remaining(from_seq).take(limit).collect())
    }

    async fn resolve(&self, steward: &Steward, resolved: &[(u64, Resolution)]) -> Result<(), StoreError> {
        self.state("resolve")?.resolve(steward, resolved, self.clock.now())
    }

    async fn finish_resolving(&self, steward: Steward) -> Result<(), StoreError> {
        self.change("finish_resolving", |state, now| state.finish_resolving(&steward, now))
    }

    async fn planned(&self, run: &RunId, from_seq: u64, limit: usize) -> Result<Vec<Planned>, StoreError> {
        Ok(self.state("planned")?.visible(run)?.planned(from_seq).take(limit).collect())
    }

    async fn note(&self, run: &RunId, note: &Note) -> Result<(), StoreError> {
        self.change("note", |state, _| state.note(run, note))
    }

    async fn confirm(&self, run: &RunId, confirmation: &Confirmation) -> Result<(), StoreError> {
        self.change("confirm", |state, _| state.confirm(run, confirmation))
    }

    async fn reserve(
        &self,
        run: &RunId,
        day: UtcDay,
        users: &[String],
        cap: u64,
    ) -> Result<Reserved, StoreError> {
        self.change("reserve", |state, now| state.reserve(run, day, users, cap, now))
    }

    async fn unreserve(&self, run: &RunId, day: UtcDay) -> Result<u64, StoreError> {
        self.change("unreserve", |state, _| state.unreserve(run, day))
    }

    async fn admit(&self, run: &RunId) -> Result<u64, StoreError> {
        self.change("admit", |state, now| state.admit(run, now))
    }

    async fn promote(&self, run: &RunId, limit: usize) -> Result<u64, StoreError> {
        self.change("promote", |state, now| state.promote(run, limit, now))
    }

    async fn take_seat(&self, _: &WorkerId) -> Result<Seat, StoreError> {
        let mut state = self.state("take_seat")?;
        if self.one_seat {
            state.reclaim(|_, _| true, self.clock.now());
        }
        Ok(Seat(None))
    }

    async fn lease(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        Ok(self.state("lease")?.lease(ask, self.clock.now()))
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), StoreError> {
        self.state("renew")?.renew(lease, ttl, self.clock.now())
    }

    async fn finish(&self, lease: Lease, reports: Vec<JobReport>) -> Result<(), StoreError> {
        self.change("finish", |state, now| state.finish(&lease, &reports, now))
    }

    async fn wait_for_work(&self, _: &AccountName, at_most: Duration) {
        // Either end of the wait is the same to the caller, who looks for work in any case.
        drop(tokio::time::timeout(at_most, self.changed.notified()).await);
    }

    async fn pause(&self, run: &RunId) -> Result<(), StoreError> {
        self.state("pause")?.steered(run, "it can't be paused")?.paused = true;
        Ok(())
    }

    async fn resume(&self, run: &RunId) -> Result<(), StoreError> {
        self.change("resume", |state, _| {
            state.steered(run, "it can't be resumed")?.paused = false;
            Ok(())
        })
    }

    async fn end(&self, run: &RunId, ending: &Ending, limit: usize) -> Result<u64, StoreError> {
        self.change("end", |state, now| state.end(run, ending, limit, now))
    }

    async fn reopen(&self, run: &RunId, seqs: &[u64]) -> Result<u64, StoreError> {
        self.change("reopen", |state, _| state.reopen(run, seqs))
    }

    async fn prune(&self, ended_before: Timestamp) -> Result<Option<(RunId, bool)>, StoreError> {
        self.change("prune", |state, _| Ok(state.prune(ended_before)))
    }

    async fn protect(&self, account: &AccountName, protection: &Protection) -> Result<(), StoreError> {
        self.change("protect", |state, _| {
            state.protect(account, protection);
            Ok(())
        })
    }

    async fn unprotect(&self, account: &AccountName, pattern: &str) -> Result<bool, StoreError> {
        self.change("unprotect", |state, _| Ok(state.unprotect(account, pattern)))
    }

    async fn protections(&self, account: &AccountName) -> Result<Protections, StoreError> {
        Ok(self.state("protections")?.protections.get(account).cloned().unwrap_or_default())
    }

    async fn set_priority(&self, run: &RunId, priority: Priority) -> Result<(), StoreError> {
        self.change("set_priority", |state, _| {
            state.steered(run, "its priority can't be changed")?.run.priority = priority;
            Ok(())
        })
    }

    async fn hold(&self, account: &AccountName, hold: &Hold) -> Result<(), StoreError> {
        self.state("hold")?.holds.insert(account.clone(), hold.clone());
        Ok(())
    }

    async fn release(&self, account: &AccountName) -> Result<bool, StoreError> {
        self.change("release", |state, now| {
            let held = state.hold_of(account, now).is_some();
            state.holds.remove(account);
            Ok(held)
        })
    }

    async fn draw_quota(
        &self,
        account: &AccountName,
        label: &str,
        window: QuotaWindow,
        calls: u64,
        cap: u64,
    ) -> Result<Drawn, StoreError> {
        Ok(self.state("draw_quota")?.fleet(account).draw(label, window, calls, cap, self.clock.now()))
    }

    async fn return_quota(
        &self,
        account: &AccountName,
        label: &str,
        drawn_at: Timestamp,
        calls: u64,
    ) -> Result<(), StoreError> {
        self.state("return_quota")?.fleet(account).give_back(label, drawn_at, calls);
        Ok(())
    }

    async fn publish_pulse(&self, pulse: &Pulse) -> Result<(), StoreError> {
        self.state("publish_pulse")?.fleet(&pulse.account).publish(pulse, self.clock.now());
        Ok(())
    }

    async fn pulses(&self, account: &AccountName) -> Result<Vec<Pulse>, StoreError> {
        Ok(self.state("pulses")?.fleet(account).pulses(self.clock.now()))
    }

    async fn token(&self, account: &AccountName) -> Result<Option<ShelvedToken>, StoreError> {
        Ok(self.state("token")?.fleet(account).token(self.clock.now()))
    }

    async fn claim_refresh(
        &self,
        account: &AccountName,
        worker: &WorkerId,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError> {
        let now = self.clock.now();
        let mut state = self.state("claim_refresh")?;
        Ok(state.fleet(account).claim(account, worker, instead_of, now.after(ttl), now))
    }

    async fn shelve_token(
        &self,
        claim: RefreshClaim,
        sealed: &[u8],
        keep_for: Duration,
    ) -> Result<u64, StoreError> {
        let expires = self.clock.now().after(keep_for);
        self.state("shelve_token")?.fleet(&claim.account).shelve(&claim, sealed, expires)
    }

    async fn abandon_refresh(&self, claim: RefreshClaim) -> Result<(), StoreError> {
        self.state("abandon_refresh")?.fleet(&claim.account).abandon(&claim);
        Ok(())
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunStatus>, StoreError> {
        let statuses = self.state("run")?;
        let sealed = statuses.runs.get(run).filter(|run| run.phase != RunPhase::Open);
        Ok(sealed.map(|run| run.status(statuses.hold_of(&run.run.account, self.clock.now()))))
    }

    async fn accounts(&self) -> Result<Vec<AccountName>, StoreError> {
        Ok(self.state("accounts")?.admissions.keys().cloned().collect())
    }

    async fn runs(&self, before: Option<&RunId>, limit: usize) -> Result<Vec<RunStatus>, StoreError> {
        let mut all = self.state("runs")?.statuses(self.clock.now());
        all.sort_by_key(|status| (status.run.created_at, status.run.id.clone()));
        if let Some(before) = before {
            all.truncate(all.iter().position(|status| status.run.id == *before).unwrap_or(0));
        }
        Ok(all.into_iter().rev().take(limit).collect())
    }

    async fn unfinished(&self, account: &AccountName) -> Result<Vec<RunStatus>, StoreError> {
        let mut all = self.state("unfinished")?.statuses(self.clock.now());
        all.retain(|status| status.run.account == *account && !status.phase.is_over());
        all.sort_by_key(|status| {
            let (priority, admission) = (status.run.priority, status.admission);
            (admission.is_none(), priority, admission, status.sealed_at, status.run.id.clone())
        });
        Ok(all)
    }

    async fn ended(
        &self,
        account: &AccountName,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<RunStatus>, StoreError> {
        let mut all = self.state("ended")?.statuses(self.clock.now());
        all.retain(|status| {
            status.run.account == *account && status.finished_at.is_some_and(|at| at >= since)
        });
        all.sort_by_key(|status| (status.finished_at, status.run.id.clone()));
        all.truncate(limit);
        Ok(all)
    }

    async fn outcomes(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRow>, StoreError> {
        let mut state = self.state("outcomes")?;
        let jobs = state.visible(run)?.jobs.range(from_seq..);
        let rows = jobs.filter_map(|(_, job)| match &job.place {
            Place::Done(row) => Some((**row).clone()),
            _ => None,
        });
        Ok(rows.take(limit.min(PAGE)).collect())
    }

    async fn attempts(&self, run: &RunId, seq: u64) -> Result<Vec<Attempt>, StoreError> {
        let mut state = self.state("attempts")?;
        let job = state.visible(run)?.jobs.get(&seq);
        Ok(job.map(|job| job.attempts.clone()).unwrap_or_default())
    }

    async fn duplicates(&self, run: &RunId) -> Result<Vec<(u64, String, u64)>, StoreError> {
        let mut state = self.state("duplicates")?;
        let jobs = state.visible(run)?.jobs.values();
        Ok(jobs
            .filter_map(|job| match job.resolution {
                Some(Resolution::Duplicate { of_line }) => {
                    Some((job.request.line, job.request.user.to_string(), of_line))
                }
                _ => None,
            })
            .collect())
    }

    async fn tell(&self, event: &AuditEvent) -> Result<u64, StoreError> {
        self.change("tell", |state, now| state.tell(event, now))
    }

    async fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let state = self.state("audit")?;
        Ok(state.audit.iter().filter(|entry| entry.number >= from).take(limit).cloned().collect())
    }

    async fn audit_last(&self) -> Result<u64, StoreError> {
        Ok(self.state("audit_last")?.audit.len() as u64)
    }

    async fn audit_head(&self) -> Result<Option<AuditHead>, StoreError> {
        Ok(self.state("audit_head")?.audit_head())
    }

    async fn seal_audit(&self, head: Option<&AuditHead>, seals: &[String]) -> Result<bool, StoreError> {
        self.change("seal_audit", |state, _| Ok(state.seal_audit(head, seals)))
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.state("now").map(|_| self.clock.now())
    }
}

//! The store as all the others see it: each promise by the file that keeps it.

use std::time::Duration;

use async_trait::async_trait;

use super::{RedisStore, examine, script};
use crate::{
    AccountName, Attempt, Confirmation, Drawn, Ending, Hold, JobReport, NewRun, Note, OutcomeRow, Priority,
    Protection, Protections, Pulse, QuotaWindow, Request, RunId, RunStatus, Timestamp, WorkerId,
    audit::{AuditEntry, AuditEvent, AuditHead},
    plan::Planned,
    store::{
        CHUNK, Finding, KeyClaim, Lease, LeaseAsk, Leased, Refresh, RefreshClaim, Remaining, Reserved,
        Resolution, Seal, Sealed, Seat, ShelvedToken, Steward, Store, StoreError, UtcDay,
    },
};

#[async_trait]
impl Store for RedisStore {
    async fn open_run(&self, run: &NewRun) -> Result<(), StoreError> {
        self.open(run).await
    }

    async fn append(&self, run: &RunId, first_seq: u64, requests: &[Request]) -> Result<(), StoreError> {
        self.add_requests(run, first_seq, requests).await
    }

    async fn seal(&self, run: &RunId, seal: &Seal) -> Result<Sealed, StoreError> {
        self.seal_run(run, seal).await
    }

    async fn submit(
        &self,
        run: &NewRun,
        requests: &[Request],
        seal: &Seal,
        event: &AuditEvent,
    ) -> Result<Sealed, StoreError> {
        self.submit_whole(run, requests, seal, event).await
    }

    async fn claim_key(
        &self,
        account: &AccountName,
        key: &str,
        claimant: &str,
        ttl: Duration,
    ) -> Result<KeyClaim, StoreError> {
        self.take_key(account, key, claimant, ttl).await
    }

    async fn release_key(&self, account: &AccountName, key: &str, claimant: &str) -> Result<(), StoreError> {
        self.give_key_up(account, key, claimant).await
    }

    async fn discard(&self, run: &RunId) -> Result<(), StoreError> {
        self.discard_open(run).await
    }

    async fn expire_open_runs(&self) -> Result<u64, StoreError> {
        self.expire_open().await
    }

    async fn take_steward(
        &self,
        run: &RunId,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<Option<Steward>, StoreError> {
        self.become_steward(run, worker, ttl).await
    }

    async fn renew_steward(&self, steward: &Steward, ttl: Duration) -> Result<(), StoreError> {
        self.stay_steward(steward, ttl).await
    }

    async fn requests(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Request)>, StoreError> {
        self.read_requests(run, from_seq, limit).await
    }

    async fn remaining(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<Remaining>, StoreError> {
        self.still_to_change(run, from_seq, limit).await
    }

    async fn resolve(&self, steward: &Steward, resolved: &[(u64, Resolution)]) -> Result<(), StoreError> {
        self.record_resolutions(steward, resolved).await
    }

    async fn finish_resolving(&self, steward: Steward) -> Result<(), StoreError> {
        self.end_resolving(steward).await
    }

    async fn planned(&self, run: &RunId, from_seq: u64, limit: usize) -> Result<Vec<Planned>, StoreError> {
        self.read_planned(run, from_seq, limit).await
    }

    async fn note(&self, run: &RunId, note: &Note) -> Result<(), StoreError> {
        self.write_note(run, note).await
    }

    async fn confirm(&self, run: &RunId, confirmation: &Confirmation) -> Result<(), StoreError> {
        self.let_go_on(run, confirmation).await
    }

    async fn reserve(
        &self,
        run: &RunId,
        day: UtcDay,
        users: &[String],
        cap: u64,
    ) -> Result<Reserved, StoreError> {
        self.count_users(run, day, users, cap).await
    }

    async fn unreserve(&self, run: &RunId, day: UtcDay) -> Result<u64, StoreError> {
        self.take_back_users(run, day).await
    }

    async fn admit(&self, run: &RunId) -> Result<u64, StoreError> {
        self.on_run(script::ADMIT, run, "it can't be admitted", |_| ()).await?.count(0)
    }

    async fn promote(&self, run: &RunId, limit: usize) -> Result<u64, StoreError> {
        let wanted = "it can't be put into the queue before it is admitted";
        let limit = limit.min(CHUNK);
        self.on_run(script::PROMOTE, run, wanted, |call| {
            call.arg(limit);
        })
        .await?
        .count(0)
    }

    async fn take_seat(&self, _worker: &WorkerId) -> Result<Seat, StoreError> {
        Ok(Seat(None))
    }

    async fn lease(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        self.wakes.mark(&ask.account);
        self.working.lease(ask).await
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), StoreError> {
        self.working.renew(lease, ttl).await
    }

    async fn finish(&self, lease: Lease, reports: Vec<JobReport>) -> Result<(), StoreError> {
        self.working.finish(lease, reports).await
    }

    async fn wait_for_work(&self, account: &AccountName, at_most: Duration) {
        self.wakes.wait(account, at_most).await;
    }

    async fn pause(&self, run: &RunId) -> Result<(), StoreError> {
        self.steer(run, "it can't be paused", "pause", None).await
    }

    async fn resume(&self, run: &RunId) -> Result<(), StoreError> {
        self.steer(run, "it can't be resumed", "resume", None).await
    }

    async fn end(&self, run: &RunId, ending: &Ending, limit: usize) -> Result<u64, StoreError> {
        self.end_some(run, ending, limit).await
    }

    async fn reopen(&self, run: &RunId, seqs: &[u64]) -> Result<u64, StoreError> {
        self.try_again(run, seqs).await
    }

    async fn prune(&self, ended_before: Timestamp) -> Result<Option<(RunId, bool)>, StoreError> {
        self.forget_oldest(ended_before).await
    }

    async fn protect(&self, account: &AccountName, protection: &Protection) -> Result<(), StoreError> {
        self.add_protection(account, protection).await
    }

    async fn unprotect(&self, account: &AccountName, pattern: &str) -> Result<bool, StoreError> {
        self.remove_protection(account, pattern).await
    }

    async fn protections(&self, account: &AccountName) -> Result<Protections, StoreError> {
        self.all_protections(account).await
    }

    async fn set_priority(&self, run: &RunId, priority: Priority) -> Result<(), StoreError> {
        self.steer(run, "its priority can't be changed", "priority", Some(priority)).await
    }

    async fn hold(&self, account: &AccountName, hold: &Hold) -> Result<(), StoreError> {
        self.hold_account(account, hold).await
    }

    async fn release(&self, account: &AccountName) -> Result<bool, StoreError> {
        self.release_account(account).await
    }

    async fn draw_quota(
        &self,
        account: &AccountName,
        label: &str,
        window: QuotaWindow,
        calls: u64,
        cap: u64,
    ) -> Result<Drawn, StoreError> {
        self.draw(account, label, window, calls, cap).await
    }

    async fn return_quota(
        &self,
        account: &AccountName,
        label: &str,
        drawn_at: Timestamp,
        calls: u64,
    ) -> Result<(), StoreError> {
        self.give_back(account, label, drawn_at, calls).await
    }

    async fn publish_pulse(&self, pulse: &Pulse) -> Result<(), StoreError> {
        self.publish(pulse).await
    }

    async fn pulses(&self, account: &AccountName) -> Result<Vec<Pulse>, StoreError> {
        self.told(account).await
    }

    async fn token(&self, account: &AccountName) -> Result<Option<ShelvedToken>, StoreError> {
        self.shelved(account).await
    }

    async fn claim_refresh(
        &self,
        account: &AccountName,
        worker: &WorkerId,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError> {
        self.claim(account, worker, instead_of, ttl).await
    }

    async fn shelve_token(
        &self,
        claim: RefreshClaim,
        sealed: &[u8],
        keep_for: Duration,
    ) -> Result<u64, StoreError> {
        self.shelve(claim, sealed, keep_for).await
    }

    async fn abandon_refresh(&self, claim: RefreshClaim) -> Result<(), StoreError> {
        self.abandon(claim).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunStatus>, StoreError> {
        self.one_run(run).await
    }

    async fn accounts(&self) -> Result<Vec<AccountName>, StoreError> {
        self.all_accounts().await
    }

    async fn runs(&self, before: Option<&RunId>, limit: usize) -> Result<Vec<RunStatus>, StoreError> {
        self.newest_runs(before, limit).await
    }

    async fn unfinished(&self, account: &AccountName) -> Result<Vec<RunStatus>, StoreError> {
        self.active_runs(account).await
    }

    async fn ended(
        &self,
        account: &AccountName,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<RunStatus>, StoreError> {
        self.ended_runs(account, since, limit).await
    }

    async fn outcomes(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRow>, StoreError> {
        self.outcome_rows(run, from_seq, limit).await
    }

    async fn attempts(&self, run: &RunId, seq: u64) -> Result<Vec<Attempt>, StoreError> {
        self.attempts_at(run, seq).await
    }

    async fn duplicates(&self, run: &RunId) -> Result<Vec<(u64, String, u64)>, StoreError> {
        self.left_out(run).await
    }

    async fn tell(&self, event: &AuditEvent) -> Result<u64, StoreError> {
        self.append_to_audit(event).await
    }

    async fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.audit_entries(from, limit).await
    }

    async fn audit_last(&self) -> Result<u64, StoreError> {
        self.last_told().await
    }

    async fn audit_head(&self) -> Result<Option<AuditHead>, StoreError> {
        self.last_sealed().await
    }

    async fn seal_audit(&self, head: Option<&AuditHead>, seals: &[String]) -> Result<bool, StoreError> {
        self.seal_entries(head, seals).await
    }

    async fn examine(&self) -> Vec<Finding> {
        examine::examine_server(&self.core.link).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.core.time().await
    }
}

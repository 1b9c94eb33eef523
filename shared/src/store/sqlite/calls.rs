//! The trait's calls: each hands its one step to the thread that writes, or looks beside it.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    SqliteStore, auditing, capping, claiming, copy, ending, examine, finish, listing, noting, outline,
    protecting, pruning, pulses, quotas, reopening, seat, seeing, steering, steward, submit, tokens,
};
use crate::{
    AccountName, Attempt, Confirmation, Drawn, Ending, Hold, JobReport, NewRun, Note, OutcomeRow, Priority,
    Protection, Protections, Pulse, QuotaWindow, Request, RunId, RunStatus, Timestamp, WorkerId,
    audit::{AuditEntry, AuditEvent, AuditHead},
    plan::Planned,
    store::{
        Finding, KeyClaim, Lease, LeaseAsk, Leased, Refresh, RefreshClaim, Remaining, Reserved, Resolution,
        Seal, Sealed, Seat, ShelvedToken, Steward, Store, StoreError, UtcDay,
    },
};

#[async_trait]
impl Store for SqliteStore {
    async fn open_run(&self, run: &NewRun) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |step| submit::open_run(step, &run)).await
    }

    async fn append(&self, run: &RunId, first_seq: u64, requests: &[Request]) -> Result<(), StoreError> {
        let (run, requests) = (run.clone(), requests.to_vec());
        self.write(move |step| submit::append(step, &run, first_seq, &requests)).await
    }

    async fn seal(&self, run: &RunId, seal: &Seal) -> Result<Sealed, StoreError> {
        let (run, seal) = (run.clone(), seal.clone());
        let sealed = self.write(move |step| submit::seal(step, &run, &seal)).await?;
        if matches!(sealed, Sealed::Existing(_)) {
            self.sweep().await?;
        }
        Ok(sealed)
    }

    async fn submit(
        &self,
        run: &NewRun,
        requests: &[Request],
        seal: &Seal,
        event: &AuditEvent,
    ) -> Result<Sealed, StoreError> {
        let (run, requests) = (run.clone(), requests.to_vec());
        let (seal, event) = (seal.clone(), event.clone());
        let sealed = self.write(move |step| submit::whole(step, &run, &requests, &seal, &event)).await?;
        if matches!(sealed, Sealed::Existing(_)) {
            self.sweep().await?;
        }
        Ok(sealed)
    }

    async fn claim_key(
        &self,
        account: &AccountName,
        key: &str,
        claimant: &str,
        ttl: Duration,
    ) -> Result<KeyClaim, StoreError> {
        let (account, key, claimant) = (account.clone(), key.to_owned(), claimant.to_owned());
        self.write(move |step| claiming::claim(step, &account, &key, &claimant, ttl)).await
    }

    async fn release_key(&self, account: &AccountName, key: &str, claimant: &str) -> Result<(), StoreError> {
        let (account, key, claimant) = (account.clone(), key.to_owned(), claimant.to_owned());
        self.write(move |step| claiming::release(step, &account, &key, &claimant)).await
    }

    async fn discard(&self, run: &RunId) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |step| submit::discard(step, &run)).await?;
        self.sweep().await
    }

    async fn expire_open_runs(&self) -> Result<u64, StoreError> {
        let expired = self.write(submit::expire).await?;
        self.sweep().await?;
        Ok(expired)
    }

    async fn take_steward(
        &self,
        run: &RunId,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<Option<Steward>, StoreError> {
        let (run, worker) = (run.clone(), worker.clone());
        self.write(move |step| steward::take(step, &run, &worker, ttl)).await
    }

    async fn renew_steward(&self, steward: &Steward, ttl: Duration) -> Result<(), StoreError> {
        let steward = copy(steward);
        self.write(move |step| steward::renew(step, &steward, ttl)).await
    }

    async fn requests(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Request)>, StoreError> {
        let run = run.clone();
        self.read(move |conn, _| seeing::requests(conn, &run, from_seq, limit)).await
    }

    async fn remaining(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<Remaining>, StoreError> {
        let run = run.clone();
        self.read(move |conn, _| seeing::remaining(conn, &run, from_seq, limit)).await
    }

    async fn resolve(&self, steward: &Steward, resolved: &[(u64, Resolution)]) -> Result<(), StoreError> {
        let (steward, resolved) = (copy(steward), resolved.to_vec());
        self.write(move |step| steward::resolve(step, &steward, &resolved)).await
    }

    async fn finish_resolving(&self, steward: Steward) -> Result<(), StoreError> {
        self.write(move |step| steward::finish(step, &steward)).await
    }

    async fn planned(&self, run: &RunId, from_seq: u64, limit: usize) -> Result<Vec<Planned>, StoreError> {
        let run = run.clone();
        self.read(move |conn, _| seeing::planned(conn, &run, from_seq, limit)).await
    }

    async fn note(&self, run: &RunId, note: &Note) -> Result<(), StoreError> {
        let (run, note) = (run.clone(), note.clone());
        self.write(move |step| noting::note(step, &run, &note)).await
    }

    async fn confirm(&self, run: &RunId, confirmation: &Confirmation) -> Result<(), StoreError> {
        let (run, confirmation) = (run.clone(), confirmation.clone());
        self.write(move |step| noting::confirm(step, &run, &confirmation)).await
    }

    async fn reserve(
        &self,
        run: &RunId,
        day: UtcDay,
        users: &[String],
        cap: u64,
    ) -> Result<Reserved, StoreError> {
        let (run, users) = (run.clone(), users.to_vec());
        self.write(move |step| capping::reserve(step, &run, day, &users, cap)).await
    }

    async fn unreserve(&self, run: &RunId, day: UtcDay) -> Result<u64, StoreError> {
        let run = run.clone();
        self.write(move |step| capping::unreserve(step, &run, day)).await
    }

    async fn admit(&self, run: &RunId) -> Result<u64, StoreError> {
        let run = run.clone();
        self.write(move |step| steward::admit(step, &run)).await
    }

    async fn promote(&self, run: &RunId, limit: usize) -> Result<u64, StoreError> {
        let run = run.clone();
        self.write(move |step| steward::promote(step, &run, limit)).await
    }

    async fn take_seat(&self, worker: &WorkerId) -> Result<Seat, StoreError> {
        let lock = seat::take(&self.path)?;
        tracing::debug!(%worker, store = %self.path.display(), "took the seat");
        self.take_over().await?;
        Ok(Seat(Some(Box::new(lock))))
    }

    async fn lease(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        self.signals.look(&ask.account);
        self.lease_or_give_back(ask.clone()).await
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), StoreError> {
        let held = outline(lease);
        let until = self.write(move |step| finish::renew(step, &held, ttl)).await?;
        lease.ttl = until.since(lease.granted_at);
        Ok(())
    }

    async fn finish(&self, lease: Lease, reports: Vec<JobReport>) -> Result<(), StoreError> {
        self.writer.ask_deferring(move |step| finish::finish(step, &lease, &reports)).await
    }

    async fn wait_for_work(&self, account: &AccountName, at_most: Duration) {
        let bell = self.signals.of(account);
        let name = account.clone();
        let next = self.read(move |conn, now| seeing::next_event(conn, now, &name)).await;
        let wait = match next {
            Ok(Some(next)) => next.since(self.clock.now()).min(at_most),
            Ok(None) => at_most,
            Err(error) => {
                tracing::debug!(%error, "can't tell when the next job comes due");
                at_most
            }
        };
        // Over is over: the caller looks for itself what there is.
        drop(tokio::time::timeout(wait, bell.notified()).await);
    }

    async fn pause(&self, run: &RunId) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |step| steering::pause(step, &run)).await
    }

    async fn resume(&self, run: &RunId) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |step| steering::resume(step, &run)).await
    }

    async fn end(&self, run: &RunId, ending: &Ending, limit: usize) -> Result<u64, StoreError> {
        let (run, ending) = (run.clone(), ending.clone());
        self.write(move |step| ending::end(step, &run, &ending, limit)).await
    }

    async fn reopen(&self, run: &RunId, seqs: &[u64]) -> Result<u64, StoreError> {
        let (run, seqs) = (run.clone(), seqs.to_vec());
        self.write(move |step| reopening::reopen(step, &run, &seqs)).await
    }

    async fn prune(&self, ended_before: Timestamp) -> Result<Option<(RunId, bool)>, StoreError> {
        self.write(move |step| pruning::prune(step, ended_before)).await
    }

    async fn protect(&self, account: &AccountName, protection: &Protection) -> Result<(), StoreError> {
        let (account, protection) = (account.clone(), protection.clone());
        self.write(move |step| protecting::protect(step, &account, &protection)).await
    }

    async fn unprotect(&self, account: &AccountName, pattern: &str) -> Result<bool, StoreError> {
        let (account, pattern) = (account.clone(), pattern.to_owned());
        self.write(move |step| protecting::unprotect(step, &account, &pattern)).await
    }

    async fn protections(&self, account: &AccountName) -> Result<Protections, StoreError> {
        let account = account.clone();
        self.read(move |conn, _| protecting::list(conn, &account)).await
    }

    async fn set_priority(&self, run: &RunId, priority: Priority) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |step| steering::set_priority(step, &run, priority)).await
    }

    async fn hold(&self, account: &AccountName, hold: &Hold) -> Result<(), StoreError> {
        let (account, hold) = (account.clone(), hold.clone());
        self.write(move |step| steering::hold(step, &account, &hold)).await
    }

    async fn release(&self, account: &AccountName) -> Result<bool, StoreError> {
        let account = account.clone();
        self.write(move |step| steering::release(step, &account)).await
    }

    async fn draw_quota(
        &self,
        account: &AccountName,
        label: &str,
        window: QuotaWindow,
        calls: u64,
        cap: u64,
    ) -> Result<Drawn, StoreError> {
        let (account, label) = (account.clone(), label.to_owned());
        if calls == 0 {
            return self.read(move |conn, now| quotas::look(conn, now, &account, &label, window)).await;
        }
        self.write(move |step| quotas::draw(step, &account, &label, window, calls, cap)).await
    }

    async fn return_quota(
        &self,
        account: &AccountName,
        label: &str,
        drawn_at: Timestamp,
        calls: u64,
    ) -> Result<(), StoreError> {
        let (account, label) = (account.clone(), label.to_owned());
        self.write(move |step| quotas::give_back(step, &account, &label, drawn_at, calls)).await
    }

    async fn publish_pulse(&self, pulse: &Pulse) -> Result<(), StoreError> {
        let pulse = pulse.clone();
        self.write(move |step| pulses::publish(step, &pulse)).await
    }

    async fn pulses(&self, account: &AccountName) -> Result<Vec<Pulse>, StoreError> {
        let account = account.clone();
        self.read(move |conn, now| pulses::all(conn, now, &account)).await
    }

    async fn token(&self, account: &AccountName) -> Result<Option<ShelvedToken>, StoreError> {
        let account = account.clone();
        self.read(move |conn, now| tokens::shelved(conn, now, &account)).await
    }

    async fn claim_refresh(
        &self,
        account: &AccountName,
        worker: &WorkerId,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError> {
        let (account, worker) = (account.clone(), worker.clone());
        self.write(move |step| tokens::claim(step, &account, &worker, instead_of, ttl)).await
    }

    async fn shelve_token(
        &self,
        claim: RefreshClaim,
        sealed: &[u8],
        keep_for: Duration,
    ) -> Result<u64, StoreError> {
        let sealed = sealed.to_vec();
        self.write(move |step| tokens::shelve(step, &claim, &sealed, keep_for)).await
    }

    async fn abandon_refresh(&self, claim: RefreshClaim) -> Result<(), StoreError> {
        self.write(move |step| tokens::abandon(step, &claim)).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunStatus>, StoreError> {
        let run = run.clone();
        self.read(move |conn, now| seeing::run(conn, now, &run)).await
    }

    async fn accounts(&self) -> Result<Vec<AccountName>, StoreError> {
        self.read(|conn, _| listing::accounts(conn)).await
    }

    async fn runs(&self, before: Option<&RunId>, limit: usize) -> Result<Vec<RunStatus>, StoreError> {
        let before = before.cloned();
        self.read(move |conn, now| listing::runs(conn, now, before.as_ref(), limit)).await
    }

    async fn unfinished(&self, account: &AccountName) -> Result<Vec<RunStatus>, StoreError> {
        let account = account.clone();
        self.read(move |conn, now| listing::unfinished(conn, now, &account)).await
    }

    async fn ended(
        &self,
        account: &AccountName,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<RunStatus>, StoreError> {
        let account = account.clone();
        self.read(move |conn, now| listing::ended(conn, now, &account, since, limit)).await
    }

    async fn outcomes(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRow>, StoreError> {
        let run = run.clone();
        self.read(move |conn, _| seeing::outcomes(conn, &run, from_seq, limit)).await
    }

    async fn attempts(&self, run: &RunId, seq: u64) -> Result<Vec<Attempt>, StoreError> {
        let run = run.clone();
        self.read(move |conn, _| seeing::attempts(conn, &run, seq)).await
    }

    async fn duplicates(&self, run: &RunId) -> Result<Vec<(u64, String, u64)>, StoreError> {
        let run = run.clone();
        self.read(move |conn, _| seeing::duplicates(conn, &run)).await
    }

    async fn tell(&self, event: &AuditEvent) -> Result<u64, StoreError> {
        let event = event.clone();
        self.write(move |step| auditing::tell(step, &event)).await
    }

    async fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(move |conn, _| auditing::entries(conn, from, limit)).await
    }

    async fn audit_last(&self) -> Result<u64, StoreError> {
        self.read(|conn, _| auditing::last(conn)).await
    }

    async fn audit_head(&self) -> Result<Option<AuditHead>, StoreError> {
        self.read(|conn, _| auditing::head(conn)).await
    }

    async fn seal_audit(&self, head: Option<&AuditHead>, seals: &[String]) -> Result<bool, StoreError> {
        let (head, seals) = (head.cloned(), seals.to_vec());
        self.write(move |step| auditing::seal(step, head.as_ref(), &seals)).await
    }

    async fn examine(&self) -> Vec<Finding> {
        // A file that can't be read through is told as damaged, with what SQLite says.
        let looked = self.read(|conn, _| examine::examine(conn)).await;
        looked.unwrap_or_else(|error| vec![Finding::Integrity(Some(error.to_string()))])
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }
}

//! The embedded store: one SQLite file, no server. One process works from it at a time; any number may submit, steer
//! and see beside it.
//!
//! Whatever changes the store goes through one connection on a thread of its own (`writer`), many requests to a commit.
//! Whatever only looks uses a second connection, which the write-ahead log keeps out of the writer's way.

mod again;
mod errors;
mod examine;
mod finish;
mod flight;
#[cfg(test)]
mod fuzz;
mod leasing;
mod ledger;
mod open;
mod pulses;
mod quotas;
mod reclaim;
mod runs;
mod schema;
mod seat;
mod seeing;
mod share;
mod signals;
mod steering;
mod steward;
mod submit;
mod tokens;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::oneshot;

use self::{
    errors::{StepResult, translate},
    ledger::Moves,
    reclaim::{Whose, reclaim},
    signals::Signals,
    writer::{Step, Writer},
};
use super::{
    CHUNK, Finding, Lease, LeaseAsk, Leased, Refresh, RefreshClaim, Remaining, Resolution, Seal, Sealed,
    Seat, ShelvedToken, Steward, Store, StoreError,
};
use crate::{
    AccountName, Attempt, Clock, Drawn, Hold, JobReport, NewRun, OutcomeRow, Priority, Pulse, QuotaWindow,
    Request, RunId, RunStatus, Timestamp, WorkerId,
};

/// The embedded store: one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    reader: Arc<Mutex<Connection>>,
    signals: Arc<Signals>,
}

impl SqliteStore {
    /// Opens the store in this file, making the file (readable by its owner alone) and its folder where they are missing.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the file can't be made or written, [`StoreError::Address`] where it is a folder or
    /// belongs to another program, [`StoreError::TooNew`] where a newer usher wrote it, [`StoreError::Corrupt`] where it
    /// is damaged, [`StoreError::Unavailable`] where another process keeps it locked.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let conn = open::writer(path)?;
        let reader = open::reader(path)?;
        let signals = Arc::new(Signals::default());
        let writer = Writer::start(conn, path.to_owned(), clock.clone(), signals.clone())
            .map_err(|error| StoreError::Refused(Box::new(error)))?;
        let writer = Arc::new(writer);
        Ok(Self { path: path.to_owned(), clock, writer, reader: Arc::new(Mutex::new(reader)), signals })
    }

    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Step<'_>) -> StepResult<T> + Send + 'static,
    {
        self.writer.ask(work).await
    }

    /// Looks, in one transaction: what is read together belongs together.
    async fn read<T, F>(&self, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, Timestamp) -> StepResult<T> + Send + 'static,
    {
        let (reader, path, now) = (self.reader.clone(), self.path.clone(), self.clock.now());
        let looked = tokio::task::spawn_blocking(move || {
            let mut conn = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = conn.transaction().map_err(|error| translate(&path, error.into()))?;
            look(&transaction, now).map_err(|error| translate(&path, error))
        });
        looked.await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
    }

    /// Deletes what was discarded, in chunks.
    async fn sweep(&self) -> Result<(), StoreError> {
        while self.write(submit::sweep).await? {}
        Ok(())
    }
}

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
        // Whoever had the seat before fetches no token any more, either.
        self.write(tokens::end_claims).await?;
        let mut left = true;
        while left {
            left = self
                .write(|step| {
                    let mut moves = Moves::default();
                    let any = reclaim(step, &mut moves, Whose::All, CHUNK)?;
                    moves.settle(step)?;
                    Ok(any)
                })
                .await?;
        }
        Ok(Seat(Some(Box::new(lock))))
    }

    async fn lease(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        self.signals.look(&ask.account);
        let (ask, writer) = (ask.clone(), self.writer.clone());
        let (give, take) = oneshot::channel();
        // On a task of its own: a caller that gives up does not leave jobs leased to nobody, to lapse as if it had died.
        tokio::spawn(async move {
            let leased = writer.ask(move |step| leasing::lease(step, &ask)).await;
            if let Err(Ok(abandoned)) = give.send(leased) {
                give_back(&writer, abandoned.leases).await;
            }
        });
        take.await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
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

    async fn cancel(&self, run: &RunId, limit: usize) -> Result<u64, StoreError> {
        let run = run.clone();
        self.write(move |step| steering::cancel(step, &run, limit)).await
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

    async fn runs(&self, limit: usize) -> Result<Vec<RunStatus>, StoreError> {
        self.read(move |conn, now| seeing::runs(conn, now, limit)).await
    }

    async fn unfinished(&self, account: &AccountName) -> Result<Vec<RunStatus>, StoreError> {
        let account = account.clone();
        self.read(move |conn, now| seeing::unfinished(conn, now, &account)).await
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

    async fn examine(&self) -> Vec<Finding> {
        // A file that can't be read through is told as damaged, with what SQLite says.
        let looked = self.read(|conn, _| examine::examine(conn)).await;
        looked.unwrap_or_else(|error| vec![Finding::Integrity(Some(error.to_string()))])
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }
}

/// Ends leases that nobody holds any more, their jobs untouched.
async fn give_back(writer: &Writer, leases: Vec<Lease>) {
    for lease in leases {
        let run = lease.run.clone();
        if let Err(error) = writer.ask_deferring(move |step| finish::finish(step, &lease, &[])).await {
            tracing::warn!(%run, %error, "a lease that nobody holds could not be given back; it lapses");
        }
    }
}

/// A stewardship to be named on the writer's thread. Outside, it stays the only one.
fn copy(steward: &Steward) -> Steward {
    Steward { run: steward.run.clone(), token: steward.token, worker: steward.worker.clone() }
}

/// A lease to be named on the writer's thread, without its jobs. Outside, it stays the only one.
fn outline(lease: &Lease) -> Lease {
    Lease {
        token: lease.token,
        account: lease.account.clone(),
        worker: lease.worker.clone(),
        run: lease.run.clone(),
        priority: lease.priority,
        action: lease.action,
        granted_at: lease.granted_at,
        ttl: lease.ttl,
        jobs: Arc::default(),
    }
}

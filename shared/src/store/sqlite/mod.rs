//! The embedded store: one SQLite file, no server. One process works from it at a time; any number may submit, steer
//! and see beside it.
//!
//! Whatever changes the store goes through one connection on a thread of its own (`writer`), many requests to a commit.
//! Whatever only looks uses a second connection, which the write-ahead log keeps out of the writer's way.

mod again;
mod auditing;
mod calls;
mod capping;
mod claiming;
mod due;
mod ending;
mod errors;
mod examine;
mod finish;
mod flight;
#[cfg(test)]
mod fuzz;
mod leasing;
mod ledger;
mod listing;
mod moves;
mod noting;
mod open;
mod outbox;
mod protecting;
mod pruning;
mod pulses;
mod quotas;
mod reclaim;
mod reopening;
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
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use self::{
    errors::{StepResult, translate},
    moves::Moves,
    reclaim::{Whose, reclaim},
    signals::Signals,
    writer::{Step, Writer},
};
use super::{CHUNK, Lease, LeaseAsk, Leased, Steward, StoreError};
use crate::{Clock, Timestamp};

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

    /// Leases on a task of its own: a caller that gives up does not leave jobs leased to nobody, to lapse as if it had died.
    async fn lease_or_give_back(&self, ask: LeaseAsk) -> Result<Leased, StoreError> {
        let writer = self.writer.clone();
        let (give, take) = oneshot::channel();
        tokio::spawn(async move {
            let leased = writer.ask(move |step| leasing::lease(step, &ask)).await;
            if let Err(Ok(abandoned)) = give.send(leased) {
                give_back(&writer, abandoned.leases).await;
            }
        });
        take.await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
    }

    /// Takes back whatever the last holder of the seat left.
    async fn take_over(&self) -> Result<(), StoreError> {
        // It fetches no token any more, either.
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
        Ok(())
    }

    /// Deletes what was discarded, in chunks.
    async fn sweep(&self) -> Result<(), StoreError> {
        while self.write(submit::sweep).await? {}
        Ok(())
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

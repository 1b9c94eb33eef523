//! The one connection that writes, on a thread of its own, with group commit.
//!
//! A commit waits for the disk, and that wait costs far more than the statements before it. So whatever has been asked
//! for while the last commit was under way goes into the next one together, each request within a savepoint of its
//! own: one that fails takes nothing with it, and none is answered before the commit.
//!
//! That holds for a lease as for a finish, though a lease lost with the power was never promised to anybody: its jobs
//! would be ready again. But whoever holds it calls the vendor. Without the lease in the file, nothing would tell after
//! the power is back that there may have been a call: no lost attempt, no death counted, and an "already there" that was
//! our own doing. So nothing is answered before its commit is on the disk; what waits at the same time shares that wait.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    errors::{StepResult, again, of_the_group, translate},
    moves::Moves,
    schema::FORMAT,
    signals::Signals,
};
use crate::{AccountName, Clock, Timestamp, store::StoreError};

/// The most requests in one commit: bounds how long the first of them waits.
const GROUP: usize = 256;

/// Once somebody has asked, the next commit waits this share of what the last one took for others to ask, as long as they
/// do so without a gap: what comes an instant too late waits a whole commit, and so do those who wait for it. A disk that
/// is quick waits as good as not at all.
const LINGER_SHARE: u32 = 8;

/// A commit that took longer than that was held up, by another process or by the disk; it says nothing about the next.
const LONGEST: Duration = Duration::from_millis(20);

/// How long a gap ends that wait.
const GAP: Duration = Duration::from_micros(100);

/// How often the writer looks whether another process has written, while nothing else is to be done.
const LOOK: Duration = Duration::from_millis(100);

/// What a request may use: the connection, within the request's savepoint, and the time at which it runs.
pub(super) struct Step<'a> {
    pub(super) conn: &'a Connection,
    pub(super) now: Timestamp,
    wakes: &'a mut Vec<AccountName>,
    deferred: &'a mut Moves,
}

impl<'a> Step<'a> {
    /// A step apart from any group: nobody is woken by it.
    #[cfg(test)]
    pub(super) fn alone(
        conn: &'a Connection,
        now: Timestamp,
        wakes: &'a mut Vec<AccountName>,
        deferred: &'a mut Moves,
    ) -> Self {
        Self { conn, now, wakes, deferred }
    }
}

impl Step<'_> {
    /// Leaves it to the end of the group to write what moved: only for work that goes by [`Writer::ask_deferring`]. The
    /// step must have succeeded by then.
    pub(super) fn defer(&mut self, moves: Moves) {
        self.deferred.add(moves);
    }

    /// After the commit, whoever waits for work of this account is woken.
    pub(super) fn wake(&mut self, account: &AccountName) {
        if !self.wakes.contains(account) {
            self.wakes.push(account.clone());
        }
    }
}

/// One request in a group.
trait Task: Send {
    /// Whether it leaves the counters of runs behind, to be written once for many: then it must not read them either.
    fn defers(&self) -> bool;
    /// Carries it out; the error is what SQLite or the store said.
    fn run(&mut self, step: &mut Step<'_>) -> Result<(), ()>;
    /// Does not carry it out, for this reason.
    fn refuse(&mut self, error: StoreError);
    /// Answers after the commit; `failed` is why there was none.
    fn answer(self: Box<Self>, path: &Path, failed: Option<&rusqlite::Error>);
}

struct Asked<F, T> {
    defers: bool,
    work: Option<F>,
    result: Option<StepResult<T>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Task for Asked<F, T>
where
    F: FnOnce(&mut Step<'_>) -> StepResult<T> + Send,
    T: Send,
{
    fn defers(&self) -> bool {
        self.defers
    }

    fn run(&mut self, step: &mut Step<'_>) -> Result<(), ()> {
        let result = self.work.take().map(|work| work(step));
        let outcome = if matches!(result, Some(Ok(_))) { Ok(()) } else { Err(()) };
        self.result = result;
        outcome
    }

    fn refuse(&mut self, error: StoreError) {
        self.result = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>, path: &Path, failed: Option<&rusqlite::Error>) {
        let result = match (self.result, failed) {
            // The request's own error says more than that of its group.
            (Some(Err(error)), _) => Err(translate(path, error)),
            (_, Some(error)) => Err(translate(path, again(error).into())),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(stopped()),
        };
        // Nobody listens any more where the caller gave up; what was written stays, leases lapse.
        drop(self.reply.send(result));
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the thread that writes the store has stopped".into())
}

/// Hands requests to the thread that writes.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Task>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        conn: Connection,
        path: PathBuf,
        clock: Arc<dyn Clock>,
        signals: Arc<Signals>,
    ) -> std::io::Result<Self> {
        let (queue, requests) = mpsc::channel();
        let thread = std::thread::Builder::new().name("usher-store".into()).spawn(move || {
            Scribe { conn, path, clock, signals, seen: None, last_commit: Duration::ZERO }.serve(&requests);
        })?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Carries out `work` within the next commit.
    pub(super) async fn ask<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Step<'_>) -> StepResult<T> + Send + 'static,
    {
        self.send(work, false).await
    }

    /// The same for work that neither reads nor writes the counters of runs, but defers what it moved.
    pub(super) async fn ask_deferring<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Step<'_>) -> StepResult<T> + Send + 'static,
    {
        self.send(work, true).await
    }

    async fn send<T, F>(&self, work: F, defers: bool) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Step<'_>) -> StepResult<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Asked { defers, work: Some(work), result: None, reply });
        self.queue.as_ref().ok_or_else(stopped)?.send(task).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        // What is queued is written first, so that a store closed and opened again has it all.
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the store panicked");
        }
    }
}

/// The thread's own side.
struct Scribe {
    conn: Connection,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    signals: Arc<Signals>,
    /// SQLite's mark of what other processes have committed.
    seen: Option<i64>,
    /// How long the last commit took, with all that was in it.
    last_commit: Duration,
}

impl Scribe {
    fn serve(mut self, requests: &mpsc::Receiver<Box<dyn Task>>) {
        self.look();
        loop {
            match requests.recv_timeout(LOOK) {
                Ok(first) => {
                    let group = self.gather(first, requests);
                    let began = Instant::now();
                    self.write(group);
                    self.last_commit = began.elapsed();
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.look(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The next group: what is there, and what comes within a moment.
    fn gather(&self, first: Box<dyn Task>, requests: &mpsc::Receiver<Box<dyn Task>>) -> Vec<Box<dyn Task>> {
        let mut group = vec![first];
        let until = Instant::now() + self.last_commit.min(LONGEST) / LINGER_SHARE;
        loop {
            group.extend(requests.try_iter().take(GROUP - group.len()));
            let left = until.saturating_duration_since(Instant::now());
            if group.len() >= GROUP || left.is_zero() {
                return group;
            }
            match requests.recv_timeout(GAP.min(left)) {
                Ok(next) => group.push(next),
                Err(_) => return group,
            }
        }
    }

    /// Wakes everybody where another process has committed since the last look.
    fn look(&mut self) {
        let version = self.conn.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
        match version {
            Ok(version) => {
                if self.seen.replace(version).is_some_and(|before| before != version) {
                    self.signals.wake_all();
                }
            }
            // Whoever waits looks again by itself after its own time at the latest.
            Err(error) => tracing::debug!(%error, "can't tell whether the store has changed"),
        }
    }

    /// Writes a group; what was behind a request that broke the transaction goes into another one.
    fn write(&mut self, group: Vec<Box<dyn Task>>) {
        let mut rest = group.into_iter();
        while rest.len() > 0 {
            let mut wakes = Vec::new();
            let mut done: Vec<Box<dyn Task>> = Vec::with_capacity(rest.len());
            let failed = self.commit(&mut rest, &mut done, &mut wakes).err();
            if failed.is_some() && done.is_empty() {
                done.extend(rest.by_ref());
            }
            for task in done {
                task.answer(&self.path, failed.as_ref());
            }
            if failed.is_none() {
                self.signals.wake(&wakes);
            }
        }
    }

    fn commit(
        &self,
        rest: &mut std::vec::IntoIter<Box<dyn Task>>,
        done: &mut Vec<Box<dyn Task>>,
        wakes: &mut Vec<AccountName>,
    ) -> rusqlite::Result<()> {
        self.execute("BEGIN IMMEDIATE")?;
        let result = self.run_each(rest, done, wakes).and_then(|()| self.execute("COMMIT"));
        if result.is_err() && !self.conn.is_autocommit() {
            self.execute("ROLLBACK")?;
        }
        result
    }

    fn run_each(
        &self,
        rest: &mut std::vec::IntoIter<Box<dyn Task>>,
        done: &mut Vec<Box<dyn Task>>,
        wakes: &mut Vec<AccountName>,
    ) -> rusqlite::Result<()> {
        let mut deferred = Moves::default();
        // A newer usher may have brought the file up to date under this one's hands.
        let newer = self.newer_format()?;
        for mut task in rest.by_ref() {
            if let Some(found) = newer {
                task.refuse(StoreError::TooNew { found, supported: FORMAT });
                done.push(task);
                continue;
            }
            if !task.defers() {
                self.settle(&mut deferred, wakes)?;
            }
            self.execute("SAVEPOINT request")?;
            let mut woken = Vec::new();
            let now = self.clock.now();
            let mut step = Step { conn: &self.conn, now, wakes: &mut woken, deferred: &mut deferred };
            let result = task.run(&mut step);
            done.push(task);
            match result {
                Ok(()) => wakes.append(&mut woken),
                // A full disk and the like end the whole transaction; then there is no savepoint to go back to, and
                // this fails with it.
                Err(()) => self.execute("ROLLBACK TO request")?,
            }
            self.execute("RELEASE request")?;
        }
        self.settle(&mut deferred, wakes)
    }

    /// The file's format, where it is one that this program does not know.
    fn newer_format(&self) -> rusqlite::Result<Option<u64>> {
        let found = self.conn.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?;
        Ok(Some(found).filter(|found| *found > FORMAT))
    }

    /// Writes the counters that were left behind.
    fn settle(&self, deferred: &mut Moves, wakes: &mut Vec<AccountName>) -> rusqlite::Result<()> {
        let moves = std::mem::take(deferred);
        let mut step = Step { conn: &self.conn, now: self.clock.now(), wakes, deferred };
        moves.settle(&mut step).map_err(of_the_group)
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;

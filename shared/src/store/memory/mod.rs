//! A store in memory: no durability, no index, no cleverness. Plain maps under one lock, and a scan wherever something is
//! looked for.
//!
//! It is what the other stores are held against: model-based tests do the same to it and to them, and compare. So it is
//! written to be believed by reading, and it keeps the conformance suite as they do. Tests of what uses a store have it,
//! too, where they want no disk.

mod auditing;
mod calls;
mod capping;
mod ending;
mod fleet;
mod intake;
mod jobs;
mod leasing;
mod noting;
mod outbox;
mod pruning;
mod trouble;
mod turns;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use self::{
    capping::Caps, fleet::Fleet, jobs::Run, leasing::Held, outbox::ClaimedKey, outbox::Kept, pruning::Pruned,
    trouble::Trouble, turns::Turns,
};
use super::{Resolution, Seal, StoreError};
use crate::{
    AccountName, Clock, Hold, Protections, RunId, RunPhase, RunStatus, Timestamp, audit::AuditEntry,
};

/// Everything that the store knows.
#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<RunId, Run>,
    /// What an idempotency key of an account stands for: a digest, and the run.
    keys: BTreeMap<(AccountName, String), (String, RunId)>,
    /// Submissions on their way.
    claimed_keys: BTreeMap<(AccountName, String), ClaimedKey>,
    leases: BTreeMap<u64, Held>,
    /// The last token given out, of leases and stewardships.
    tokens: u64,
    admissions: BTreeMap<AccountName, u64>,
    turns: BTreeMap<AccountName, Turns>,
    holds: BTreeMap<AccountName, Hold>,
    fleets: BTreeMap<AccountName, Fleet>,
    caps: BTreeMap<AccountName, Caps>,
    protections: BTreeMap<AccountName, Protections>,
    pruned: Vec<Pruned>,
    audit: Vec<AuditEntry>,
    /// Messages by endpoint and id.
    messages: BTreeMap<(String, String), Kept>,
    /// How many there ever were.
    posted: u64,
    /// Whether a job that waits for a user in flight may be leased as soon as the other is done.
    calls_back: bool,
}

impl State {
    /// The run, which may still be open.
    fn known(&mut self, id: &RunId) -> Result<&mut Run, StoreError> {
        self.runs.get_mut(id).ok_or_else(|| StoreError::NoSuchRun(id.clone()))
    }

    /// The run, which must be sealed: an open one is seen by nobody but its producer.
    fn visible(&mut self, id: &RunId) -> Result<&mut Run, StoreError> {
        let run = self.runs.get_mut(id).filter(|run| run.phase != RunPhase::Open);
        run.ok_or_else(|| StoreError::NoSuchRun(id.clone()))
    }

    /// The run, which must not be over.
    fn steered(&mut self, id: &RunId, wanted: &'static str) -> Result<&mut Run, StoreError> {
        let run = self.visible(id)?;
        if run.phase.is_over() { run.refuse(wanted) } else { Ok(run) }
    }

    fn hold_of(&self, account: &AccountName, now: Timestamp) -> Option<Hold> {
        self.holds.get(account).filter(|hold| hold.until.is_none_or(|until| until > now)).cloned()
    }

    fn fleet(&mut self, account: &AccountName) -> &mut Fleet {
        self.fleets.entry(account.clone()).or_default()
    }

    /// Every run that is seen, in no order.
    fn statuses(&self, now: Timestamp) -> Vec<RunStatus> {
        let sealed = self.runs.values().filter(|run| run.phase != RunPhase::Open);
        sealed.map(|run| run.status(self.hold_of(&run.run.account, now))).collect()
    }
}

/// A store in memory.
pub struct MemoryStore {
    state: Mutex<State>,
    changed: Notify,
    clock: Arc<dyn Clock>,
    one_seat: bool,
    trouble: Trouble,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("one_seat", &self.one_seat).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store that lives by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            clock,
            one_seat: false,
            trouble: Trouble::default(),
        }
    }

    /// The same with what the trait leaves to a store as the embedded one has it: one seat, whose next holder reclaims what
    /// the last left leased; and a job that waits for a user in flight may be leased as soon as that user is free.
    #[must_use]
    pub fn like_the_embedded(self) -> Self {
        self.locked().calls_back = true;
        Self { one_seat: true, ..self }
    }

    /// How often a method was called, by its name.
    #[must_use]
    pub fn calls(&self, method: &str) -> u64 {
        self.trouble.calls(method)
    }

    /// Whether it can be reached from now on: [`StoreError::Unavailable`] is the answer to every call while it is away.
    pub fn set_away(&self, away: bool) {
        self.trouble.set_away(away);
    }

    /// Lets the next calls of a method fail in turn, before anything is done.
    pub fn fail(&self, method: &str, errors: impl IntoIterator<Item = StoreError>) {
        self.trouble.fail(method, errors);
    }

    /// Loses the answer to the next call of a method that changes something; the change is made.
    pub fn lose_answer(&self, method: &str) {
        self.trouble.lose_answer(method);
    }

    /// Ends no append before so many have been in flight at once.
    pub fn gather_appends(&self, count: u64) {
        self.trouble.gather_appends(count);
    }

    /// The most appends that were in flight at once.
    #[must_use]
    pub fn most_appends(&self) -> u64 {
        self.trouble.most_appends()
    }

    /// How many runs are open: seen by nobody else.
    #[must_use]
    pub fn open_runs(&self) -> usize {
        self.locked().runs.values().filter(|run| run.phase == RunPhase::Open).count()
    }

    /// The seal of a run.
    #[must_use]
    pub fn seal_of(&self, run: &RunId) -> Option<Seal> {
        self.locked().runs.get(run)?.seal.clone()
    }

    /// What the requests of a run have been resolved to so far, in file order.
    #[must_use]
    pub fn resolutions(&self, run: &RunId) -> Vec<Option<Resolution>> {
        let state = self.locked();
        state
            .runs
            .get(run)
            .map_or_else(Vec::new, |run| run.jobs.values().map(|job| job.resolution.clone()).collect())
    }

    /// Makes a job look as if so many workers had died over it, the last ones while it ran alone.
    pub fn pretend_deaths(&self, run: &RunId, seq: u64, deaths: u32) {
        if let Some(job) = self.locked().runs.get_mut(run).and_then(|run| run.jobs.get_mut(&seq)) {
            (job.deaths, job.may_have_applied) = (deaths, true);
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, call: &'static str) -> Result<MutexGuard<'_, State>, StoreError> {
        self.trouble.called(call)?;
        Ok(self.locked())
    }

    /// The same for what may be news to those who wait for work: they are woken once the caller is through.
    fn change<T>(
        &self,
        call: &'static str,
        change: impl FnOnce(&mut State, Timestamp) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let changed = change(&mut *self.state(call)?, self.clock.now());
        self.changed.notify_waiters();
        changed.and_then(|changed| self.trouble.answered(call).map(|()| changed))
    }
}

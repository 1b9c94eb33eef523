//! One account as a worker carries its work out: its provider, its limiter, its health, and what holds it back.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use rand::rngs::StdRng;
use tokio::sync::{Notify, RwLock, watch};
use usher_shared::{
    AccountName, Clock, RunId, RunStatus, Timestamp, WorkerId,
    config::{ProtectedPattern, WorkerConfig},
    store::{SharedStore, StoreError},
};

use crate::{
    admit::Rules,
    agreement,
    backend::Slots,
    boot_clock::BootClock,
    deadline::Deadlines,
    health::{Finding, Health, Seen},
    holds::Holds,
    limiter::Limiter,
    meter::Meter,
    provider::Provider,
    resolve::Policy,
};

/// Clocks that differ by less than this are taken as one.
const SAME_CLOCK: Duration = Duration::from_millis(250);

/// How far the stopping of a worker has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It works.
    #[default]
    No,
    /// It leases nothing more; calls in flight finish.
    Drain,
}

/// One account as a worker carries its work out.
pub(crate) struct Account {
    pub name: AccountName,
    pub provider: Arc<dyn Provider>,
    /// What guards it.
    pub rules: Rules,
    /// The same and more, as digests: what every worker of the account has to have alike.
    pub agreed: String,
    pub store: SharedStore,
    pub limiter: Arc<dyn Limiter>,
    pub worker: WorkerId,
    pub config: WorkerConfig,
    pub only_run: Option<RunId>,
    pub boot: Arc<dyn BootClock>,
    pub clock: Arc<dyn Clock>,
    pub deadlines: Deadlines,
    pub slots: Arc<Slots>,
    /// Read by whoever has jobs in flight, in all accounts of the process; written by a job that must run alone.
    pub company: Arc<RwLock<()>>,
    pub holds: Holds,
    pub meter: Meter,
    pub stop: watch::Receiver<Stop>,
    /// The runs of this account that are not over, as last seen.
    pub runs: watch::Sender<Vec<RunStatus>>,
    /// Wakes the steward.
    pub nudge: Notify,
    /// Wakes the feeder.
    pub feed: Notify,
    policy: Mutex<Arc<Policy>>,
    /// Users who could sign in when a listing told last.
    active_users: Mutex<Option<u64>>,
    /// When the last attempt ended that this worker recorded of a run.
    recorded: Mutex<HashMap<RunId, Timestamp>>,
    health: Mutex<Health>,
    random: Mutex<StdRng>,
    store_time: StoreTime,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What an [`Account`] is made of.
pub(crate) struct AccountParts {
    pub name: AccountName,
    pub provider: Arc<dyn Provider>,
    pub protected: Vec<ProtectedPattern>,
    pub rules: Rules,
    pub store: SharedStore,
    pub limiter: Arc<dyn Limiter>,
    pub worker: WorkerId,
    pub config: WorkerConfig,
    pub only_run: Option<RunId>,
    pub boot: Arc<dyn BootClock>,
    pub clock: Arc<dyn Clock>,
    pub company: Arc<RwLock<()>>,
    pub stop: watch::Receiver<Stop>,
    pub random: StdRng,
}

impl Account {
    pub fn new(parts: AccountParts) -> Self {
        Self {
            slots: Arc::default(),
            holds: Holds::default(),
            meter: Meter::default(),
            runs: watch::Sender::default(),
            nudge: Notify::new(),
            feed: Notify::new(),
            deadlines: Deadlines::default(),
            agreed: agreement::policy(&parts.name, &parts.provider.rates(), &parts.protected, &parts.rules),
            policy: Mutex::new(Arc::new(Policy {
                protected: parts.protected,
                capped: !parts.rules.caps.is_empty(),
                ..Policy::default()
            })),
            rules: parts.rules,
            active_users: Mutex::default(),
            recorded: Mutex::default(),
            health: Mutex::default(),
            random: Mutex::new(parts.random),
            store_time: StoreTime::default(),
            name: parts.name,
            provider: parts.provider,
            store: parts.store,
            limiter: parts.limiter,
            worker: parts.worker,
            config: parts.config,
            only_run: parts.only_run,
            boot: parts.boot,
            clock: parts.clock,
            company: parts.company,
            stop: parts.stop,
        }
    }

    /// The time by the store's clock, as far as it is known: what jobs and holds come due by. A worker's own wall clock
    /// may be wrong by hours, and may jump.
    pub fn now(&self) -> Timestamp {
        self.store_time.at(self.boot.now()).unwrap_or_else(|| self.clock.now())
    }

    /// Takes note of the store's time, told at some moment since `asked_at` on the boot clock.
    pub fn learn_time(&self, asked_at: Duration, store: Timestamp) {
        self.store_time.learn(asked_at, self.boot.now(), store);
    }

    /// A moment of the wall clock here, which providers tell time by, on the store's clock. Clocks that are nearly one are
    /// taken as one, so that midnight stays midnight.
    pub fn rebased(&self, local: Timestamp) -> Timestamp {
        let (store, here) = (self.now(), self.clock.now());
        let apart = store.since(here).max(here.since(store));
        if apart < SAME_CLOCK { local } else { store.after(local.since(here)) }
    }

    /// Who is never changed, as far as is known.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&locked(&self.policy))
    }

    /// Reads the list of protected users in the store, where it is another than the one known.
    pub async fn learn_protections(&self, version: u64) -> Result<(), StoreError> {
        if self.policy().listed.version == version { Ok(()) } else { self.read_protections().await }
    }

    /// Reads that list, whichever it is.
    pub async fn read_protections(&self) -> Result<(), StoreError> {
        let listed = self.store.protections(&self.name).await?;
        let mut policy = locked(&self.policy);
        if policy.listed != listed {
            tracing::info!(
                account = %self.name, version = listed.version, entries = listed.list.len(),
                "the list of protected users has changed"
            );
            *policy = Arc::new(Policy { listed, ..(**policy).clone() });
        }
        Ok(())
    }

    pub fn active_users(&self) -> Option<u64> {
        *locked(&self.active_users)
    }

    /// A listing told how many users can sign in.
    pub fn learn_active_users(&self, count: Option<u64>) {
        if count.is_some() {
            *locked(&self.active_users) = count;
        }
    }

    /// The ledger has an attempt at a job of this run that ended then.
    pub fn recorded(&self, run: &RunId, ended_at: Timestamp) {
        let mut recorded = locked(&self.recorded);
        let last = recorded.entry(run.clone()).or_insert(ended_at);
        *last = ended_at.max(*last);
    }

    /// Whether the last attempt at a run that is over was recorded here. Forgets it.
    pub fn recorded_last(&self, run: &RunStatus) -> bool {
        let ours = locked(&self.recorded).remove(&run.run.id);
        ours.is_some() && ours == run.effort.last_attempt_at
    }

    pub fn lease_ttl(&self) -> Duration {
        Duration::from_secs_f64(self.config.lease_seconds.clamp(0.001, 86_400.0))
    }

    pub fn random(&self) -> MutexGuard<'_, StdRng> {
        locked(&self.random)
    }

    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow() == Stop::Drain
    }

    /// Ends when the worker is to stop.
    pub async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // The sender is gone only when the engine is: that, too, is a stop.
        let _ = stop.wait_for(|stop| *stop == Stop::Drain).await;
    }

    /// Waits, unless the worker is to stop first; `None` then.
    pub async fn unless_stopping<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.stopping() => None,
            output = future => Some(output),
        }
    }

    /// Takes note of an attempt; a hold that follows from it is placed.
    pub fn observe(&self, seen: &Seen) -> Finding {
        locked(&self.health).observe(seen)
    }

    pub fn is_probing(&self) -> bool {
        locked(&self.health).is_probing()
    }

    /// Takes note of what a lease call, sent at `asked_at` on the boot clock, told of the account's hold.
    pub fn heard_hold(&self, asked_at: Duration, hold: Option<&usher_shared::Hold>) {
        if let Some(hold) = hold {
            locked(&self.health).observe_hold(hold);
        }
        self.holds.heard(asked_at, hold);
    }
}

/// The store's clock, told from the boot clock.
#[derive(Debug)]
struct StoreTime(AtomicI64);

const UNKNOWN: i64 = i64::MIN;

impl Default for StoreTime {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl StoreTime {
    /// The store read its clock between these two moments of ours. What is known already is kept as far as that allows: an
    /// answer that was long on its way says little, and must not spoil what a quick one said.
    fn learn(&self, asked_at: Duration, answered_at: Duration, store: Timestamp) {
        let earliest = store.as_millis() - millis(answered_at);
        let latest = store.as_millis() - millis(asked_at);
        let known = self.0.load(Ordering::Relaxed);
        let offset =
            if known == UNKNOWN { i64::midpoint(earliest, latest) } else { known.clamp(earliest, latest) };
        self.0.store(offset, Ordering::Relaxed);
    }

    fn at(&self, boot: Duration) -> Option<Timestamp> {
        let offset = self.0.load(Ordering::Relaxed);
        (offset != UNKNOWN).then(|| Timestamp::from_millis(offset.saturating_add(millis(boot))))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_long_on_its_way_does_not_spoil_the_time_that_a_quick_one_told() {
        let (ms, time) = (Duration::from_millis, StoreTime::default());
        let off = |asked, answered, store| {
            time.learn(ms(asked), ms(answered), Timestamp::from_millis(store));
            time.at(ms(0)).unwrap().as_millis()
        };
        assert_eq!(time.at(ms(0)), None);
        assert_eq!(off(100, 104, 5_102), 5_000, "in the middle of what is possible");
        assert_eq!(off(200, 3_200, 8_199), 5_000, "three seconds on its way: it may be as it was");
        assert_eq!(
            off(4_000, 4_002, 9_010),
            5_008,
            "the store's clock goes faster: no further than is certain"
        );
        assert_eq!(off(5_000, 5_002, 3_610_000), 3_604_998, "and follows one that was set");
    }
}

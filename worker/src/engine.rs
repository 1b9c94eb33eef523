//! All of a process' accounts at work: started, followed, stopped.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::{RwLock, watch},
    task::JoinSet,
};
use usher_shared::{
    AccountName, Clock, Hold, RunId, RunStatus, SystemClock, WorkerId,
    config::{ProtectedPattern, WorkerConfig},
    store::{Seat, SharedStore, StoreError},
};

use crate::{
    account::{Account, AccountParts, Stop},
    account_worker::work,
    admit::Rules,
    audit::{AuditSealing, seal_until},
    boot_clock::{BootClock, SystemBootClock},
    limiter::LimiterFactory,
    provider::SharedProvider,
    retention::prune_until_stopped,
    view::AccountView,
};

/// How long a stopping worker waits for the last seals.
const LAST_SEAL: Duration = Duration::from_secs(5);

/// One account to be worked.
#[derive(Clone, Debug)]
pub struct AccountSetup {
    /// Its name.
    pub name: AccountName,
    /// The code for its vendor.
    pub provider: SharedProvider,
    /// Who is never changed, beside the vendor's own admins.
    pub protected: Vec<ProtectedPattern>,
    /// How many users may be touched, and who has to approve that.
    pub rules: Rules,
}

/// What an [`Engine`] is started with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Queue and ledger.
    pub store: SharedStore,
    /// The accounts to work.
    pub accounts: Vec<AccountSetup>,
    /// Makes each account's limiter.
    pub limiter: LimiterFactory,
    /// This process, as attempts and outcomes name it.
    pub worker: WorkerId,
    /// How work is carried out.
    pub config: WorkerConfig,
    /// What the audit is sealed with; without it, what is told stays unsealed until another worker comes by that has the key.
    pub audit: Option<AuditSealing>,
    /// Days that a run is kept after its end; without it, for ever.
    pub keep: Option<u32>,
    /// Work this run alone.
    pub only_run: Option<RunId>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The clock that leases are measured on.
    pub boot_clock: Arc<dyn BootClock>,
    /// Where the random parts of waits come from.
    pub seed: u64,
}

impl EngineConfig {
    /// A configuration with the system's clocks, a seed of chance, and default ways of working, for one process.
    #[must_use]
    pub fn new(store: SharedStore, accounts: Vec<AccountSetup>, worker: WorkerId) -> Self {
        Self {
            store,
            accounts,
            limiter: LimiterFactory::Embedded,
            worker,
            config: WorkerConfig::default(),
            audit: None,
            keep: None,
            only_run: None,
            clock: Arc::new(SystemClock),
            boot_clock: Arc::new(SystemBootClock::new()),
            seed: rand::random(),
        }
    }
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store refuses the work. Retried where [`StoreError::is_retryable`] says so; else the user does what it says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No call could ever start under such a lease. Never retried; the user corrects the configuration.
    #[error(
        "a lease of {lease:?} is too short for a call of {account}, which may take {call:?}: lease_seconds has to be \
         at least a second more"
    )]
    LeaseTooShort {
        /// Whose calls.
        account: AccountName,
        /// How long a lease is to last.
        lease: Duration,
        /// How long a call may take.
        call: Duration,
    },
    /// The run to be worked is not there, or not of one of the accounts. Never retried.
    #[error("run {0} is of none of the accounts that this process works")]
    NotOurs(RunId),
}

/// How the following of one run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEnd {
    /// Every job has its outcome.
    Over(Box<RunStatus>),
    /// The account is on hold until somebody does something; the run is as far as it came.
    Held(Hold, Box<RunStatus>),
    /// The engine was stopped first.
    Stopped,
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything in flight was finished, the rest given back.
    Clean,
    /// The time was up first: the leases that were still held lapse.
    TimeUp {
        /// How many.
        left: usize,
    },
}

/// All of a process' accounts at work. Dropping it stops everything at once; its leases then lapse.
#[derive(Debug)]
pub struct Engine {
    accounts: Vec<Arc<Account>>,
    views: Vec<watch::Receiver<AccountView>>,
    tasks: JoinSet<()>,
    /// Those who look after the store; the last things told are sealed once the accounts' work has ended.
    keepers: JoinSet<()>,
    sealing: watch::Sender<bool>,
    stop: watch::Sender<Stop>,
    drain: Duration,
    store: SharedStore,
    only_run: Option<RunId>,
    /// Given back last.
    _seat: Seat,
}

impl Engine {
    /// Takes the store's seat and begins to work.
    pub async fn start(config: EngineConfig) -> Result<Self, EngineError> {
        let lease = Duration::from_secs_f64(config.config.lease_seconds.clamp(0.001, 86_400.0));
        for account in &config.accounts {
            let call = account.provider.call_timeout();
            if lease < call + Duration::from_secs(1) {
                return Err(EngineError::LeaseTooShort { account: account.name.clone(), lease, call });
            }
        }
        let mut accounts = config.accounts;
        if let Some(run) = &config.only_run {
            let status = config.store.run(run).await?.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
            accounts.retain(|account| account.name == status.run.account);
            if accounts.is_empty() {
                return Err(EngineError::NotOurs(run.clone()));
            }
        }
        let seat = config.store.take_seat(&config.worker).await?;
        let (stop, stopping) = watch::channel(Stop::No);
        let company = Arc::new(RwLock::new(()));
        let mut engine = Self {
            accounts: vec![],
            views: vec![],
            tasks: JoinSet::new(),
            keepers: JoinSet::new(),
            sealing: watch::Sender::default(),
            stop,
            drain: Duration::from_secs_f64(config.config.drain_seconds.clamp(0.0, 86_400.0)),
            store: Arc::clone(&config.store),
            only_run: config.only_run.clone(),
            _seat: seat,
        };
        if let Some(sealing) = config.audit {
            let end = engine.sealing.subscribe();
            engine.keepers.spawn(seal_until(Arc::clone(&config.store), sealing, end));
        }
        if let Some(days) = config.keep {
            let (store, worker) = (Arc::clone(&config.store), config.worker.clone());
            engine.keepers.spawn(prune_until_stopped(store, worker, days, stopping.clone()));
        }
        for (place, setup) in accounts.into_iter().enumerate() {
            let limiter = config.limiter.make(&setup.name, &setup.provider.rates(), &config.store);
            let account = Arc::new(Account::new(AccountParts {
                limiter,
                name: setup.name,
                provider: setup.provider,
                protected: setup.protected,
                rules: setup.rules,
                store: Arc::clone(&config.store),
                worker: config.worker.clone(),
                config: config.config.clone(),
                only_run: config.only_run.clone(),
                boot: Arc::clone(&config.boot_clock),
                clock: Arc::clone(&config.clock),
                company: Arc::clone(&company),
                stop: stopping.clone(),
                random: StdRng::seed_from_u64(config.seed.wrapping_add(place as u64)),
            }));
            let (view, views) = watch::channel(AccountView::of(&account));
            engine.tasks.spawn(work(Arc::clone(&account), view));
            engine.accounts.push(account);
            engine.views.push(views);
        }
        Ok(engine)
    }

    /// What goes on in each account, in the order of the configuration; kept up to date five times a second.
    #[must_use]
    pub fn views(&self) -> Vec<watch::Receiver<AccountView>> {
        self.views.clone()
    }

    /// The runs of an account that are not over (with one run to be worked: that one, to its end), as last seen.
    #[must_use]
    pub fn runs(&self, account: &AccountName) -> Option<watch::Receiver<Vec<RunStatus>>> {
        self.accounts.iter().find(|known| known.name == *account).map(|account| account.runs.subscribe())
    }

    /// Tells the workers to stop, without waiting: for a signal that comes while a run is followed.
    pub fn stop(&self) {
        self.stop.send_replace(Stop::Drain);
    }

    /// Follows the run that this engine works alone: until it is over, its account is held until somebody does something,
    /// or the engine is stopped. Without such a run: until the engine is stopped.
    pub async fn run_until_over(&self) -> RunEnd {
        let mut stop = self.stop.subscribe();
        let stopped = async {
            // The sender is ours: it can't be gone.
            let _ = stop.wait_for(|stop| *stop == Stop::Drain).await;
        };
        let (Some(run), [account]) = (&self.only_run, self.accounts.as_slice()) else {
            stopped.await;
            return RunEnd::Stopped;
        };
        let mut runs = account.runs.subscribe();
        let over = async {
            loop {
                let seen = runs.borrow_and_update().iter().find(|status| status.run.id == *run).cloned();
                if let Some(status) = seen {
                    if status.phase.is_over() {
                        return RunEnd::Over(Box::new(status));
                    }
                    if let Some(hold) = status.hold.clone().filter(|hold| hold.until.is_none()) {
                        return RunEnd::Held(hold, Box::new(status));
                    }
                }
                if runs.changed().await.is_err() {
                    return RunEnd::Stopped;
                }
            }
        };
        tokio::select! {
            biased;
            end = over => end,
            () = stopped => RunEnd::Stopped,
        }
    }

    /// Leases nothing more, finishes what is in flight, gives back the rest; at most as long as the configuration allows.
    pub async fn shutdown(mut self) -> Drained {
        self.stop();
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        let drained = tokio::time::timeout(self.drain, drained).await;
        self.sealing.send_replace(true);
        let kept = async { while self.keepers.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_SEAL, kept).await.is_err() {
            tracing::warn!(
                "the audit's last entries could not be sealed in time; the next worker seals them"
            );
        }
        if drained.is_ok() {
            return Drained::Clean;
        }
        let left = self.accounts.iter().map(|account| account.slots.taken()).sum();
        tracing::warn!(left, "calls were still in flight when the time to drain was up; their leases lapse");
        self.tasks.shutdown().await;
        Drained::TimeUp { left }
    }

    /// Stops at once, in the middle of calls; the leases that are held lapse.
    pub async fn abort(mut self) {
        self.keepers.shutdown().await;
        self.tasks.shutdown().await;
    }

    /// The store that is worked from.
    #[must_use]
    pub fn store(&self) -> &SharedStore {
        &self.store
    }
}

//! Moves an account's runs on: resolve, admit, promote, sweep. Small steps, in the order in which runs are worked.

mod admitting;
mod ending;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use usher_shared::{
    Hold, HoldReason, Note, PlanNote, RunId, RunStatus,
    store::{CHUNK, StoreError, UtcDay},
};

use self::admitting::schedule;
use crate::{
    account::Account,
    admit::Undo,
    agreement::{disagreement, message},
    backoff::Backoff,
    execute::hold_account,
    gate::AccountGate,
    metrics::{self, StoreCall},
    next_step::{NextStep, next_step, waits_its_turn},
    pulse::has_work,
    resolve::{Asked, Asker, Patience, ResolveError, Resolver, count_active},
};

/// How often the runs are looked at while nothing wakes the steward: a pause or cancel by another process, which the
/// store applies to leases by itself, shows here within this.
const LOOK: Duration = Duration::from_millis(500);
/// The same where one run is followed to its end.
const LOOK_AT_ONE: Duration = Duration::from_millis(100);
/// The shortest time between two looks that found nothing to move, after the first few.
const SHORTEST: Duration = Duration::from_millis(50);
/// Chunks put into the queue a look: the next look may find a more urgent run.
const CHUNKS: usize = 4;
/// Runs of one account resolved at once.
const RESOLVES: usize = 4;
/// How long a stewardship lasts between renewals.
const STEWARDSHIP: Duration = Duration::from_secs(15);
/// How long a run whose resolve failed is left alone.
const RESOLVE_AGAIN: Duration = Duration::from_secs(2);
/// How often runs that were opened and never sealed are forgotten.
const EXPIRE: Duration = Duration::from_secs(10 * 60);
/// How often the store is asked for its time.
const TIME: Duration = Duration::from_secs(60);

/// How often the other workers' configurations are looked at while there is work.
const AGREE: Duration = Duration::from_secs(1);
/// The same before a run is admitted: no more than this is relied on.
const AGREE_NOW: Duration = Duration::from_millis(200);
/// How long the account is held for a disagreement that is not seen any more.
const DISAGREES: Duration = Duration::from_secs(10);

/// Looks after an account's runs until the worker is to stop.
pub(crate) async fn steward(account: Arc<Account>) {
    let mut steward = Steward {
        gate: Arc::new(AccountGate::new(&account)),
        account,
        resolves: JoinSet::new(),
        resolving: HashMap::new(),
        again: HashMap::new(),
        failures: 0,
        idle_looks: 0,
        expired: None,
        timed: None,
        agreed: None,
        resolved: HashSet::new(),
        undos: HashMap::new(),
        full: HashMap::new(),
        at_work: HashSet::new(),
        ended: HashSet::new(),
        warned: HashSet::new(),
    };
    while !steward.account.is_stopping() {
        let moved = steward.look().await;
        if !moved {
            steward.rest().await;
        }
    }
    // What a call in flight found out is told to the store even now.
    steward.resolves.shutdown().await;
    steward.write_hold().await;
}

struct Steward {
    account: Arc<Account>,
    gate: Arc<AccountGate>,
    resolves: JoinSet<(RunId, Result<(), ResolveError>)>,
    resolving: HashMap<RunId, AbortHandle>,
    /// Runs whose resolve failed, and when it is tried again.
    again: HashMap<RunId, Instant>,
    failures: u32,
    /// Looks in a row that found nothing to move and came soon after each other.
    idle_looks: u32,
    expired: Option<Instant>,
    timed: Option<Instant>,
    /// When the other workers' configurations were looked at.
    agreed: Option<Instant>,
    /// Runs that this worker resolved last.
    resolved: HashSet<RunId>,
    /// What became of claims to undo.
    undos: HashMap<RunId, Undo>,
    /// Runs that did not fit into a day's cap: which day, and how much of it was used.
    full: HashMap<RunId, (UtcDay, u64)>,
    /// Runs that were not over at the last look.
    at_work: HashSet<RunId>,
    /// Runs whose last job got its outcome here, by no attempt.
    ended: HashSet<RunId>,
    /// Runs of which it was said that they will not make their deadline.
    warned: HashSet<RunId>,
}

impl Steward {
    /// One look at everything. Answers whether a run was moved on, so that another look is worth while.
    async fn look(&mut self) -> bool {
        self.write_hold().await;
        self.reap();
        match self.attend().await {
            Ok(moved) => {
                self.failures = 0;
                if moved {
                    self.idle_looks = 0;
                }
                moved
            }
            Err(error) => {
                self.failures += 1;
                metrics::store_failed(&self.account.name, StoreCall::Steward);
                let wait = Backoff::SERVICE.ceiling(self.failures);
                tracing::warn!(account = %self.account.name, %error, "the runs can't be looked after for now; trying again");
                self.account.unless_stopping(tokio::time::sleep(wait)).await;
                false
            }
        }
    }

    async fn attend(&mut self) -> Result<bool, StoreError> {
        self.housekeeping().await?;
        let account = Arc::clone(&self.account);
        let mut runs = match &account.only_run {
            Some(run) => account.store.run(run).await?.into_iter().collect(),
            None => account.store.unfinished(&account.name).await?,
        };
        // The most urgent first, whatever the phase; the order within a priority is the store's.
        runs.sort_by_key(|run| run.run.priority.rank());
        account.deadlines.see(&runs);
        self.warn_of_deadlines(&runs);
        // Before anybody is shown that a run is over: that may be the end of this worker.
        self.tell_finished(&runs).await?;
        account.runs.send_if_modified(|known| {
            let changed = *known != runs;
            if changed {
                known.clone_from(&runs);
            }
            changed
        });
        let mut moved = false;
        for (place, run) in runs.iter().enumerate() {
            if account.is_stopping() {
                return Ok(false);
            }
            // One run's refusal (it was paused or cancelled a moment ago, say) is no reason to leave the others.
            match self.step(run, &runs[..place]).await {
                Ok(stepped) => moved |= stepped,
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => {
                    tracing::debug!(run = %run.run.id, %error, "the run has moved on by itself");
                }
            }
        }
        Ok(moved)
    }

    /// `before`: the runs that are worked before this one.
    async fn step(&mut self, run: &RunStatus, before: &[RunStatus]) -> Result<bool, StoreError> {
        let account = Arc::clone(&self.account);
        let id = &run.run.id;
        match next_step(run, account.now()) {
            NextStep::Nothing => Ok(false),
            NextStep::ResolveAgain if waits_its_turn(run, before) => Ok(false),
            NextStep::Schedule => match run.run.terms.not_before {
                Some(at) => schedule(&account, run, at).await,
                None => Ok(false),
            },
            NextStep::Resolve if run.notes.held.is_some() => {
                account.store.note(id, &Note::Held(None)).await?;
                Ok(true)
            }
            NextStep::Resolve | NextStep::ResolveAgain => {
                self.resolve(run);
                Ok(false)
            }
            NextStep::Admit => self.admit(run, before).await,
            NextStep::Expire => self.expire(run).await,
            NextStep::Promote => {
                for _ in 0..CHUNKS {
                    let left = account.store.promote(id, CHUNK).await?;
                    account.feed.notify_one();
                    if left == 0 {
                        // Every request may have been settled without a call: then it is over by this.
                        self.ended.extend(run.effort.first_attempt_at.is_none().then(|| id.clone()));
                    }
                    if left == 0 || account.is_stopping() {
                        break;
                    }
                }
                Ok(true)
            }
            NextStep::Sweep => self.sweep(run).await,
        }
    }

    fn resolve(&mut self, run: &RunStatus) {
        let id = &run.run.id;
        let waits = self.again.get(id).is_some_and(|again| *again > Instant::now());
        if waits || self.resolving.contains_key(id) || self.resolving.len() >= RESOLVES {
            return;
        }
        let account = Arc::clone(&self.account);
        let (gate, run) = (Arc::clone(&self.gate), run.clone());
        let resolve = async move {
            if let Err(error) = account.read_protections().await {
                return (run.run.id, Err(error.into()));
            }
            let policy = account.policy();
            let resolver = Resolver {
                store: &*account.store,
                provider: &*account.provider,
                gate: &*gate,
                policy: &policy,
                worker: &account.worker,
                patience: Patience::default(),
                stewardship: STEWARDSHIP,
                count_active: account.rules.caps.share_per_run.is_some(),
                progress: &|progress| tracing::debug!(?progress, "resolving"),
            };
            let resolved = resolver.resolve(&run).await;
            let resolved = resolved.map(|resolved| account.learn_active_users(resolved.active_users));
            account.nudge.notify_one();
            (run.run.id, resolved)
        };
        let handle = self.resolves.spawn(resolve);
        self.resolving.insert(id.clone(), handle);
    }

    /// Asks how many users are active, and notes it with the plan.
    fn spawn_count(&mut self, run: &RunStatus, plan: PlanNote) {
        let account = Arc::clone(&self.account);
        let (gate, id, priority) = (Arc::clone(&self.gate), run.run.id.clone(), run.run.priority);
        let run = id.clone();
        let count = async move {
            let calls = AtomicU64::new(0);
            let provider = &*account.provider;
            let patience = Patience::default();
            let asker = Asker { provider, gate: &*gate, priority, patience, calls: &calls };
            let counted = match count_active(&asker, provider).await {
                Ok(Some(active)) => {
                    account.learn_active_users(Some(active));
                    let plan = PlanNote { active_users: Some(active), ..plan };
                    account.store.note(&run, &Note::Plan(plan)).await.map_err(ResolveError::from)
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error.into()),
            };
            account.nudge.notify_one();
            (run, counted)
        };
        let handle = self.resolves.spawn(count);
        self.resolving.insert(id, handle);
    }

    /// Whether a worker of this account goes by another configuration. The account is held for as long as that lasts, and
    /// a little longer.
    async fn workers_disagree(&mut self) -> Result<bool, StoreError> {
        let account = Arc::clone(&self.account);
        if self.agreed.is_none_or(|looked| looked.elapsed() >= AGREE_NOW) {
            let pulses = account.store.pulses(&account.name).await?;
            self.agreed = Some(Instant::now());
            let now = account.now();
            if let Some((other, parts)) = disagreement(&account.agreed, &account.worker, &pulses) {
                let left =
                    account.holds.in_force(now).and_then(|hold| hold.until).map(|until| until.since(now));
                if left.is_none_or(|left| left < DISAGREES / 2) {
                    let hold = Hold {
                        reason: HoldReason::Disagreement,
                        message: message(&account.name, &account.worker, &other, &parts),
                        since: now,
                        until: Some(now.after(DISAGREES)),
                    };
                    hold_account(&account, &hold);
                }
            }
        }
        let hold = account.holds.in_force(account.now());
        Ok(hold.is_some_and(|hold| hold.reason == HoldReason::Disagreement))
    }

    /// Takes note of the resolves that have ended.
    fn reap(&mut self) {
        while let Some(ended) = self.resolves.try_join_next() {
            metrics::resolved(&self.account.name, matches!(&ended, Ok((_, Ok(())))));
            match ended {
                Ok((run, Ok(()))) => {
                    self.resolving.remove(&run);
                    // How many are active may have been asked for, and is asked again in a while.
                    if self.again.remove(&run).is_none() {
                        self.resolved.insert(run);
                    }
                }
                Ok((run, Err(error))) => self.resolve_failed(run, &error),
                Err(error) => {
                    tracing::error!(account = %self.account.name, %error, "a resolve broke off; it is begun again");
                    self.resolving.retain(|_, handle| !handle.is_finished());
                }
            }
        }
        self.again.retain(|_, again| *again > Instant::now());
    }

    fn resolve_failed(&mut self, run: RunId, error: &ResolveError) {
        match error {
            ResolveError::Elsewhere(_) | ResolveError::Stopped(_) | ResolveError::Asked(Asked::Closed(_)) => {
                tracing::debug!(%run, %error, "not resolved here for now");
            }
            ResolveError::Asked(Asked::Vendor { reply, .. }) if reply.halt.is_some() => {
                // The gate has held the account already.
                tracing::debug!(%run, %error, "not resolved: the account is on hold");
            }
            ResolveError::Asked(_) | ResolveError::Store(_) => {
                tracing::warn!(%run, %error, "not resolved; tried again in a while");
            }
        }
        self.resolving.remove(&run);
        self.again.insert(run, Instant::now() + RESOLVE_AGAIN);
    }

    /// Tells the store of a hold that was found here.
    async fn write_hold(&self) {
        let account = &self.account;
        let Some(hold) = account.holds.unwritten() else { return };
        for failures in 1..=5 {
            match account.store.hold(&account.name, &hold).await {
                Ok(()) => return account.holds.written(&hold, account.boot.now()),
                Err(error) => {
                    tracing::warn!(account = %account.name, %error, "the hold is not told to the store yet; trying again");
                    tokio::time::sleep(Backoff::SERVICE.ceiling(failures)).await;
                }
            }
        }
    }

    async fn housekeeping(&mut self) -> Result<(), StoreError> {
        let account = &self.account;
        if self.timed.is_none_or(|timed| timed.elapsed() >= TIME) {
            let asked_at = account.boot.now();
            account.learn_time(asked_at, account.store.now().await?);
            self.timed = Some(Instant::now());
        }
        if self.agreed.is_none_or(|agreed| agreed.elapsed() >= AGREE) && has_work(account) {
            self.workers_disagree().await?;
        }
        let account = &self.account;
        if account.only_run.is_none() && self.expired.is_none_or(|expired| expired.elapsed() >= EXPIRE) {
            let expired = account.store.expire_open_runs().await?;
            if expired > 0 {
                tracing::info!(expired, "forgot runs that were opened and never sealed");
            }
            self.expired = Some(Instant::now());
        }
        Ok(())
    }

    /// Waits for something to do.
    async fn rest(&mut self) {
        let account = &self.account;
        let look = if account.only_run.is_some() { LOOK_AT_ONE } else { LOOK };
        let began = Instant::now();
        let work = async {
            tokio::select! {
                () = account.store.wait_for_work(&account.name, look) => {}
                () = account.nudge.notified() => {}
            }
        };
        account.unless_stopping(work).await;
        // The store wakes for jobs, too, which are not the steward's.
        let soon = SHORTEST.saturating_sub(began.elapsed());
        self.idle_looks = if soon.is_zero() { 0 } else { self.idle_looks.saturating_add(1) };
        if self.idle_looks > 3 {
            account.unless_stopping(tokio::time::sleep(soon)).await;
        }
    }
}

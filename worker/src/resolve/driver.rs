//! Resolves one run that is sealed, or stood still: takes its stewardship, finds its users, writes what each request means, and
//! moves it on.

use std::{collections::BTreeMap, future::Future, sync::atomic::AtomicU64, time::Duration};

use tokio::time::{Instant, sleep};
use usher_shared::{
    Outcome, RunId, RunPhase, RunStatus, WorkerId,
    store::{Steward, Store, StoreError},
};

use super::{
    Asked, Asker, CallGate, Gathered, Matcher, Patience, Policy, Way,
    again::{Again, Bound, told},
    planning::{count_active, is_bound, is_planned_anew, note_plan},
    search::Search,
};
use crate::provider::Provider;

/// Requests read at once.
const READ: usize = 2_000;
/// How soon a pause or cancel of the run is noticed.
const GLANCE: Duration = Duration::from_secs(1);
/// Tries of a store that does not answer, about ten seconds in all: a run that is given up costs its listing again.
const STORE: Patience =
    Patience { tries: 10, first_wait: Duration::from_millis(50), longest_wait: Duration::from_secs(2) };

/// Why a run is not resolved. Nothing has been changed at the vendor; the whole resolve is begun again when it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Another worker resolves it, or it is no longer to be resolved. Not retried by this worker; it looks at the run again
    /// later.
    #[error("run {0} is being resolved by another worker, or is paused, cancelled or past it")]
    Elsewhere(RunId),
    /// The run was paused or cancelled meanwhile. Begun again when it is resumed.
    #[error("run {0} was paused or cancelled while it was being resolved")]
    Stopped(RunId),
    /// The vendor does not let it be done. Where the reply has a halt, the account is to be held with its message; else
    /// tried again later.
    #[error(transparent)]
    Asked(#[from] Asked),
    /// The store failed at every try, or the stewardship lapsed. Tried again later.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far a resolve has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Requests that have a resolution.
    pub resolved: u64,
    /// Requests of the run.
    pub total: u64,
    /// Vendor calls made.
    pub calls: u64,
}

/// What a run's requests came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// How most of its users were found.
    pub way: Way,
    /// Vendor calls made.
    pub calls: u64,
    /// Requests that are to be carried out.
    pub change: u64,
    /// Requests decided without a call, by outcome.
    pub settled: BTreeMap<Outcome, u64>,
    /// Requests that repeat another by another name.
    pub duplicates: u64,
    /// Users of the account who can sign in, where the vendor told.
    pub active_users: Option<u64>,
}

/// What resolving takes. Each future of [`Resolver::resolve`] may be dropped at any time: the stewardship then lapses and
/// whoever takes it next begins anew.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    /// Where the run lies.
    pub store: &'a dyn Store,
    /// The account's provider.
    pub provider: &'a dyn Provider,
    /// Gives permits for the calls.
    pub gate: &'a dyn CallGate,
    /// Who is never changed.
    pub policy: &'a Policy,
    /// Who resolves.
    pub worker: &'a WorkerId,
    /// How often a call is tried.
    pub patience: Patience,
    /// How long a stewardship lasts between renewals.
    pub stewardship: Duration,
    /// Whether the number of active users is asked for, even where no listing has told it.
    pub count_active: bool,
    /// Told after each chunk that is written.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Resolver<'_> {
    /// Resolves a sealed run and moves it on to phase resolved; or resolves one that stood still again, so that it goes on.
    pub async fn resolve(&self, status: &RunStatus) -> Result<Resolved, ResolveError> {
        let run = &status.run.id;
        let elsewhere = || ResolveError::Elsewhere(run.clone());
        let now = persist(|| self.store.now()).await?;
        let steward = self.take(run).await?.ok_or_else(elsewhere)?;
        // As it is now: somebody may have approved it since it was looked at.
        let status = &persist(|| self.store.run(run)).await?.ok_or_else(elsewhere)?;
        match status.stood_still(now) {
            None => {
                tracing::info!(%run, account = %status.run.account, requests = status.counters.total, "resolving");
            }
            Some(still) => tracing::info!(
                %run, account = %status.run.account, left = status.counters.pending + status.counters.queued,
                "resolving again, because it stood still for {}", told(still)
            ),
        }
        let work = async {
            let resolved = self.work(status, &steward).await?;
            if is_planned_anew(status) {
                // Before the run moves on: no resolved run is without its plan, whatever dies when.
                note_plan(self.store, self.worker, status, resolved.active_users).await?;
            }
            Ok::<_, ResolveError>(resolved)
        };
        let resolved = tokio::select! {
            biased;
            resolved = work => resolved?,
            error = self.keep(run, &steward) => return Err(error),
        };
        self.finish(run, steward).await?;
        tracing::info!(
            %run, calls = resolved.calls, change = resolved.change, duplicates = resolved.duplicates, "resolved"
        );
        Ok(resolved)
    }

    async fn work(&self, status: &RunStatus, steward: &Steward) -> Result<Resolved, ResolveError> {
        let calls = AtomicU64::new(0);
        let asker = Asker {
            provider: self.provider,
            gate: self.gate,
            priority: status.run.priority,
            patience: self.patience,
            calls: &calls,
        };
        let (matcher, again) = if status.phase == RunPhase::Sealed {
            (self.gather(status).await?, None)
        } else {
            let mut gathered = Gathered::with_capacity(status.counters.pending + status.counters.queued);
            let bound = match status.phase {
                _ if is_bound(status) => Bound::Everybody,
                // Admission counts once; before it, everybody is planned and counted anew.
                RunPhase::Admitted if self.policy.capped => Bound::Uncounted,
                _ => Bound::Nobody,
            };
            let again = Again::new(bound);
            let again = self.gather_remaining(&status.run.id, &mut gathered, again).await?;
            (gathered.complete(), Some(again))
        };
        let mut search = Search {
            resolver: self,
            steward,
            asker,
            total: matcher.len(),
            matcher,
            again,
            found: Vec::new(),
            kinds: BTreeMap::new(),
            active_users: None,
        };
        let way = search.run().await?;
        if self.count_active && search.active_users.is_none() && is_planned_anew(status) {
            search.active_users = match count_active(&asker, self.provider).await {
                Ok(active) => active,
                Err(error) => {
                    tracing::warn!(run = %status.run.id, %error, "how many users are active is not known yet");
                    None
                }
            };
        }
        Ok(search.resolved(way))
    }

    async fn gather(&self, status: &RunStatus) -> Result<Matcher, ResolveError> {
        let run = &status.run.id;
        let mut gathered = Gathered::with_capacity(status.counters.total);
        let mut from = 0;
        loop {
            let requests = persist(|| self.store.requests(run, from, READ)).await?;
            let Some((last, _)) = requests.last() else { return Ok(gathered.complete()) };
            from = last + 1;
            for (seq, request) in &requests {
                gathered.push(*seq, request);
            }
        }
    }

    /// What is left of a run that stood still.
    async fn gather_remaining(
        &self,
        run: &RunId,
        gathered: &mut Gathered,
        mut again: Again,
    ) -> Result<Again, ResolveError> {
        let mut from = 0;
        loop {
            let remaining = persist(|| self.store.remaining(run, from, READ)).await?;
            let Some(last) = remaining.last() else { return Ok(again) };
            from = last.seq + 1;
            for job in &remaining {
                again.note(job);
                gathered.push_known(job);
            }
        }
    }

    async fn take(&self, run: &RunId) -> Result<Option<Steward>, StoreError> {
        persist(|| self.store.take_steward(run, self.worker, self.stewardship)).await
    }

    /// Keeps the stewardship, and looks whether the run is still to be resolved; ends when either is over.
    async fn keep(&self, run: &RunId, steward: &Steward) -> ResolveError {
        let mut renewed = Instant::now();
        loop {
            sleep(GLANCE.min(self.stewardship / 4)).await;
            // A store that does not answer is asked again: the stewardship lapses by itself.
            if let Ok(Some(status)) = self.store.run(run).await
                && (status.paused || status.cancelled)
            {
                return ResolveError::Stopped(run.clone());
            }
            if renewed.elapsed() >= self.stewardship / 3 {
                let before = Instant::now();
                match self.store.renew_steward(steward, self.stewardship).await {
                    Ok(()) => renewed = before,
                    Err(error) if error.is_retryable() => {
                        tracing::warn!(%run, %error, "the stewardship is not renewed yet");
                    }
                    Err(error) => return error.into(),
                }
            }
        }
    }

    /// Moves the run on. A store that does not answer may have done it all the same.
    async fn finish(&self, run: &RunId, steward: Steward) -> Result<(), ResolveError> {
        let (mut steward, mut failures) = (steward, 0);
        loop {
            match self.store.finish_resolving(steward).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_retryable() && failures + 1 < STORE.tries => {
                    failures += 1;
                    tracing::warn!(%run, %error, "the resolve is not finished yet");
                    sleep(STORE.wait(failures)).await;
                }
                Err(error) => return Err(error.into()),
            }
            steward = match self.take(run).await? {
                Some(again) => again,
                None => {
                    let now = persist(|| self.store.now()).await?;
                    let done = persist(|| self.store.run(run)).await?.is_some_and(|status| {
                        !matches!(status.phase, RunPhase::Open | RunPhase::Sealed)
                            && status.stood_still(now).is_none()
                    });
                    return if done { Ok(()) } else { Err(ResolveError::Elsewhere(run.clone())) };
                }
            };
        }
    }
}

/// Asks the store until it answers, within bounds.
pub(super) async fn persist<T, F>(write: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut failures = 0;
    loop {
        match write().await {
            Err(error) if error.is_retryable() && failures + 1 < STORE.tries => {
                failures += 1;
                tracing::warn!(%error, "the store is asked again");
                sleep(STORE.wait(failures)).await;
            }
            result => return result,
        }
    }
}

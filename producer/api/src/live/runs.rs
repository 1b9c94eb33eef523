//! One look a second at each run that is followed, for all who follow it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::tz::TimeZone;
use tokio::{sync::watch, time::Instant};
use usher_shared::{
    AccountName, Clock, RunId, RunState, RunStatus,
    store::SharedStore,
    view::{Observer, Reader, StatusView},
};

/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest wait after the store did not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// So long after a run's end, the entry of the audit that says so may still come.
const LAST_WORD: Duration = Duration::from_secs(3);

/// What is known of a run that is followed.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// Nothing yet.
    Nothing,
    /// The store does not answer, and never has since somebody follows.
    Unavailable,
    /// There is no such run, or none any more.
    NotThere,
    /// The run.
    Run(Run),
}

/// A run, as followers get it.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub account: AccountName,
    pub state: RunState,
    /// The whole of its status, in JSON.
    pub data: Arc<str>,
    /// Where it is over: when nothing more comes.
    pub ends: Option<Instant>,
}

/// The runs that are followed.
pub(super) struct Runs {
    store: SharedStore,
    clock: Arc<dyn Clock>,
    followed: Mutex<HashMap<RunId, watch::Sender<Seen>>>,
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs").field("followed", &self.followed).finish_non_exhaustive()
    }
}

impl Runs {
    pub fn new(store: SharedStore, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, followed: Mutex::default() }
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<RunId, watch::Sender<Seen>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a run together with all others who do.
    pub fn follow(self: &Arc<Self>, run: &RunId) -> watch::Receiver<Seen> {
        let mut followed = self.followed();
        if let Some(seen) = followed.get(run) {
            return seen.subscribe();
        }
        let (sender, receiver) = watch::channel(Seen::Nothing);
        followed.insert(run.clone(), sender);
        tokio::spawn(Arc::clone(self).look_after(run.clone()));
        receiver
    }

    /// Looks at a run until it is over, or nobody follows it any more.
    async fn look_after(self: Arc<Self>, run: RunId) {
        let (mut observer, mut failures) = (None, 0_u32);
        loop {
            let looked = Instant::now();
            let seen = match self.store.run(&run).await {
                Ok(Some(status)) => Some(Seen::Run(self.shown(&status, &mut observer).await)),
                Ok(None) => Some(Seen::NotThere),
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%run, %error, "how far the run has come is not known for now");
                    None
                }
            };
            if seen.is_some() {
                failures = 0;
            }
            let last = matches!(&seen, Some(Seen::NotThere | Seen::Run(Run { ends: Some(_), .. })));
            {
                // Whoever comes to follow does so under this lock: nobody is left with one who looks no more.
                let mut followed = self.followed();
                let Some(sender) = followed.get(&run) else { return };
                sender.send_if_modified(|known| renew(known, seen));
                if last || sender.receiver_count() == 0 {
                    followed.remove(&run);
                    return;
                }
            }
            let wait = (LOOK_EVERY * failures.max(1)).min(LONGEST_WAIT);
            tokio::time::sleep_until(looked + wait).await;
        }
    }

    async fn shown(&self, status: &RunStatus, observer: &mut Option<Observer>) -> Run {
        let observer = observer.get_or_insert_with(|| {
            let (account, clock) = (&status.run.account, Arc::clone(&self.clock));
            Observer::of(&self.store, account, Reader::Caller, clock, TimeZone::UTC)
        });
        let scene = observer.look(status, None).await;
        let ends = match (status.phase.is_over(), status.finished_at) {
            (false, _) => None,
            (true, None) => Some(Instant::now() + LAST_WORD),
            (true, Some(finished)) => {
                let now = self.store.now().await.unwrap_or(finished);
                Some(Instant::now() + LAST_WORD.saturating_sub(now.since(finished)))
            }
        };
        Run {
            account: status.run.account.clone(),
            state: status.state(),
            data: serde_json::to_string(&StatusView::with(status, &scene)).unwrap_or_default().into(),
            ends,
        }
    }
}

/// Puts what is seen now in the place of what was; answers whether anybody has to hear of it.
fn renew(known: &mut Seen, seen: Option<Seen>) -> bool {
    match (&*known, seen) {
        (Seen::Nothing, None) => *known = Seen::Unavailable,
        // What was seen last is shown until the store answers again.
        (_, None) => return false,
        (Seen::Run(old), Some(Seen::Run(new)))
            if old.data == new.data && old.ends.is_some() == new.ends.is_some() =>
        {
            return false;
        }
        (_, Some(seen)) => *known = seen,
    }
    true
}

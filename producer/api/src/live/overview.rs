//! One look at all unfinished runs, for all who follow the service.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{sync::watch, time::Instant};
use usher_shared::{
    AccountName, Outcome, RunId, RunStatus,
    store::{SharedStore, StoreError},
};
use utoipa::ToSchema;

/// How often the runs are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The longest wait after the store did not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long a run that is over is still shown, for followers that are slow.
const SHOWN_AFTER_ITS_END: Duration = Duration::from_secs(60);
/// Runs of which the end is looked up at a look: a store that forgets many at once is not asked for each.
const ENDS: usize = 100;

/// How far a run has come, in short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub(super) struct ProgressView<'a> {
    /// Its id.
    run: &'a str,
    /// Whose users.
    account: &'a str,
    /// scheduled, resolving, planned, held, running, paused, halted, cancelling, finished, cancelled, expired or refused.
    state: &'static str,
    /// Its users.
    total: u64,
    /// Users with an outcome.
    finished: u64,
    /// Users by outcome.
    #[schema(value_type = BTreeMap<String, u64>)]
    outcomes: BTreeMap<&'static str, u64>,
    /// Not yet in the queue.
    pending: u64,
    /// In the queue.
    queued: u64,
    /// Held by a worker.
    in_flight: u64,
}

impl<'a> From<&'a RunStatus> for ProgressView<'a> {
    fn from(status: &'a RunStatus) -> Self {
        let counters = &status.counters;
        Self {
            run: status.run.id.as_str(),
            account: status.run.account.as_str(),
            state: status.state().as_str(),
            total: counters.total,
            finished: counters.finished,
            outcomes: counters.outcomes.iter().map(|(outcome, n)| (Outcome::as_str(*outcome), *n)).collect(),
            pending: counters.pending,
            queued: counters.queued,
            in_flight: counters.leased,
        }
    }
}

/// A run, as followers get it.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub account: AccountName,
    /// A [`ProgressView`].
    pub data: Arc<str>,
    /// When it was seen to be over.
    over: Option<Instant>,
}

impl Progress {
    fn of(status: &RunStatus) -> Self {
        Self {
            account: status.run.account.clone(),
            data: serde_json::to_string(&ProgressView::from(status)).unwrap_or_default().into(),
            over: status.phase.is_over().then(Instant::now),
        }
    }
}

/// All runs that are not over, and those that were until a moment ago.
pub(super) type Picture = Arc<HashMap<RunId, Progress>>;

/// Looks at all of them while somebody follows.
#[derive(Debug)]
pub(super) struct Overview {
    store: SharedStore,
    looking: Mutex<Option<watch::Sender<Picture>>>,
}

impl Overview {
    pub fn new(store: SharedStore) -> Self {
        Self { store, looking: Mutex::default() }
    }

    fn looking(&self) -> std::sync::MutexGuard<'_, Option<watch::Sender<Picture>>> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows them together with all others who do.
    pub fn follow(self: &Arc<Self>) -> watch::Receiver<Picture> {
        let mut looking = self.looking();
        if let Some(sender) = &*looking {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Picture::default());
        *looking = Some(sender);
        tokio::spawn(Arc::clone(self).look());
        receiver
    }

    async fn look(self: Arc<Self>) {
        let (mut picture, mut failures) = (Picture::default(), 0_u32);
        loop {
            let looked = Instant::now();
            match self.picture(&picture).await {
                Ok(new) => (picture, failures) = (Arc::new(new), 0),
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, "how far runs have come is not known for now");
                }
            }
            {
                let mut looking = self.looking();
                let Some(sender) = &*looking else { return };
                sender.send_replace(Arc::clone(&picture));
                if sender.receiver_count() == 0 {
                    *looking = None;
                    return;
                }
            }
            let wait = (LOOK_EVERY * failures.saturating_add(1)).min(LONGEST_WAIT);
            tokio::time::sleep_until(looked + wait).await;
        }
    }

    async fn picture(
        &self,
        before: &HashMap<RunId, Progress>,
    ) -> Result<HashMap<RunId, Progress>, StoreError> {
        let mut picture = HashMap::new();
        for account in self.store.accounts().await? {
            for status in self.store.unfinished(&account).await? {
                let mut progress = Progress::of(&status);
                // The same text is the same pointer: followers compare no more than that.
                if let Some(old) = before.get(&status.run.id).filter(|old| old.data == progress.data) {
                    progress.data = Arc::clone(&old.data);
                }
                picture.insert(status.run.id.clone(), progress);
            }
        }
        let mut asked = 0;
        for (id, old) in before {
            match old.over {
                _ if picture.contains_key(id) => {}
                Some(over) if over.elapsed() < SHOWN_AFTER_ITS_END => {
                    picture.insert(id.clone(), old.clone());
                }
                None if asked < ENDS => {
                    asked += 1;
                    if let Some(status) = self.store.run(id).await? {
                        picture.insert(id.clone(), Progress::of(&status));
                    }
                }
                Some(_) | None => {}
            }
        }
        Ok(picture)
    }
}

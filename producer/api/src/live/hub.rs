//! What all followers share, so that two hundred of them cost the store no more than one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::{Gauge, gauge};
use tokio::task::JoinHandle;
use usher_shared::{Clock, store::SharedStore};

use super::{log::Log, overview::Overview, runs::Runs};
use crate::{
    observe::names::FOLLOWERS,
    problem::{Kind, Problem},
};

/// How long a new follower waits until it is known how far the audit has come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all followers share.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(super) log: Arc<Log>,
    pub(super) runs: Arc<Runs>,
    pub(super) overview: Arc<Overview>,
    limit: usize,
    following: Mutex<Following>,
}

#[derive(Debug, Default)]
struct Following {
    followers: usize,
    /// Reads the audit while somebody follows.
    reader: Option<JoinHandle<()>>,
}

impl Hub {
    /// For at most `limit` followers at a time.
    pub(crate) fn new(store: &SharedStore, clock: &Arc<dyn Clock>, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            log: Arc::new(Log::new(Arc::clone(store))),
            runs: Arc::new(Runs::new(Arc::clone(store), Arc::clone(clock))),
            overview: Arc::new(Overview::new(Arc::clone(store))),
            limit,
            following: Mutex::default(),
        })
    }

    fn following(&self) -> MutexGuard<'_, Following> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more follower of this kind of stream, and the number of the last entry of the audit.
    pub(super) async fn join(self: &Arc<Self>, stream: &'static str) -> Result<(Place, u64), Problem> {
        let place = self.take(stream)?;
        let mut news = self.log.news();
        let known = tokio::time::timeout(PATIENCE, news.wait_for(Option::is_some)).await;
        match known.ok().and_then(Result::ok).and_then(|last| *last) {
            Some(last) => Ok((place, last)),
            None => {
                Err(Problem::new(Kind::Unavailable, "the store does not answer; follow again").retry_after(2))
            }
        }
    }

    fn take(self: &Arc<Self>, stream: &'static str) -> Result<Place, Problem> {
        let mut following = self.following();
        if following.followers >= self.limit {
            let detail =
                format!("{} follow already, which is as many as [serve] followers allows", self.limit);
            return Err(Problem::new(Kind::Unavailable, detail).retry_after(10));
        }
        following.followers += 1;
        if following.reader.is_none() {
            let log = Arc::clone(&self.log);
            following.reader = Some(tokio::spawn(async move { log.follow().await }));
        }
        let count = gauge!(FOLLOWERS.name, "stream" => stream);
        count.increment(1.0);
        Ok(Place { hub: Arc::clone(self), count })
    }
}

/// One follower's place; free again once it is dropped.
pub(super) struct Place {
    hub: Arc<Hub>,
    count: Gauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.count.decrement(1.0);
        let mut following = self.hub.following();
        following.followers -= 1;
        if following.followers == 0
            && let Some(reader) = following.reader.take()
        {
            reader.abort();
            self.hub.log.stands_still();
        }
    }
}

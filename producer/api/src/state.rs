//! What every call needs.

use std::{fmt, ops::Deref, sync::Arc};

use tokio::sync::watch;
use usher_shared::{
    Clock, Timestamp,
    config::{Config, StoreAddress},
    store::SharedStore,
};

use crate::{
    limits::Limits,
    live::Hub,
    observe::{Scrape, StoreScrape},
};

/// What every call needs; cheap to clone.
#[derive(Clone, Debug)]
pub struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    limits: Limits,
    hub: Arc<Hub>,
    known: Arc<StoreScrape>,
}

/// The parts of it.
pub struct Parts {
    /// Queue and ledger.
    pub store: SharedStore,
    /// Where that is, for words about it.
    pub address: StoreAddress,
    /// As read at the start: tokens, accounts, limits.
    pub config: Config,
    /// The time of this machine, that does not jump.
    pub clock: Arc<dyn Clock>,
    /// Becomes true once the server is to stop.
    pub stop: watch::Receiver<bool>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("store", &self.address).finish_non_exhaustive()
    }
}

impl Api {
    /// Puts it together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let limits = Limits::new(&parts.config);
        let hub = Hub::new(&parts.store, &parts.clock, parts.config.serve.followers);
        let known = Arc::new(StoreScrape::new(&parts.store, &parts.config));
        Self(Arc::new(Inner { parts, limits, hub, known }))
    }

    /// What callers may ask for at a time.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// What followers of server-sent events share.
    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    /// What Prometheus is told.
    #[must_use]
    pub fn scrape(&self) -> Scrape {
        Scrape::of_service(&self.0.known)
    }

    /// The store's time: what its workers go by. This machine's where the store does not tell.
    pub async fn now(&self) -> Timestamp {
        match self.store.now().await {
            Ok(now) => now,
            Err(error) => {
                tracing::debug!(%error, "the store does not tell the time");
                self.clock.now()
            }
        }
    }
}

impl Deref for Api {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

//! What a scrape gets: what this process counted, and what the store knows, asked of it once for all who scrape.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{gauge, with_local_recorder};
use tokio::sync::Mutex;
use usher_shared::{AccountName, config::Config, store::SharedStore};

use super::{
    Exporter,
    exporter::recorder,
    names::{STORE, STORE_SECONDS, STORE_UP},
    queue,
};

/// What the store told is good for so long.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// The store is waited for so long: less than the 10 s that Prometheus waits by default.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is told at a scrape.
#[derive(Clone, Debug)]
pub struct Scrape {
    exporter: Option<Exporter>,
    store: Option<Arc<StoreScrape>>,
}

impl Scrape {
    /// Of a process that has no more to tell than what it counted.
    #[must_use]
    pub fn of_process(exporter: Exporter) -> Self {
        Self { exporter: Some(exporter), store: None }
    }

    pub(crate) fn of_service(store: &Arc<StoreScrape>) -> Self {
        Self { exporter: Exporter::installed(), store: Some(Arc::clone(store)) }
    }

    /// All of it, in the text format.
    pub async fn text(&self) -> String {
        let mut text = self.exporter.as_ref().map(Exporter::text).unwrap_or_default();
        if let Some(store) = &self.store {
            text.push_str(&store.text().await);
        }
        text
    }
}

/// Asks the store for what it knows, at most once a second, one at a time.
pub(crate) struct StoreScrape {
    store: SharedStore,
    accounts: Vec<AccountName>,
    endpoints: Vec<String>,
    told: Mutex<Option<(Instant, Arc<str>)>>,
}

impl fmt::Debug for StoreScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreScrape").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

impl StoreScrape {
    pub(crate) fn new(store: &SharedStore, config: &Config) -> Self {
        Self {
            store: Arc::clone(store),
            accounts: config.accounts.keys().cloned().collect(),
            endpoints: config.webhooks.keys().cloned().collect(),
            told: Mutex::default(),
        }
    }

    async fn text(&self) -> Arc<str> {
        let mut told = self.told.lock().await;
        if let Some((at, text)) = &*told
            && at.elapsed() < GOOD_FOR
        {
            return Arc::clone(text);
        }
        let began = Instant::now();
        let looked =
            tokio::time::timeout(PATIENCE, queue::look(&self.store, &self.accounts, &self.endpoints));
        let seen = match looked.await {
            Ok(Ok(seen)) => Some(seen),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store does not tell what is asked of it for the metrics");
                None
            }
            Err(_) => {
                tracing::warn!(
                    seconds = PATIENCE.as_secs(),
                    "the store does not tell in time what is asked of it for the metrics"
                );
                None
            }
        };
        // A recorder of its own, each time: what is not there any more is not told any more.
        let text: Arc<str> = match recorder(&[STORE]) {
            Ok(recorder) => {
                with_local_recorder(&recorder, || {
                    gauge!(STORE_UP.name).set(if seen.is_some() { 1.0 } else { 0.0 });
                    gauge!(STORE_SECONDS.name).set(began.elapsed().as_secs_f64());
                    if let Some(seen) = &seen {
                        seen.record();
                    }
                });
                recorder.handle().render().into()
            }
            Err(error) => {
                tracing::error!(%error, "the metrics of the store can't be told");
                "".into()
            }
        };
        *told = Some((Instant::now(), Arc::clone(&text)));
        text
    }
}

//! Telling operators by webhook what they must hear of, beside a process' other work.

use std::time::Duration;

use usher_shared::{WorkerId, store::SharedStore};
use usher_webhooks::{Telling, TellingParts};

use crate::{
    exit::{Exit, Failure},
    wiring::{self, Context},
};

/// Begins to tell what the configured endpoints want to hear; nothing where there are none. An endpoint whose secret can't be
/// read, or that may not be called, is a fault of the configuration, told now and not when something has happened.
pub fn start(
    context: &Context,
    store: &SharedStore,
    worker: Option<&str>,
) -> Result<Option<Telling>, Failure> {
    let config = &context.config;
    if config.webhooks.is_empty() {
        return Ok(None);
    }
    // Several processes of one host share a name only where it was given to them; who delivers is told apart by a token.
    let worker: WorkerId = wiring::worker_id(worker);
    let parts = TellingParts {
        call_timeout: Duration::from_secs_f64(config.worker.call_timeout_seconds),
        ..TellingParts::new(store.clone(), worker, config.webhooks.clone())
    };
    let telling =
        Telling::start(parts).map_err(|error| Failure { exit: Exit::Configuration, error: error.into() })?;
    let endpoints = config.webhooks.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    tracing::info!(endpoints, "operators are told by webhook what they must hear of");
    Ok(Some(telling))
}

/// Tells what happened last, as far as that goes quickly, and stops. The rest is told by whoever runs next.
pub async fn stop(telling: Option<Telling>) {
    if let Some(telling) = telling {
        telling.shutdown().await;
    }
}

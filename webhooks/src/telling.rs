//! All of a process' part in telling: one scribe, and a courier for each endpoint.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};
use usher_shared::{Clock, SystemClock, WorkerId, config::WebhookConfig, store::SharedStore};

use crate::{
    courier::Courier,
    endpoint::{Endpoint, EndpointError},
    scribe::Scribe,
};

/// How often it is looked what there is to tell.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A store that does not answer is asked so often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How often old messages are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// A process that is told to stop looks once more; that takes no longer.
const LAST_LOOK: Duration = Duration::from_secs(3);
/// What couriers may take to come to their end, with some room.
const LAST_DELIVERIES: Duration = Duration::from_secs(8);

/// What telling is started with.
#[derive(Clone, Debug)]
pub struct TellingParts {
    /// Where runs and the outbox are.
    pub store: SharedStore,
    /// This process, as the store names who delivers.
    pub worker: WorkerId,
    /// The endpoints, by name.
    pub webhooks: BTreeMap<String, WebhookConfig>,
    /// How long a vendor call may take: a breaker's probe is over within it.
    pub call_timeout: Duration,
    /// The wall clock, for signatures: receivers compare it with their own.
    pub clock: Arc<dyn Clock>,
    /// Where the random parts of waits come from.
    pub seed: u64,
}

impl TellingParts {
    /// With the system's clock and a seed of chance.
    #[must_use]
    pub fn new(store: SharedStore, worker: WorkerId, webhooks: BTreeMap<String, WebhookConfig>) -> Self {
        Self {
            store,
            worker,
            webhooks,
            call_timeout: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
            seed: rand::random(),
        }
    }
}

/// A process' part in telling operators what they must hear of. Dropping it stops everything at once: what was being delivered
/// is delivered again by others.
#[derive(Debug)]
pub struct Telling {
    stop_looking: watch::Sender<bool>,
    stop_delivering: watch::Sender<bool>,
    scribe: JoinSet<()>,
    couriers: JoinSet<()>,
}

impl Telling {
    /// Reads the endpoints' secrets and begins. Must be called within a Tokio runtime.
    pub fn start(parts: TellingParts) -> Result<Self, EndpointError> {
        let endpoints: Vec<Arc<Endpoint>> = parts
            .webhooks
            .iter()
            .map(|(name, config)| Endpoint::open(name, config).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let nudges: Vec<Arc<Notify>> = endpoints.iter().map(|_| Arc::default()).collect();
        let (stop_looking, stop_delivering) = (watch::Sender::new(false), watch::Sender::new(false));
        let (mut scribe, mut couriers) = (JoinSet::new(), JoinSet::new());
        for (place, (endpoint, nudge)) in endpoints.iter().zip(&nudges).enumerate() {
            let courier = Courier {
                endpoint: Arc::clone(endpoint),
                store: Arc::clone(&parts.store),
                worker: parts.worker.clone(),
                clock: Arc::clone(&parts.clock),
                nudge: Arc::clone(nudge),
                seed: parts.seed.wrapping_add(place as u64),
            };
            couriers.spawn(courier.deliver_until(stop_delivering.subscribe()));
        }
        if !endpoints.is_empty() {
            let quiet = parts.call_timeout * 2;
            let looks = Scribe::new(parts.store, parts.worker, endpoints, nudges, quiet);
            scribe.spawn(look_until(looks, stop_looking.subscribe()));
        }
        Ok(Self { stop_looking, stop_delivering, scribe, couriers })
    }

    /// Looks once more, delivers what that found as far as it goes quickly, and stops.
    pub async fn shutdown(mut self) {
        self.stop_looking.send_replace(true);
        let looked = async { while self.scribe.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_LOOK, looked).await.is_err() {
            tracing::info!(
                "stopped before all could be found out that webhooks tell; whoever runs next does"
            );
        }
        self.stop_delivering.send_replace(true);
        let delivered = async { while self.couriers.join_next().await.is_some() {} };
        // What is left lapses and is delivered by whoever runs next.
        let _ = tokio::time::timeout(LAST_DELIVERIES, delivered).await;
    }
}

async fn look_until(mut scribe: Scribe, mut stop: watch::Receiver<bool>) {
    let mut failed = false;
    let mut sweep_at = Instant::now() + SWEEP_EVERY;
    loop {
        let last = *stop.borrow();
        let looked = scribe.look().await;
        match &looked {
            Ok(()) => failed = false,
            Err(error) if failed => tracing::debug!(%error, "what webhooks tell can't be found out for now"),
            Err(error) => {
                failed = true;
                tracing::warn!(%error, "what webhooks tell can't be found out for now; trying again");
            }
        }
        if last {
            return;
        }
        if sweep_at <= Instant::now() {
            if let Err(error) = scribe.sweep().await {
                tracing::debug!(%error, "old messages are not forgotten for now");
            }
            sweep_at = Instant::now() + SWEEP_EVERY;
        }
        let rest = if looked.is_ok() { LOOK_EVERY } else { LOOK_AGAIN };
        // The sender is gone only when the process ends: that, too, is a stop.
        let _ = tokio::time::timeout(rest, stop.wait_for(|stop| *stop)).await;
    }
}

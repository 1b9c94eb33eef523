//! A day's quota in front of a limiter: counted in the store, over all processes and restarts; its end kept for urgent work.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use tokio::sync::mpsc;
use usher_shared::{
    AccountName, DayQuota, DayUse, Drawn, Priority, Timestamp,
    store::{SharedStore, StoreError},
};

use super::{Limiter, LimiterStatus, Permit};
use crate::{
    account::locked,
    backoff::Backoff,
    decide::RatePause,
    metrics::{self, StoreCall},
    provider::{Label, Rate},
};

/// No permit will come before then: the day's quota is used up, or what is left of it is kept for urgent work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the day's {calls} {label} calls are used up{}; calls come free again at {until}", self.but())]
pub struct Parked {
    /// Whose quota.
    pub label: Label,
    /// Calls that the vendor allows in a day.
    pub calls: u64,
    /// When calls come free again, by the store's clock.
    pub until: Timestamp,
    /// Whether urgent work has to wait, too.
    pub urgent_too: bool,
}

impl Parked {
    fn but(&self) -> &'static str {
        if self.urgent_too { "" } else { ", but for the last ones, which are kept for urgent work" }
    }
}

/// A limiter whose permits are drawn from a day's quota first.
pub struct DayLimiter {
    inner: Arc<dyn Limiter>,
    store: SharedStore,
    account: AccountName,
    quotas: HashMap<Label, DayQuota>,
    drawn: Mutex<HashMap<Label, Drawn>>,
    back: mpsc::UnboundedSender<(Label, Timestamp)>,
}

impl fmt::Debug for DayLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DayLimiter")
            .field("account", &self.account)
            .field("quotas", &self.quotas)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl DayLimiter {
    /// Puts the quotas of these rates in front of a limiter; the limiter itself where there is none. Must be called within a
    /// Tokio runtime.
    #[must_use]
    pub fn wrap(
        inner: Arc<dyn Limiter>,
        store: &SharedStore,
        account: &AccountName,
        rates: &[Rate],
    ) -> Arc<dyn Limiter> {
        let quotas: HashMap<Label, DayQuota> =
            rates.iter().filter_map(|rate| Some((rate.label, rate.per_day?))).collect();
        if quotas.is_empty() {
            return inner;
        }
        let (back, unused) = mpsc::unbounded_channel();
        tokio::spawn(give_back(Arc::clone(store), account.clone(), unused));
        let (store, account) = (Arc::clone(store), account.clone());
        Arc::new(Self { inner, store, account, quotas, drawn: Mutex::default(), back })
    }

    /// Draws up to `n` calls. Waits for a store that does not answer: an uncounted call could lock the account out.
    async fn draw(
        &self,
        label: Label,
        quota: DayQuota,
        n: usize,
        priority: Priority,
    ) -> Result<Drawn, Parked> {
        let cap = match priority {
            Priority::Urgent => quota.calls,
            Priority::Normal | Priority::Bulk => quota.calls - quota.kept_for_urgent().min(quota.calls),
        };
        let mut failures = 0;
        loop {
            let wanted = n as u64;
            match self.store.draw_quota(&self.account, label.0, quota.window, wanted, cap).await {
                Ok(drawn) => {
                    locked(&self.drawn).insert(label, drawn);
                    return if drawn.granted > 0 { Ok(drawn) } else { Err(parked(label, quota, &drawn)) };
                }
                Err(error) => {
                    failures += 1;
                    metrics::store_failed(&self.account, StoreCall::Quota);
                    let wait = Backoff::SERVICE.ceiling(failures);
                    tracing::warn!(account = %self.account, %error, ?wait, "the day's calls can't be counted for now; trying again");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

fn parked(label: Label, quota: DayQuota, drawn: &Drawn) -> Parked {
    Parked { label, calls: quota.calls, until: drawn.frees_at, urgent_too: drawn.used >= quota.calls }
}

#[async_trait]
impl Limiter for DayLimiter {
    async fn acquire(&self, label: Label, n: usize, priority: Priority) -> Result<Vec<Permit>, Parked> {
        let Some(quota) = self.quotas.get(&label).filter(|_| n > 0) else {
            return self.inner.acquire(label, n, priority).await;
        };
        let drawn = self.draw(label, *quota, n, priority).await?;
        // Each ticket goes back by itself where this is dropped half-way, or the limiter has fewer permits to give.
        let mut tickets: Vec<Ticket> = (0..drawn.granted)
            .map(|_| Ticket { label, drawn_at: drawn.at, back: Some(self.back.clone()) })
            .collect();
        let mut permits = self.inner.acquire(label, tickets.len(), priority).await?;
        for permit in &mut permits {
            permit.ticket = tickets.pop();
        }
        Ok(permits)
    }

    async fn throttled(&self, permit: &Permit, pause: RatePause) {
        self.inner.throttled(permit, pause).await;
    }

    fn accepted(&self, permit: &Permit, room: Option<u32>) {
        self.inner.accepted(permit, room);
    }

    fn status(&self, label: Label) -> LimiterStatus {
        let drawn = locked(&self.drawn).get(&label).copied();
        let day = self.quotas.get(&label).zip(drawn).map(|(quota, drawn)| DayUse {
            calls: quota.calls,
            urgent_only: quota.kept_for_urgent(),
            drawn,
        });
        LimiterStatus { day, ..self.inner.status(label) }
    }
}

/// One call drawn from a day's quota. Goes back unless it is spent.
#[derive(Debug)]
pub(super) struct Ticket {
    label: Label,
    drawn_at: Timestamp,
    back: Option<mpsc::UnboundedSender<(Label, Timestamp)>>,
}

impl Ticket {
    /// Its call is made.
    pub fn spend(mut self) {
        self.back = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(back) = self.back.take() {
            // Nobody takes it back any more where the runtime ends: the call then stays counted, on the safe side.
            let _ = back.send((self.label, self.drawn_at));
        }
    }
}

/// Gives unused calls back to the store until the limiter and all of its permits are gone.
async fn give_back(
    store: SharedStore,
    account: AccountName,
    mut unused: mpsc::UnboundedReceiver<(Label, Timestamp)>,
) {
    let mut some = vec![];
    while unused.recv_many(&mut some, 256).await > 0 {
        let mut calls: HashMap<(Label, Timestamp), u64> = HashMap::new();
        for ticket in some.drain(..) {
            *calls.entry(ticket).or_default() += 1;
        }
        for ((label, drawn_at), calls) in calls {
            if let Err(error) = returned(&store, &account, label, drawn_at, calls).await {
                tracing::warn!(%account, %label, calls, %error, "calls that were not made stay counted for the day");
            }
        }
    }
}

async fn returned(
    store: &SharedStore,
    account: &AccountName,
    label: Label,
    drawn_at: Timestamp,
    calls: u64,
) -> Result<(), StoreError> {
    // Once only: a call whose answer was lost may have been carried out, and returning twice would free calls that were
    // made.
    store.return_quota(account, label.0, drawn_at, calls).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use usher_shared::{ManualClock, QuotaWindow, store::sqlite::SqliteStore};

    use super::{super::EmbeddedLimiter, *};

    const LIGHT: Label = Label("light");
    const FREE: DayQuota = DayQuota { calls: 100, window: QuotaWindow::UtcDay };

    struct Place {
        _dir: tempfile::TempDir,
        clock: Arc<ManualClock>,
        store: SharedStore,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_760_000_000_000)));
            let path = dir.path().join("usher.db");
            let store = Arc::new(SqliteStore::open(&path, Arc::clone(&clock) as _).unwrap());
            Self { _dir: dir, clock, store }
        }

        /// As a process that starts anew would have it.
        fn limiter(&self) -> Arc<dyn Limiter> {
            let rates = [Rate { label: LIGHT, per_second: 1e6, per_day: Some(FREE) }];
            let paced = Arc::new(EmbeddedLimiter::new(&rates));
            DayLimiter::wrap(paced, &self.store, &"zoom-free".parse().unwrap(), &rates)
        }

        async fn used(&self) -> u64 {
            let account = "zoom-free".parse().unwrap();
            self.store.draw_quota(&account, "light", FREE.window, 0, 0).await.unwrap().used
        }
    }

    #[tokio::test]
    async fn calls_that_were_not_made_go_back_and_those_made_stay_counted_over_a_restart() {
        let place = Place::new();
        let limiter = place.limiter();
        let mut permits = limiter.acquire(LIGHT, 10, Priority::Normal).await.unwrap();
        assert_eq!((permits.len(), place.used().await), (10, 10));
        for permit in &mut permits[..3] {
            permit.start().await.unwrap();
        }
        drop((permits, limiter));
        // Given back in the background.
        for _ in 0..400 {
            if place.used().await == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(place.used().await, 3);
        place.limiter().acquire(LIGHT, 1, Priority::Normal).await.unwrap()[0].start().await.unwrap();
        assert_eq!(place.used().await, 4);
    }

    #[tokio::test]
    async fn the_day_s_last_calls_are_for_urgent_work_until_midnight_brings_new_ones() {
        let place = Place::new();
        let limiter = place.limiter();
        let mut held = limiter.acquire(LIGHT, 500, Priority::Normal).await.unwrap();
        assert_eq!(held.len(), 80);
        let parked = limiter.acquire(LIGHT, 1, Priority::Bulk).await.unwrap_err();
        assert_eq!((parked.urgent_too, parked.until.to_string()), (false, "2025-10-10T00:00:00.000Z".into()));
        assert!(parked.to_string().contains("kept for urgent work"), "{parked}");
        let day = limiter.status(LIGHT).day.unwrap();
        assert_eq!((day.calls, day.urgent_only, day.parked_until()), (100, 20, Some(parked.until)));
        held.extend(limiter.acquire(LIGHT, 500, Priority::Urgent).await.unwrap());
        assert_eq!(held.len(), 100);
        assert!(limiter.acquire(LIGHT, 1, Priority::Urgent).await.unwrap_err().urgent_too);
        place.clock.advance(Duration::from_secs(16 * 3_600));
        assert_eq!(limiter.acquire(LIGHT, 5, Priority::Bulk).await.unwrap().len(), 5);
    }
}

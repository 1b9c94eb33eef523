//! Leases by need: as many jobs as there are free slots and permits within the next fraction of a second.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use usher_shared::{
    Action, Priority, Timestamp,
    store::{Lease, LeaseAsk, Leased},
};

use super::{
    slots::width,
    work::{Company, Work},
};
use crate::{
    account::Account,
    backoff::Backoff,
    decide::quota_hold,
    execute::{give_back_lease, hold_account},
    limiter::{HORIZON, Parked, Permit},
    metrics::{self, StoreCall},
    provider::{Call, Label},
};

/// The longest an idle feeder waits before it asks the store again.
const IDLE: Duration = Duration::from_secs(1);
/// How often the store is asked whether a hold has been released.
const HELD: Duration = Duration::from_millis(500);
/// The shortest wait between two questions that found nothing, after the first few.
const NOTHING: Duration = Duration::from_millis(10);
/// The same while only urgent jobs may be leased: what else is due keeps waking, and parking may last for hours.
const NOTHING_URGENT: Duration = Duration::from_millis(100);
/// The time between two tries at jobs that must run alone, while other work waits.
const ALONE: Duration = Duration::from_secs(5);
/// The same while nothing else is due.
const ALONE_IDLE: Duration = Duration::from_millis(500);
/// A permit that has not come within this much more than the rate explains will not come soon: there is a pause.
const PATIENCE: Duration = Duration::from_secs(1);
/// A store error that trying again does not help is tried again all the same, this seldom: a person may repair it.
const HOPELESS: Duration = Duration::from_secs(5);
/// Tries to read the list of protected users under a lease.
const LIST_TRIES: u32 = 3;

pub(super) struct Feeder {
    account: Arc<Account>,
    out: mpsc::UnboundedSender<Work>,
    /// The label of the last lease's call: what permits are taken for beforehand.
    label: Label,
    /// Whether the last question got all it asked for. While there is work, permits are taken before jobs, so that no
    /// job waits here for one; while there may be none, jobs before permits, so that none is wasted.
    busy: bool,
    /// Until when the rest of the day's quota is for urgent work alone.
    urgent_only: Option<Timestamp>,
    /// Questions in a row that found nothing.
    nothing: u32,
    alone_tried: Option<Instant>,
}

/// The worker is to stop.
struct Stopping;

/// Why there are no permits.
enum NoPermits {
    Stopping,
    /// The day's quota has none left; taken note of.
    Parked,
}

impl From<Stopping> for NoPermits {
    fn from(Stopping: Stopping) -> Self {
        Self::Stopping
    }
}

impl Feeder {
    pub fn new(account: Arc<Account>, out: mpsc::UnboundedSender<Work>) -> Self {
        let label = account.provider.label(Call::Apply(Action::Deactivate));
        Self { account, out, label, busy: false, urgent_only: None, nothing: 0, alone_tried: None }
    }

    /// Leases until the worker is to stop. What a lease call brings after that is given back.
    pub async fn run(mut self) {
        while self.round().await.is_ok() {}
    }

    async fn round(&mut self) -> Result<(), Stopping> {
        let account = Arc::clone(&self.account);
        let width = self.width();
        let free = account.unless_stopping(account.slots.free(width)).await.ok_or(Stopping)?;
        if let Some(hold) = account.holds.in_force(account.now()) {
            let left = hold.until.map_or(HELD, |until| until.since(account.now()).min(HELD));
            if account.holds.unwritten().is_some() {
                // The steward tells the store; until then there is nothing to ask it.
                return self.sleep(left.max(NOTHING)).await;
            }
            self.sleep(left.max(NOTHING)).await?;
        }
        if self.urgent_only.is_some_and(|until| until <= account.now()) {
            self.urgent_only = None;
        }
        let permits = if self.busy {
            match self.acquire(self.label, free.min(self.handful())).await {
                Ok(permits) => permits,
                Err(NoPermits::Stopping) => return Err(Stopping),
                Err(NoPermits::Parked) => {
                    self.busy = false;
                    return Ok(());
                }
            }
        } else {
            self.wait_out_pause().await?;
            vec![]
        };
        let wanted = if self.busy { permits.len() } else { free.min(self.handful()) };
        let company =
            account.unless_stopping(Arc::clone(&account.company).read_owned()).await.ok_or(Stopping)?;
        let company = Company::Others(Arc::new(company));
        let (asked_at, leased) = self.lease(wanted, false).await?;
        self.busy = leased.leases.len() >= wanted;
        let found = !leased.leases.is_empty();
        let alone = leased.alone_waiting > 0;
        let rest = self.rest_after(&leased);
        self.hand_over(asked_at, leased.leases, permits.into(), company).await?;
        if alone && self.alone_is_due(found) {
            return self.run_alone().await;
        }
        if found {
            self.nothing = 0;
            return Ok(());
        }
        self.rest(rest).await
    }

    /// Pairs leases with permits and hands them over; gives back what gets no permit soon.
    async fn hand_over(
        &mut self,
        asked_at: Duration,
        leases: Vec<Lease>,
        mut permits: VecDeque<Permit>,
        company: Company,
    ) -> Result<(), Stopping> {
        let account = Arc::clone(&self.account);
        let mut leases: VecDeque<Lease> = leases.into();
        while let Some(lease) = leases.pop_front() {
            let label = account.provider.label(Call::Apply(lease.action));
            if label != self.label {
                permits.clear();
                self.label = label;
            }
            if permits.is_empty() {
                let within = self.patience();
                let wanted = leases.len() + 1;
                match tokio::time::timeout(within, self.acquire(label, wanted)).await {
                    Ok(Ok(more)) => permits.extend(more),
                    Ok(Err(NoPermits::Stopping | NoPermits::Parked)) | Err(_) => {
                        leases.push_front(lease);
                        break;
                    }
                }
            }
            let Some(permit) = permits.pop_front() else {
                leases.push_front(lease);
                break;
            };
            let work = Work {
                lasts_until: asked_at + lease.ttl,
                lease,
                permit,
                slot: account.slots.take(),
                company: company.clone(),
            };
            if let Err(unsent) = self.out.send(work) {
                leases.push_front(unsent.0.lease);
                break;
            }
        }
        for lease in leases {
            give_back_lease(&account, lease, asked_at).await;
        }
        Ok(())
    }

    /// Waits until nothing is in flight in this process, leases one of the jobs that must run alone, and waits for it. The
    /// permit is taken first, and its start waited for: what such a job is held for is its call, so that a worker that
    /// happens to die seldom dies just then.
    async fn run_alone(&mut self) -> Result<(), Stopping> {
        let account = Arc::clone(&self.account);
        self.alone_tried = Some(Instant::now());
        let alone =
            account.unless_stopping(Arc::clone(&account.company).write_owned()).await.ok_or(Stopping)?;
        let within = self.patience();
        let permits = match tokio::time::timeout(within, self.acquire(self.label, 1)).await {
            Ok(Err(NoPermits::Stopping)) => return Err(Stopping),
            Ok(Err(NoPermits::Parked)) | Err(_) => return Ok(()),
            Ok(Ok(permits)) => permits,
        };
        if let Some(permit) = permits.first() {
            account.unless_stopping(tokio::time::sleep_until(permit.starts_at)).await.ok_or(Stopping)?;
        }
        let (asked_at, leased) = self.lease(1, true).await?;
        if leased.leases.is_empty() {
            return Ok(());
        }
        tracing::info!(account = %account.name, "a job at which workers died runs alone");
        let company = Company::Nobody(Arc::new(alone));
        self.hand_over(asked_at, leased.leases, permits.into(), company).await?;
        account.unless_stopping(account.slots.free(1)).await.ok_or(Stopping)?;
        Ok(())
    }

    fn alone_is_due(&self, found: bool) -> bool {
        let every = if found { ALONE } else { ALONE_IDLE };
        self.alone_tried.is_none_or(|tried| tried.elapsed() >= every)
    }

    /// Asks the store until it answers. Never broken off: a lease that was granted and not heard of would lapse.
    async fn lease(&mut self, leases: usize, idle: bool) -> Result<(Duration, Leased), Stopping> {
        let account = &self.account;
        let ask = LeaseAsk {
            account: account.name.clone(),
            worker: account.worker.clone(),
            leases,
            batch: account.provider.batch().max(1),
            ttl: account.lease_ttl(),
            only_run: account.only_run.clone(),
            urgent_only: self.urgent_only.is_some(),
            idle,
        };
        let mut failures = 0;
        loop {
            if account.is_stopping() {
                return Err(Stopping);
            }
            let asked_at = account.boot.now();
            match account.store.lease(&ask).await {
                Ok(leased) => {
                    if failures > 0 {
                        tracing::info!(account = %account.name, failures, "the store answers again: jobs can be leased");
                    }
                    if let Some(lease) = leased.leases.first() {
                        account.learn_time(asked_at, lease.granted_at);
                    }
                    account.heard_hold(asked_at, leased.hold.as_ref());
                    return Ok((asked_at, self.guarded(asked_at, leased).await));
                }
                Err(error) => {
                    failures += 1;
                    metrics::store_failed(&account.name, StoreCall::Lease);
                    let wait = if error.is_retryable() {
                        tracing::warn!(account = %account.name, %error, "no jobs can be leased for now; trying again");
                        Backoff::SERVICE.ceiling(failures)
                    } else {
                        tracing::error!(account = %account.name, %error, "no jobs can be leased");
                        HOPELESS
                    };
                    account.unless_stopping(tokio::time::sleep(wait)).await.ok_or(Stopping)?;
                }
            }
        }
    }

    /// Whoever was protected before these jobs were leased is known to be before a call of them starts. Where the list can't
    /// be read, they go back.
    async fn guarded(&self, asked_at: Duration, mut leased: Leased) -> Leased {
        let account = &self.account;
        if leased.leases.is_empty() {
            return leased;
        }
        for failures in 1..=LIST_TRIES {
            match account.learn_protections(leased.protections).await {
                Ok(()) => return leased,
                Err(error) => {
                    tracing::warn!(account = %account.name, %error, "the list of protected users can't be read for now");
                    tokio::time::sleep(Backoff::SERVICE.ceiling(failures)).await;
                }
            }
        }
        for lease in leased.leases.drain(..) {
            give_back_lease(account, lease, asked_at).await;
        }
        leased
    }

    async fn acquire(&mut self, label: Label, n: usize) -> Result<Vec<Permit>, NoPermits> {
        // Which job a permit will be for shows at the lease: the most urgent one there is then.
        let priority = if self.urgent_only.is_some() { Priority::Urgent } else { Priority::Normal };
        let acquire = self.account.limiter.acquire(label, n, priority);
        let acquired = self.account.unless_stopping(acquire).await.ok_or(Stopping)?;
        acquired.map_err(|parked| self.park(&parked))
    }

    /// Takes note of a day's quota that has no more calls: what is left is for urgent work, or the account is on hold.
    fn park(&mut self, parked: &Parked) -> NoPermits {
        let account = &self.account;
        if parked.urgent_too {
            self.urgent_only = None;
            hold_account(account, &quota_hold(parked, account.now()));
        } else if self.urgent_only.is_none() {
            tracing::warn!(account = %account.name, "{parked}");
            self.urgent_only = Some(parked.until);
        }
        NoPermits::Parked
    }

    async fn wait_out_pause(&self) -> Result<(), Stopping> {
        match self.account.limiter.status(self.label).paused_for {
            Some(left) => self.sleep(left).await,
            None => Ok(()),
        }
    }

    async fn sleep(&self, wait: Duration) -> Result<(), Stopping> {
        self.account.unless_stopping(tokio::time::sleep(wait)).await.ok_or(Stopping)
    }

    /// How long to wait after an answer that had nothing, at most.
    fn rest_after(&self, leased: &Leased) -> Duration {
        let due = leased.next_due.map_or(IDLE, |due| due.since(self.account.now()));
        due.min(IDLE).max(Duration::from_millis(1))
    }

    async fn rest(&mut self, at_most: Duration) -> Result<(), Stopping> {
        self.nothing = self.nothing.saturating_add(1);
        let account = &self.account;
        let began = Instant::now();
        let work = async {
            tokio::select! {
                () = account.store.wait_for_work(&account.name, at_most) => {}
                () = account.feed.notified() => {}
            }
        };
        account.unless_stopping(work).await.ok_or(Stopping)?;
        // A store may come back early for no reason, and for work that is not ours (another run's, a paused one's).
        if self.nothing > 3 {
            let least = if self.urgent_only.is_some() { NOTHING_URGENT } else { NOTHING };
            let left = least.min(at_most).saturating_sub(began.elapsed());
            self.sleep(left).await?;
        }
        Ok(())
    }

    /// How long a permit is waited for: one that has not come by then will not come soon.
    fn patience(&self) -> Duration {
        PATIENCE + self.spacing().unwrap_or_default() * 2
    }

    fn rate(&self) -> Option<f64> {
        self.account.limiter.status(self.label).per_second
    }

    fn spacing(&self) -> Option<Duration> {
        self.rate().map(crate::limiter::period)
    }

    /// Leases held at once: one while the vendor is probed.
    fn width(&self) -> usize {
        if self.account.is_probing() {
            return 1;
        }
        width(self.rate(), self.account.meter.latency(), self.account.config.max_in_flight)
    }

    /// As many jobs as may start within half the limiter's horizon.
    fn handful(&self) -> usize {
        let Some(rate) = self.rate() else { return usize::MAX };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
        let handful = (rate * HORIZON.as_secs_f64() / 2.0).clamp(1.0, 1e4).ceil() as usize;
        handful
    }
}

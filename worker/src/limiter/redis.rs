//! The limiter of all processes on one Redis.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use redis::{ScriptInvocation, aio::ConnectionManager};
use tokio::{sync::watch, task::AbortHandle, time::Instant};
use usher_shared::{
    AccountName, Priority,
    store::redis::{sort, spoils_connection},
};

use super::{Limiter, LimiterStatus, Parked, Permit, full_rate, permit::Heard, room::RoomLeft};
use crate::{
    account::locked,
    backoff::Backoff,
    decide::RatePause,
    provider::{Label, Rate},
};

use scripts::{ANSWER, Refusal};

mod scripts;

/// A subscribing connection that says nothing for this long is asked whether it lives.
const QUIET: Duration = Duration::from_secs(15);

/// The limiter of all processes on one Redis: one GCRA an account and label, on Redis' own clock.
///
/// A start comes as the time from when Redis answered; what it is late by is one way of the network, the same for all
/// of a process' calls. A pause is told to every process at once (a channel), and with every answer besides.
#[derive(Debug)]
pub struct RedisLimiter {
    account: AccountName,
    client: redis::Client,
    connection: Mutex<Option<ConnectionManager>>,
    plans: HashMap<Label, f64>,
    began: Instant,
    lanes: Mutex<HashMap<Label, Arc<Lane>>>,
    listener: Mutex<Option<AbortHandle>>,
}

#[derive(Debug)]
struct Lane {
    label: Label,
    key: String,
    plan: Option<f64>,
    /// Calls a second without any refusal; 0 where the label is not limited.
    full: f64,
    /// Thousandths of a call a second, as Redis told last.
    rate: AtomicU64,
    heard: watch::Sender<Heard>,
    /// The epoch in which a call of ours has gone through last; 0 where none has.
    accepted_in: AtomicU64,
    room: RoomLeft,
    refusals: AtomicU64,
}

impl Drop for RedisLimiter {
    fn drop(&mut self) {
        if let Some(listener) = locked(&self.listener).take() {
            listener.abort();
        }
    }
}

impl RedisLimiter {
    /// A limiter that keeps these rates; a label without a rate is not limited. Must be made within a Tokio runtime.
    #[must_use]
    pub fn new(client: redis::Client, account: &AccountName, rates: &[Rate]) -> Arc<Self> {
        let limiter = Arc::new(Self {
            account: account.clone(),
            client,
            connection: Mutex::default(),
            plans: rates.iter().map(|rate| (rate.label, rate.per_second)).collect(),
            began: Instant::now(),
            lanes: Mutex::default(),
            listener: Mutex::default(),
        });
        let listener = tokio::spawn(listen(Arc::downgrade(&limiter))).abort_handle();
        *locked(&limiter.listener) = Some(listener);
        limiter
    }

    fn lane(&self, label: Label) -> Arc<Lane> {
        Arc::clone(locked(&self.lanes).entry(label).or_insert_with(|| {
            let plan = self.plans.get(&label).copied().filter(|plan| full_rate(*plan).is_some());
            let full = plan.and_then(full_rate).unwrap_or(0.0);
            Arc::new(Lane {
                label,
                key: format!("usher:{{{}}}:rate:{label}", self.account),
                plan,
                full,
                rate: AtomicU64::new(thousandths(full)),
                heard: watch::Sender::new(Heard { epoch: 0, until: Instant::now() }),
                accepted_in: AtomicU64::new(0),
                room: RoomLeft::default(),
                refusals: AtomicU64::new(0),
            })
        }))
    }

    fn channel(&self) -> String {
        format!("usher:{{{}}}:rate", self.account)
    }

    async fn connection(&self) -> redis::RedisResult<ConnectionManager> {
        let known = locked(&self.connection).clone();
        if let Some(connection) = known {
            return Ok(connection);
        }
        let config = redis::aio::ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER));
        let connection = ConnectionManager::new_with_config(self.client.clone(), config).await?;
        Ok(locked(&self.connection).get_or_insert(connection).clone())
    }

    /// Runs a script. A connection that fails, or does not answer, is not used again: it may be half open. One to a server that
    /// takes no writes any more isn't either: after a failover the address leads to another.
    async fn run(&self, call: &ScriptInvocation<'_>) -> redis::RedisResult<Vec<u64>> {
        let mut connection = self.connection().await?;
        let answer = scripts::numbers(call, &mut connection).await;
        if answer.as_ref().is_err_and(spoils_connection) {
            locked(&self.connection).take();
        }
        answer
    }

    async fn reserve(&self, lane: &Lane, n: usize) -> redis::RedisResult<scripts::Reserved> {
        let accepted_in = Some(lane.accepted_in.load(Ordering::Relaxed)).filter(|epoch| *epoch > 0);
        let heard = lane.heard.borrow().epoch;
        let reply = self.run(&scripts::reserve(&lane.key, n, lane.full, accepted_in, heard, "")).await?;
        let reserved = scripts::reserved(&reply)?;
        lane.rate.store(reserved.rate, Ordering::Relaxed);
        Ok(reserved)
    }

    async fn refuse(
        &self,
        lane: &Lane,
        epoch: u64,
        pause: RatePause,
        accepted: bool,
    ) -> redis::RedisResult<scripts::Refused> {
        let channel = self.channel();
        let refusal =
            Refusal { epoch, pause, accepted, channel: &channel, label: lane.label.0, full: lane.full };
        let refused = scripts::refused(&self.run(&refusal.call(&lane.key, "")).await?)?;
        if refused.rate > 0 {
            lane.rate.store(refused.rate, Ordering::Relaxed);
        }
        Ok(refused)
    }

    /// Tells the fleet what the vendor said about the room left. Nobody waits for it, and nothing hangs on it.
    fn tell_room(&self, lane: &Arc<Lane>, room: u32) {
        let Some(known) = locked(&self.connection).clone() else { return };
        let lane = Arc::clone(lane);
        tokio::spawn(async move {
            let mut connection = known;
            let call = scripts::room(&lane.key, room, lane.full, "");
            match call.invoke_async::<u64>(&mut connection).await {
                Ok(rate) => lane.rate.store(rate, Ordering::Relaxed),
                Err(error) => {
                    tracing::debug!(%error, "the room that the vendor told of is not known to the fleet")
                }
            }
        });
    }
}

impl Lane {
    /// Permits of a label that is not paced: nothing has to be asked of Redis for them. A pause that this process has not heard
    /// of is told by the first refusal.
    async fn as_soon_as_allowed(&self, n: usize) -> Vec<Permit> {
        loop {
            let heard = *self.heard.borrow();
            let now = Instant::now();
            if heard.until <= now {
                let permit = || Permit::new(self.label, now, heard.epoch, self.heard.subscribe());
                return std::iter::repeat_with(permit).take(n).collect();
            }
            tokio::time::sleep_until(heard.until).await;
        }
    }

    /// Takes note of a pause told by Redis.
    fn hear(&self, epoch: u64, left_us: u64) {
        let until = Instant::now() + Duration::from_micros(left_us.min(86_400_000_000));
        self.heard.send_if_modified(|heard| {
            let newer = epoch > heard.epoch;
            if newer {
                *heard = Heard { epoch, until };
            }
            newer
        });
    }
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn acquire(&self, label: Label, n: usize, _priority: Priority) -> Result<Vec<Permit>, Parked> {
        if n == 0 {
            return Ok(vec![]);
        }
        let lane = self.lane(label);
        if lane.full <= 0.0 {
            return Ok(lane.as_soon_as_allowed(n).await);
        }
        let mut failures = 0;
        loop {
            match self.reserve(&lane, n).await {
                Ok(reserved) if !reserved.starts.is_empty() => {
                    if failures > 0 {
                        tracing::info!(account = %self.account, failures, "Redis gives permits for calls again");
                    }
                    let now = Instant::now();
                    let permit = |start| {
                        let starts_at = now + Duration::from_micros(start);
                        Permit::new(label, starts_at, reserved.epoch, lane.heard.subscribe())
                    };
                    return Ok(reserved.starts.into_iter().map(permit).collect());
                }
                Ok(reserved) => {
                    failures = 0;
                    // It may have come while nobody told us.
                    if reserved.left > 0 {
                        lane.hear(reserved.epoch, reserved.left);
                    }
                    let wait = Duration::from_micros(reserved.wait).min(Duration::from_secs(5));
                    tokio::time::sleep(wait).await;
                }
                Err(error) => {
                    failures += 1;
                    let wait = Backoff::SERVICE.ceiling(failures);
                    let error = sort(error);
                    tracing::warn!(account = %self.account, %error, "no permits for calls for now; trying again");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn throttled(&self, permit: &Permit, pause: RatePause) {
        let lane = self.lane(permit.label);
        lane.refusals.fetch_add(1, Ordering::Relaxed);
        // By the last pause that this process has heard of: a call that went through before it says nothing.
        let heard = lane.heard.borrow().epoch;
        let accepted = lane.accepted_in.load(Ordering::Relaxed) >= heard.max(1);
        for failures in 1..=5 {
            match self.refuse(&lane, permit.epoch, pause, accepted).await {
                Ok(refused) => return lane.hear(refused.epoch, refused.left),
                Err(error) => {
                    let error = sort(error);
                    tracing::warn!(account = %self.account, %error, "a refusal could not be told to the fleet; trying again");
                    tokio::time::sleep(Backoff::SERVICE.ceiling(failures)).await;
                }
            }
        }
        tracing::error!(account = %self.account, "a refusal was not told to the fleet: Redis does not answer");
    }

    fn accepted(&self, permit: &Permit, room: Option<u32>) {
        let lane = self.lane(permit.label);
        if permit.is_live() {
            lane.accepted_in.fetch_max(permit.epoch, Ordering::Relaxed);
        }
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let Some(room) = lane.room.told(now, room)
            && lane.rate.load(Ordering::Relaxed) < thousandths(lane.full)
        {
            self.tell_room(&lane, room);
        }
    }

    fn status(&self, label: Label) -> LimiterStatus {
        let lane = self.lane(label);
        let left = lane.heard.borrow().until.saturating_duration_since(Instant::now());
        #[expect(clippy::cast_precision_loss, reason = "a rate of some thousands")]
        let rate = lane.rate.load(Ordering::Relaxed) as f64 / 1000.0;
        LimiterStatus {
            plan: lane.plan,
            per_second: lane.plan.map(|_| rate),
            paused_for: (!left.is_zero()).then_some(left),
            refusals: lane.refusals.load(Ordering::Relaxed),
            day: None,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of some thousands at most"
)]
fn thousandths(rate: f64) -> u64 {
    (rate * 1000.0) as u64
}

/// Hears of pauses for as long as the limiter lives.
async fn listen(limiter: Weak<RedisLimiter>) {
    let mut failures = 0;
    loop {
        let Some((client, channel)) =
            limiter.upgrade().map(|limiter| (limiter.client.clone(), limiter.channel()))
        else {
            return;
        };
        match in_time(subscribed(&client, &channel)).await {
            Ok((mut sink, mut messages)) => {
                failures = 0;
                loop {
                    tokio::select! {
                        message = messages.next() => {
                            let Some(message) = message else { break };
                            let Some(limiter) = limiter.upgrade() else { return };
                            if let Ok(text) = message.get_payload::<String>() {
                                limiter.told(&text);
                            }
                        }
                        // A half-open connection says nothing either.
                        () = tokio::time::sleep(QUIET) => {
                            if in_time(sink.ping::<redis::Value>()).await.is_err() {
                                break;
                            }
                        }
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "no word of other workers' pauses for now"),
        }
        failures += 1;
        tokio::time::sleep(Backoff::SERVICE.ceiling(failures)).await;
    }
}

async fn subscribed(
    client: &redis::Client,
    channel: &str,
) -> redis::RedisResult<(redis::aio::PubSubSink, redis::aio::PubSubStream)> {
    let (mut sink, stream) = client.get_async_pubsub().await?.split();
    sink.subscribe(channel).await?;
    Ok((sink, stream))
}

async fn in_time<T>(answer: impl Future<Output = redis::RedisResult<T>>) -> redis::RedisResult<T> {
    let late = |_| Err((redis::ErrorKind::Io, "no answer in time").into());
    tokio::time::timeout(ANSWER, answer).await.unwrap_or_else(late)
}

impl RedisLimiter {
    /// Takes note of what `refuse.lua` told: `label epoch left`.
    fn told(&self, text: &str) {
        let mut words = text.split(' ');
        let (Some(label), Some(Ok(epoch)), Some(Ok(left))) =
            (words.next(), words.next().map(str::parse), words.next().map(str::parse))
        else {
            tracing::debug!(text, "a word of a pause that can't be read");
            return;
        };
        // A label that nobody here has asked for has no permits to withdraw.
        let lane = locked(&self.lanes).values().find(|lane| lane.label.0 == label).cloned();
        if let Some(lane) = lane {
            lane.hear(epoch, left);
        }
    }
}

#[cfg(test)]
mod tests;

//! The limiter of all processes on one Redis.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use redis::{Script, aio::ConnectionManager};
use tokio::{sync::watch, task::AbortHandle, time::Instant};
use usher_shared::{AccountName, Priority};

use super::{
    HORIZON, Limiter, LimiterStatus, Permit,
    pause::{LONGEST_UNSAID_US, STREAK_ENDS_US, UNSAID_US},
    permit::Heard,
    spacing,
};
use crate::{
    backoff::Backoff,
    decide::RatePause,
    provider::{Label, Rate},
};

static RESERVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("reserve.lua")));
static REFUSE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("refuse.lua")));

/// A Redis that does not answer within this is asked again.
const ANSWER: Duration = Duration::from_secs(2);

/// The limiter of all processes on one Redis: one GCRA an account and label, on Redis' own clock.
///
/// A start comes as the time from when Redis answered; what it is late by is one way of the network, the same for all
/// of a process' calls. A pause is told to every process at once (a channel), and with every answer besides.
#[derive(Debug)]
pub struct RedisLimiter {
    account: AccountName,
    client: redis::Client,
    connection: Mutex<Option<ConnectionManager>>,
    rates: HashMap<Label, f64>,
    lanes: Mutex<HashMap<Label, Arc<Lane>>>,
    listener: Mutex<Option<AbortHandle>>,
}

#[derive(Debug)]
struct Lane {
    label: Label,
    key: String,
    per_second: Option<f64>,
    spacing_us: u64,
    heard: watch::Sender<Heard>,
    /// Whether a call of ours has gone through since the last pause.
    accepted: AtomicBool,
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
            rates: rates.iter().map(|rate| (rate.label, rate.per_second)).collect(),
            lanes: Mutex::default(),
            listener: Mutex::default(),
        });
        let listener = tokio::spawn(listen(Arc::downgrade(&limiter))).abort_handle();
        *locked(&limiter.listener) = Some(listener);
        limiter
    }

    fn lane(&self, label: Label) -> Arc<Lane> {
        Arc::clone(locked(&self.lanes).entry(label).or_insert_with(|| {
            let per_second = self.rates.get(&label).copied().filter(|rate| spacing(*rate).is_some());
            let period = per_second.and_then(spacing).unwrap_or_default();
            Arc::new(Lane {
                label,
                key: format!("usher:{{{}}}:rate:{label}", self.account),
                per_second,
                spacing_us: u64::try_from(period.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX),
                heard: watch::Sender::new(Heard { epoch: 0, until: Instant::now() }),
                accepted: AtomicBool::new(false),
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

    async fn reserve(&self, lane: &Lane, n: usize) -> redis::RedisResult<(u64, u64, Vec<u64>)> {
        let mut connection = self.connection().await?;
        let reply: Vec<u64> = RESERVE
            .key(&lane.key)
            .arg(n)
            .arg(lane.spacing_us)
            .arg(u64::try_from(HORIZON.as_micros()).unwrap_or(u64::MAX))
            .arg("")
            .invoke_async(&mut connection)
            .await?;
        match reply.as_slice() {
            [epoch, wait, starts @ ..] => Ok((*epoch, *wait, starts.to_vec())),
            _ => Err((redis::ErrorKind::UnexpectedReturnType, "a reply of reserve.lua").into()),
        }
    }

    async fn refuse(
        &self,
        lane: &Lane,
        epoch: u64,
        pause: RatePause,
        accepted: bool,
    ) -> redis::RedisResult<(u64, u64)> {
        let mut connection = self.connection().await?;
        let said = match pause {
            RatePause::Said(wait) => wait.as_micros().to_string(),
            RatePause::Unsaid => String::new(),
        };
        REFUSE
            .key(&lane.key)
            .arg(said)
            .arg(epoch)
            .arg(u8::from(accepted))
            .arg(UNSAID_US)
            .arg(LONGEST_UNSAID_US)
            .arg(STREAK_ENDS_US)
            .arg(self.channel())
            .arg(lane.label.0)
            .arg("")
            .invoke_async(&mut connection)
            .await
    }
}

impl Lane {
    /// Takes note of a pause told by Redis.
    fn hear(&self, epoch: u64, left_us: u64) {
        let until = Instant::now() + Duration::from_micros(left_us.min(86_400_000_000));
        self.heard.send_if_modified(|heard| {
            let newer = epoch > heard.epoch;
            if newer {
                *heard = Heard { epoch, until };
                self.accepted.store(false, Ordering::Relaxed);
            }
            newer
        });
    }
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn acquire(&self, label: Label, n: usize, _priority: Priority) -> Vec<Permit> {
        if n == 0 {
            return vec![];
        }
        let lane = self.lane(label);
        let mut failures = 0;
        loop {
            match self.reserve(&lane, n).await {
                Ok((epoch, _, starts)) if !starts.is_empty() => {
                    let now = Instant::now();
                    let permit = |start| Permit {
                        label,
                        starts_at: now + Duration::from_micros(start),
                        epoch,
                        heard: lane.heard.subscribe(),
                    };
                    return starts.into_iter().map(permit).collect();
                }
                Ok((epoch, wait, _)) => {
                    failures = 0;
                    // A wait beyond the horizon can only be a pause, which may have come while nobody told us.
                    if Duration::from_micros(wait) > HORIZON {
                        lane.hear(epoch, wait);
                    }
                    let wait = Duration::from_micros(wait).min(Duration::from_secs(5));
                    tokio::time::sleep(wait).await;
                }
                Err(error) => {
                    failures += 1;
                    let wait = Backoff::SERVICE.ceiling(failures);
                    tracing::warn!(account = %self.account, %error, ?wait, "the rate limiter's Redis does not answer; trying again");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn throttled(&self, permit: &Permit, pause: RatePause) {
        let lane = self.lane(permit.label);
        lane.refusals.fetch_add(1, Ordering::Relaxed);
        let accepted = lane.accepted.load(Ordering::Relaxed);
        for failures in 1..=5 {
            match self.refuse(&lane, permit.epoch, pause, accepted).await {
                Ok((epoch, left)) => return lane.hear(epoch, left),
                Err(error) => {
                    tracing::warn!(account = %self.account, %error, "a refusal could not be told to the fleet; trying again");
                    tokio::time::sleep(Backoff::SERVICE.ceiling(failures)).await;
                }
            }
        }
        tracing::error!(account = %self.account, "a refusal was not told to the fleet: Redis does not answer");
    }

    fn accepted(&self, permit: &Permit) {
        let lane = self.lane(permit.label);
        if permit.is_live() {
            lane.accepted.store(true, Ordering::Relaxed);
        }
    }

    fn status(&self, label: Label) -> LimiterStatus {
        let lane = self.lane(label);
        let left = lane.heard.borrow().until.saturating_duration_since(Instant::now());
        LimiterStatus {
            plan: lane.per_second,
            per_second: lane.per_second,
            paused_for: (!left.is_zero()).then_some(left),
            refusals: lane.refusals.load(Ordering::Relaxed),
            day: None,
        }
    }
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
        match subscribed(&client, &channel).await {
            Ok(mut messages) => {
                failures = 0;
                while let Some(message) = messages.next().await {
                    let Some(limiter) = limiter.upgrade() else { return };
                    if let Ok(text) = message.get_payload::<String>() {
                        limiter.told(&text);
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "no word of other workers' pauses for now"),
        }
        failures += 1;
        tokio::time::sleep(Backoff::SERVICE.ceiling(failures)).await;
    }
}

async fn subscribed(client: &redis::Client, channel: &str) -> redis::RedisResult<redis::aio::PubSubStream> {
    let (mut sink, stream) = client.get_async_pubsub().await?.split();
    sink.subscribe(channel).await?;
    Ok(stream)
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

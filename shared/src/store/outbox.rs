//! What is to be told to others, kept until it is delivered or given up on.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::{AccountName, Timestamp, WorkerId};

/// How long it is remembered that a message was posted, once it is delivered or given up on: one that is posted again
/// within it is the same.
pub const MESSAGE_REMEMBERED: Duration = Duration::from_secs(35 * 24 * 60 * 60);

/// A message for one endpoint. Whoever finds out that something happened posts it; its id says what happened, so that several
/// who find out the same post it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// To whom: a name in the configuration, `[webhooks.NAME]`.
    pub endpoint: String,
    /// Made of what happened, the same whoever finds it out: `run_finished/20261121-k3f9zm/1763750000000`.
    pub id: String,
    /// The kind of event: `run.finished`.
    pub kind: String,
    /// Whose users it is about.
    pub account: AccountName,
    /// What is sent, in JSON, to the letter: signatures are over it. Empty once it is delivered: nobody sends it again.
    pub body: String,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Is to be delivered, now or at its time.
    Waiting,
    /// The endpoint has it.
    Delivered,
    /// Nobody tries any more.
    GivenUp,
}

/// A message as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The message.
    pub message: Message,
    /// When it was posted first, by the store's clock.
    pub posted_at: Timestamp,
    /// How far it has come.
    pub state: DeliveryState,
    /// Tries so far.
    pub tries: u32,
    /// When the last try was answered or failed.
    pub tried_at: Option<Timestamp>,
    /// When it is tried next, where it waits; while somebody tries, when the right to that lapses.
    pub due: Option<Timestamp>,
    /// What came of the last try, for people: `503 Service Unavailable`.
    pub last: Option<String>,
}

/// The right to deliver one message, until it lapses. Finishing consumes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What is to be delivered.
    pub posted: Posted,
    /// Names this right in the store.
    pub token: u64,
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The endpoint has it.
    Delivered,
    /// To be tried again then.
    Again(Timestamp),
    /// Nobody tries any more.
    GivenUp,
}

/// Messages to others: posted once, delivered by one at a time, kept until that is done. Every method is safe to call again
/// after an error that [`StoreError::is_retryable`].
#[async_trait]
pub trait Outbox {
    /// Posts messages, at most [`CHUNK`](super::CHUNK); those that were posted before (the same endpoint and id) are passed
    /// over, whatever became of them. They are due at once. Returns how many were new.
    async fn post(&self, messages: &[Message]) -> Result<u64, StoreError>;

    /// Takes due messages of an endpoint, the longest due first, at most `limit`, for `ttl`: after that whoever asks gets
    /// them, as if the try had not been made.
    async fn take_deliveries(
        &self,
        endpoint: &str,
        worker: &WorkerId,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Ends a try, which counts; `said`: what came of it, for people. A right that has lapsed still counts as long as nobody
    /// else took it: what the endpoint has, it has. [`StoreError::LeaseLapsed`] where another has taken it, or the message has
    /// come to its end; nothing is written then.
    async fn finish_delivery(&self, delivery: Delivery, tried: Tried, said: &str) -> Result<(), StoreError>;

    /// An endpoint's messages, in the opposite order of their posting, at most `limit`: all, or those in one state.
    async fn outbox(
        &self,
        endpoint: &str,
        state: Option<DeliveryState>,
        limit: usize,
    ) -> Result<Vec<Posted>, StoreError>;

    /// Has a message that was given up on tried again, from now on, its tries counted anew; what came of the last stays
    /// told until the next. `false` where there is none in that state.
    async fn repost(&self, endpoint: &str, id: &str) -> Result<bool, StoreError>;

    /// Forgets messages that came to their end longer than [`MESSAGE_REMEMBERED`] ago, at most [`CHUNK`](super::CHUNK) a call;
    /// returns how many.
    async fn sweep_outbox(&self) -> Result<u64, StoreError>;
}

//! Messages to others, kept until they are delivered or given up on.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use rand::RngExt;
use redis::{Cmd, Value, cmd};
use tokio::time::sleep;

use super::{
    RedisStore, keys, record,
    reply::{self, Refusal},
    script,
    status::TOGETHER,
    working::millis,
};
use crate::{
    Timestamp, WorkerId,
    store::{CHUNK, Delivery, DeliveryState, MESSAGE_REMEMBERED, Message, Outbox, Posted, StoreError, Tried},
};

/// The fields of a message's hash, as [`read`] reads them.
const FIELDS: [&str; 11] =
    ["endpoint", "id", "kind", "account", "body", "posted", "state", "tries", "tried", "due", "last"];

/// A try whose end was not answered is ended again, so often at the most: the right to it is spent.
const FINISH_TRIES: u32 = 20;
/// Between two such tries, at the least; up to twice as long.
const FINISH_AGAIN: Duration = Duration::from_millis(100);

const STATES: [DeliveryState; 3] = [DeliveryState::Waiting, DeliveryState::Delivered, DeliveryState::GivenUp];

fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::GivenUp => "given_up",
    }
}

fn odd(problem: &str) -> StoreError {
    StoreError::Corrupt("a message of the outbox".into(), problem.into())
}

/// A message as stored; `None` where it is not there any more.
pub(super) fn read(found: &[Value]) -> Result<Option<Posted>, StoreError> {
    let [endpoint, id, kind, account, body, posted, state, tries, tried, due, last] = found else {
        return Err(reply::odd("HMGET of eleven fields"));
    };
    if matches!(endpoint, Value::Nil) {
        return Ok(None);
    }
    let moment = |value: &Value| match value {
        Value::Nil => Ok(None),
        value => reply::int(value).map(|millis| Some(Timestamp::from_millis(millis))),
    };
    let state = reply::str(state)?;
    Ok(Some(Posted {
        message: Message {
            endpoint: reply::text(endpoint)?,
            id: reply::text(id)?,
            kind: reply::text(kind)?,
            account: reply::str(account)?.parse().map_err(|_| odd("an account that has no such name"))?,
            body: reply::text(body)?,
        },
        posted_at: moment(posted)?.ok_or_else(|| odd("it was never posted"))?,
        state: STATES
            .into_iter()
            .find(|known| word(*known) == state)
            .ok_or_else(|| odd("an unknown state"))?,
        tries: u32::try_from(reply::int(tries)?).map_err(|_| odd("a negative count"))?,
        tried_at: moment(tried)?,
        due: moment(due)?,
        last: reply::maybe(last)?.map(ToOwned::to_owned),
    }))
}

impl RedisStore {
    fn outbox_call(&self, what: &str) -> Cmd {
        let mut call = script::OUTBOX.call(keys::OUTBOX);
        call.arg(self.core.now_argument()).arg(what);
        call
    }

    async fn message(&self, endpoint: &str, id: &str) -> Result<Option<Posted>, StoreError> {
        let mut read_it = cmd("HMGET");
        read_it.arg(format!("{}:message:{endpoint}{}{id}", keys::OUTBOX, record::FS)).arg(&FIELDS);
        read(&reply::array(self.core.plain(&read_it).await?)?)
    }

    /// The newest messages in a state: number and id.
    async fn newest_in(
        &self,
        endpoint: &str,
        state: DeliveryState,
        limit: usize,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let mut newest = cmd("ZREVRANGE");
        newest.arg(format!("{}:{}:{endpoint}", keys::OUTBOX, word(state)));
        newest.arg(0).arg(limit.saturating_sub(1)).arg("WITHSCORES");
        let found = reply::array(self.core.plain(&newest).await?)?;
        let pairs = found.chunks_exact(2).map(|pair| Ok((reply::int(&pair[1])?, reply::text(&pair[0])?)));
        pairs.collect()
    }
}

#[async_trait]
impl Outbox for RedisStore {
    async fn post(&self, messages: &[Message]) -> Result<u64, StoreError> {
        let mut new = 0;
        for chunk in messages.chunks(CHUNK) {
            let mut call = self.outbox_call("post");
            for Message { endpoint, id, kind, account, body } in chunk {
                call.arg(endpoint).arg(id).arg(kind).arg(account.as_str()).arg(body);
            }
            new += self.core.send(script::OUTBOX, &call).await?.count(0)?;
        }
        Ok(new)
    }

    async fn take_deliveries(
        &self,
        endpoint: &str,
        worker: &WorkerId,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut call = self.outbox_call("take");
        call.arg(endpoint).arg(worker.as_str()).arg(limit.min(CHUNK)).arg(millis(ttl));
        let taken = self.core.send(script::OUTBOX, &call).await?.into_rest();
        let rights = taken.chunks_exact(2).map(|pair| Ok((reply::text(&pair[0])?, reply::int(&pair[1])?)));
        let rights = rights.collect::<Result<Vec<_>, StoreError>>()?;
        let read = rights.into_iter().map(|(id, right)| async move {
            let token = u64::try_from(right).map_err(|_| odd("a negative right"))?;
            let posted = self.message(endpoint, &id).await?;
            Ok::<_, StoreError>(posted.map(|posted| Delivery { posted, token }))
        });
        let read: Vec<Option<Delivery>> = stream::iter(read).buffered(TOGETHER).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Sends it until that is answered: the caller has given the right away and can't.
    async fn finish_delivery(&self, delivery: Delivery, tried: Tried, said: &str) -> Result<(), StoreError> {
        let message = &delivery.posted.message;
        let mut call = self.outbox_call("finish");
        call.arg(&message.endpoint).arg(&message.id).arg(delivery.token).arg(said);
        match tried {
            Tried::Again(at) => call.arg(word(DeliveryState::Waiting)).arg(at.as_millis()),
            Tried::Delivered => call.arg(word(DeliveryState::Delivered)),
            Tried::GivenUp => call.arg(word(DeliveryState::GivenUp)),
        };
        let mut tries = 1;
        loop {
            match self.core.send(script::OUTBOX, &call).await {
                Ok(reply) if reply.refusal() == Some(Refusal::Lapsed) => {
                    return Err(StoreError::LeaseLapsed(format!("message {}", message.id)));
                }
                Err(error) if error.is_retryable() && tries < FINISH_TRIES => {}
                ended => return ended.map(drop),
            }
            tries += 1;
            let jitter = rand::rng().random_range(1.0..2.0);
            sleep(FINISH_AGAIN.mul_f64(jitter)).await;
        }
    }

    async fn outbox(
        &self,
        endpoint: &str,
        state: Option<DeliveryState>,
        limit: usize,
    ) -> Result<Vec<Posted>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        // By number: one that changes its state meanwhile is not told twice.
        let mut newest = BTreeMap::new();
        for one in STATES.into_iter().filter(|one| state.is_none_or(|state| state == *one)) {
            newest.extend(self.newest_in(endpoint, one, limit).await?);
        }
        let read =
            newest.into_values().rev().take(limit).map(|id| async move { self.message(endpoint, &id).await });
        let read: Vec<Option<Posted>> = stream::iter(read).buffered(TOGETHER).try_collect().await?;
        let wanted = |posted: &Posted| state.is_none_or(|state| state == posted.state);
        Ok(read.into_iter().flatten().filter(wanted).collect())
    }

    async fn repost(&self, endpoint: &str, id: &str) -> Result<bool, StoreError> {
        let mut call = self.outbox_call("repost");
        call.arg(endpoint).arg(id);
        Ok(self.core.send(script::OUTBOX, &call).await?.code == 0)
    }

    async fn sweep_outbox(&self) -> Result<u64, StoreError> {
        let remembered = i64::try_from(MESSAGE_REMEMBERED.as_millis()).unwrap_or(i64::MAX);
        let before = self.core.time().await?.as_millis().saturating_sub(remembered);
        let mut call = self.outbox_call("sweep");
        call.arg(before);
        self.core.send(script::OUTBOX, &call).await?.count(0)
    }
}

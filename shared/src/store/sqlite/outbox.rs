//! Messages to others, kept until they are delivered or given up on.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    SqliteStore,
    errors::{StepResult, unreadable},
    writer::Step,
};
use crate::{
    Timestamp, WorkerId,
    store::{CHUNK, Delivery, DeliveryState, MESSAGE_REMEMBERED, Message, Outbox, Posted, StoreError, Tried},
};

/// What [`read`] reads.
const COLUMNS: &str =
    "endpoint, id, kind, account, body, posted_at, state, tries, tried_at, due, last, taken, number";

fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::GivenUp => "given_up",
    }
}

fn read(row: &Row<'_>) -> StepResult<Posted> {
    let (account, state): (String, String) = (row.get(3)?, row.get(6)?);
    let states = [DeliveryState::Waiting, DeliveryState::Delivered, DeliveryState::GivenUp];
    let moment = |column| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
    };
    Ok(Posted {
        message: Message {
            endpoint: row.get(0)?,
            id: row.get(1)?,
            kind: row.get(2)?,
            account: account.parse().map_err(|problem| unreadable("an account's name", problem))?,
            body: row.get(4)?,
        },
        posted_at: Timestamp::from_millis(row.get(5)?),
        state: states
            .into_iter()
            .find(|known| word(*known) == state)
            .ok_or_else(|| unreadable("a message's state", &state))?,
        tries: row.get(7)?,
        tried_at: moment(8)?,
        due: moment(9)?,
        last: row.get(10)?,
    })
}

pub(super) fn post(step: &mut Step<'_>, messages: &[Message]) -> StepResult<u64> {
    let mut insert = step.conn.prepare_cached(
        "INSERT OR IGNORE INTO messages (endpoint, id, kind, account, body, posted_at, due)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?;
    let mut new = 0;
    for message in messages {
        let Message { endpoint, id, kind, account, body } = message;
        let posted =
            insert.execute(params![endpoint, id, kind, account.as_str(), body, step.now.as_millis()])?;
        new += posted as u64;
    }
    Ok(new)
}

pub(super) fn take(
    step: &mut Step<'_>,
    endpoint: &str,
    worker: &WorkerId,
    limit: usize,
    ttl: Duration,
) -> StepResult<Vec<Delivery>> {
    let due: Vec<i64> = step
        .conn
        .prepare_cached(
            "SELECT number FROM messages INDEXED BY messages_due
             WHERE endpoint = ?1 AND state = 'waiting' AND due <= ?2 ORDER BY due, id LIMIT ?3",
        )?
        .query_map(params![endpoint, step.now.as_millis(), limit.min(CHUNK)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut take = step.conn.prepare_cached(&format!(
        "UPDATE messages SET taken = taken + 1, worker = ?2, due = ?3 WHERE number = ?1 RETURNING {COLUMNS}"
    ))?;
    let until = step.now.after(ttl).as_millis();
    let mut taken = Vec::with_capacity(due.len());
    for number in due {
        let mut rows = take.query_and_then(params![number, worker.as_str(), until], |row| {
            Ok::<_, super::errors::StepError>(Delivery { posted: read(row)?, token: row.get(11)? })
        })?;
        taken.extend(rows.next().transpose()?);
    }
    Ok(taken)
}

/// Ends a try. The answer to one that was finished before by the same right is the same again.
pub(super) fn finish(step: &mut Step<'_>, delivery: &Delivery, tried: Tried, said: &str) -> StepResult<()> {
    let Message { endpoint, id, .. } = &delivery.posted.message;
    let due = match tried {
        Tried::Again(at) => Some(at.as_millis()),
        Tried::Delivered | Tried::GivenUp => None,
    };
    let state = match tried {
        Tried::Again(_) => DeliveryState::Waiting,
        Tried::Delivered => DeliveryState::Delivered,
        Tried::GivenUp => DeliveryState::GivenUp,
    };
    let finished = step
        .conn
        .prepare_cached(
            "UPDATE messages SET finished = ?3, tries = tries + 1, tried_at = ?4, last = ?5, state = ?6, due = ?7,
                 worker = NULL, ended_at = iif(?6 = 'waiting', NULL, ?4), body = iif(?6 = 'delivered', '', body)
             WHERE endpoint = ?1 AND id = ?2 AND taken = ?3 AND finished <> ?3",
        )?
        .execute(params![endpoint, id, delivery.token, step.now.as_millis(), said, word(state), due])?;
    if finished == 0 && !was_finished(step, delivery)? {
        return Err(StoreError::LeaseLapsed(format!("message {id}")).into());
    }
    Ok(())
}

/// Whether this very right was used up before, and nobody has had another since.
fn was_finished(step: &Step<'_>, delivery: &Delivery) -> StepResult<bool> {
    let Message { endpoint, id, .. } = &delivery.posted.message;
    let found = step
        .conn
        .prepare_cached(
            "SELECT 1 FROM messages WHERE endpoint = ?1 AND id = ?2 AND taken = ?3 AND finished = ?3",
        )?
        .query_row(params![endpoint, id, delivery.token], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

pub(super) fn list(
    conn: &Connection,
    endpoint: &str,
    state: Option<DeliveryState>,
    limit: usize,
) -> StepResult<Vec<Posted>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let select =
        |of: &str| format!("SELECT {COLUMNS} FROM messages WHERE {of} ORDER BY number DESC LIMIT ?2");
    match state {
        Some(state) => conn
            .prepare_cached(&select("endpoint = ?1 AND state = ?3"))?
            .query_and_then(params![endpoint, limit, word(state)], read)?
            .collect(),
        None => conn
            .prepare_cached(&select("endpoint = ?1"))?
            .query_and_then(params![endpoint, limit], read)?
            .collect(),
    }
}

pub(super) fn repost(step: &mut Step<'_>, endpoint: &str, id: &str) -> StepResult<bool> {
    let reposted = step
        .conn
        .prepare_cached(
            "UPDATE messages SET state = 'waiting', tries = 0, due = ?3, ended_at = NULL
             WHERE endpoint = ?1 AND id = ?2 AND state = 'given_up'",
        )?
        .execute(params![endpoint, id, step.now.as_millis()])?;
    Ok(reposted > 0)
}

pub(super) fn sweep(step: &mut Step<'_>) -> StepResult<u64> {
    let remembered = i64::try_from(MESSAGE_REMEMBERED.as_millis()).unwrap_or(i64::MAX);
    let swept = step
        .conn
        .prepare_cached(
            "DELETE FROM messages WHERE number IN
                 (SELECT number FROM messages INDEXED BY messages_ended
                  WHERE ended_at IS NOT NULL AND ended_at < ?1 LIMIT ?2)",
        )?
        .execute(params![step.now.as_millis().saturating_sub(remembered), CHUNK])?;
    Ok(swept as u64)
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn post(&self, messages: &[Message]) -> Result<u64, StoreError> {
        let messages = messages.to_vec();
        self.write(move |step| post(step, &messages)).await
    }

    async fn take_deliveries(
        &self,
        endpoint: &str,
        worker: &WorkerId,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Delivery>, StoreError> {
        // Most asks find nothing: they cost no write.
        let (of, worker) = (endpoint.to_owned(), worker.clone());
        if !self.read(move |conn, now| any_due(conn, now, &of)).await? {
            return Ok(Vec::new());
        }
        let endpoint = endpoint.to_owned();
        self.write(move |step| take(step, &endpoint, &worker, limit, ttl)).await
    }

    async fn finish_delivery(&self, delivery: Delivery, tried: Tried, said: &str) -> Result<(), StoreError> {
        let said = said.to_owned();
        self.write(move |step| finish(step, &delivery, tried, &said)).await
    }

    async fn outbox(
        &self,
        endpoint: &str,
        state: Option<DeliveryState>,
        limit: usize,
    ) -> Result<Vec<Posted>, StoreError> {
        let endpoint = endpoint.to_owned();
        self.read(move |conn, _| list(conn, &endpoint, state, limit)).await
    }

    async fn repost(&self, endpoint: &str, id: &str) -> Result<bool, StoreError> {
        let (endpoint, id) = (endpoint.to_owned(), id.to_owned());
        self.write(move |step| repost(step, &endpoint, &id)).await
    }

    async fn sweep_outbox(&self) -> Result<u64, StoreError> {
        self.write(sweep).await
    }
}

/// Whether anything of an endpoint is due.
pub(super) fn any_due(conn: &Connection, now: Timestamp, endpoint: &str) -> StepResult<bool> {
    let found = conn
        .prepare_cached(
            "SELECT 1 FROM messages INDEXED BY messages_due
             WHERE endpoint = ?1 AND state = 'waiting' AND due <= ?2 LIMIT 1",
        )?
        .query_row(params![endpoint, now.as_millis()], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

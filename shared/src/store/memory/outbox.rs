//! Messages to others, and the idempotency keys that submissions on their way have taken upon themselves.

use std::{cmp::Reverse, time::Duration};

use async_trait::async_trait;

use super::{MemoryStore, State};
use crate::{
    AccountName, Timestamp, WorkerId,
    store::{
        Delivery, DeliveryState, KeyClaim, MESSAGE_REMEMBERED, Message, Outbox, Posted, StoreError, Tried,
    },
};

/// A message, and who tries it.
#[derive(Debug)]
pub(super) struct Kept {
    posted: Posted,
    /// In which place it was posted.
    number: u64,
    /// The last right to it that was given out.
    taken: u64,
    /// The last right that was finished.
    finished: u64,
    /// When it came to its end.
    ended_at: Option<Timestamp>,
}

/// A submission under a key on its way.
#[derive(Debug)]
pub(super) struct ClaimedKey {
    claimant: String,
    until: Timestamp,
}

impl State {
    pub(super) fn claim_key(
        &mut self,
        account: &AccountName,
        key: &str,
        claimant: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> KeyClaim {
        let name = (account.clone(), key.to_owned());
        let in_force = self.claimed_keys.get(&name).filter(|claim| claim.until > now);
        if in_force.is_some_and(|claim| claim.claimant != claimant) {
            return KeyClaim::Busy;
        }
        let stands_for = self.keys.get(&name).map(|(_, run)| run.clone());
        self.claimed_keys.insert(name, ClaimedKey { claimant: claimant.to_owned(), until: now.after(ttl) });
        KeyClaim::Granted { stands_for }
    }

    pub(super) fn release_key(&mut self, account: &AccountName, key: &str, claimant: &str) {
        let name = (account.clone(), key.to_owned());
        if self.claimed_keys.get(&name).is_some_and(|claim| claim.claimant == claimant) {
            self.claimed_keys.remove(&name);
        }
    }

    fn post(&mut self, messages: &[Message], now: Timestamp) -> u64 {
        let mut new = 0;
        for message in messages {
            let name = (message.endpoint.clone(), message.id.clone());
            if self.messages.contains_key(&name) {
                continue;
            }
            let posted = Posted {
                message: message.clone(),
                posted_at: now,
                state: DeliveryState::Waiting,
                tries: 0,
                tried_at: None,
                due: Some(now),
                last: None,
            };
            self.posted += 1;
            new += 1;
            let kept = Kept { posted, number: self.posted, taken: 0, finished: 0, ended_at: None };
            self.messages.insert(name, kept);
        }
        new
    }

    fn take_deliveries(
        &mut self,
        endpoint: &str,
        limit: usize,
        ttl: Duration,
        now: Timestamp,
    ) -> Vec<Delivery> {
        let of_it = self.messages.values_mut().filter(|kept| kept.posted.message.endpoint == endpoint);
        let mut due: Vec<&mut Kept> =
            of_it.filter(|kept| kept.posted.due.is_some_and(|due| due <= now)).collect();
        due.sort_by_key(|kept| (kept.posted.due, kept.posted.message.id.clone()));
        due.into_iter()
            .take(limit)
            .map(|kept| {
                kept.taken += 1;
                kept.posted.due = Some(now.after(ttl));
                Delivery { posted: kept.posted.clone(), token: kept.taken }
            })
            .collect()
    }

    fn finish_delivery(
        &mut self,
        delivery: &Delivery,
        tried: Tried,
        said: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let message = &delivery.posted.message;
        let kept = self.messages.get_mut(&(message.endpoint.clone(), message.id.clone()));
        let held = kept.filter(|kept| kept.taken == delivery.token);
        let kept = held.ok_or_else(|| StoreError::LeaseLapsed(format!("message {}", message.id)))?;
        if kept.finished == delivery.token {
            // It did so before.
            return Ok(());
        }
        kept.finished = delivery.token;
        kept.posted.tries += 1;
        kept.posted.tried_at = Some(now);
        kept.posted.last = Some(said.to_owned());
        kept.posted.due = None;
        match tried {
            Tried::Again(at) => kept.posted.due = Some(at),
            Tried::Delivered => {
                kept.posted.state = DeliveryState::Delivered;
                kept.posted.message.body.clear();
                kept.ended_at = Some(now);
            }
            Tried::GivenUp => {
                kept.posted.state = DeliveryState::GivenUp;
                kept.ended_at = Some(now);
            }
        }
        Ok(())
    }

    fn repost(&mut self, endpoint: &str, id: &str, now: Timestamp) -> bool {
        let kept = self.messages.get_mut(&(endpoint.to_owned(), id.to_owned()));
        let Some(kept) = kept.filter(|kept| kept.posted.state == DeliveryState::GivenUp) else {
            return false;
        };
        kept.posted.state = DeliveryState::Waiting;
        (kept.posted.tries, kept.posted.due, kept.ended_at) = (0, Some(now), None);
        true
    }

    fn sweep_outbox(&mut self, now: Timestamp) -> u64 {
        let remembered =
            |kept: &Kept| kept.ended_at.is_none_or(|ended| ended.after(MESSAGE_REMEMBERED) >= now);
        let old = self.messages.iter().filter(|(_, kept)| !remembered(kept));
        let old: Vec<_> = old.take(crate::store::CHUNK).map(|(name, _)| name.clone()).collect();
        old.iter().for_each(|name| drop(self.messages.remove(name)));
        old.len() as u64
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn post(&self, messages: &[Message]) -> Result<u64, StoreError> {
        self.change("post", |state, now| Ok(state.post(messages, now)))
    }

    async fn take_deliveries(
        &self,
        endpoint: &str,
        _: &WorkerId,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.change("take_deliveries", |state, now| Ok(state.take_deliveries(endpoint, limit, ttl, now)))
    }

    async fn finish_delivery(&self, delivery: Delivery, tried: Tried, said: &str) -> Result<(), StoreError> {
        self.change("finish_delivery", |state, now| state.finish_delivery(&delivery, tried, said, now))
    }

    async fn outbox(
        &self,
        endpoint: &str,
        state: Option<DeliveryState>,
        limit: usize,
    ) -> Result<Vec<Posted>, StoreError> {
        let locked = self.state("outbox")?;
        let of_it = locked.messages.values().filter(|kept| kept.posted.message.endpoint == endpoint);
        let mut found: Vec<&Kept> =
            of_it.filter(|kept| state.is_none_or(|state| state == kept.posted.state)).collect();
        found.sort_by_key(|kept| Reverse(kept.number));
        Ok(found.into_iter().take(limit).map(|kept| kept.posted.clone()).collect())
    }

    async fn repost(&self, endpoint: &str, id: &str) -> Result<bool, StoreError> {
        self.change("repost", |state, now| Ok(state.repost(endpoint, id, now)))
    }

    async fn sweep_outbox(&self) -> Result<u64, StoreError> {
        self.change("sweep_outbox", |state, now| Ok(state.sweep_outbox(now)))
    }
}

//! What goes wrong with a store in memory, and how often it was asked: for tests of those who have to bear with it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::store::StoreError;

/// What goes wrong, by the names of the trait's methods. Nothing does unless it was planted.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    planted: Mutex<Planted>,
    /// Appends in flight.
    appending: watch::Sender<Appending>,
}

#[derive(Debug, Default)]
struct Planted {
    calls: BTreeMap<String, u64>,
    away: bool,
    failures: BTreeMap<String, VecDeque<StoreError>>,
    /// Calls that are carried out, and whose answers are lost.
    lost: BTreeMap<String, u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Appending {
    now: u64,
    most: u64,
    awaited: u64,
}

impl Trouble {
    fn planted(&self) -> MutexGuard<'_, Planted> {
        self.planted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; an error where it is to fail.
    pub(super) fn called(&self, call: &'static str) -> Result<(), StoreError> {
        let mut planted = self.planted();
        *planted.calls.entry(call.to_owned()).or_default() += 1;
        if let Some(error) = planted.failures.get_mut(call).and_then(VecDeque::pop_front) {
            return Err(error);
        }
        if planted.away { Err(away()) } else { Ok(()) }
    }

    /// An error where the answer to a call that was carried out is to be lost.
    pub(super) fn answered(&self, call: &'static str) -> Result<(), StoreError> {
        match self.planted().lost.get_mut(call) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(away())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn calls(&self, call: &str) -> u64 {
        self.planted().calls.get(call).copied().unwrap_or(0)
    }

    pub(super) fn set_away(&self, away: bool) {
        self.planted().away = away;
    }

    pub(super) fn fail(&self, call: &str, errors: impl IntoIterator<Item = StoreError>) {
        self.planted().failures.entry(call.to_owned()).or_default().extend(errors);
    }

    pub(super) fn lose_answer(&self, call: &str) {
        *self.planted().lost.entry(call.to_owned()).or_default() += 1;
    }

    pub(super) fn gather_appends(&self, count: u64) {
        self.appending.send_modify(|appending| appending.awaited = count);
    }

    pub(super) fn most_appends(&self) -> u64 {
        self.appending.borrow().most
    }

    /// An append is in flight until what this returns is dropped; it waits until as many have been at once as are to.
    pub(super) async fn append(&self) -> InFlight<'_> {
        self.appending.send_modify(|appending| {
            appending.now += 1;
            appending.most = appending.most.max(appending.now);
        });
        let in_flight = InFlight(self);
        let mut appending = self.appending.subscribe();
        // The sender is this value's own: it can't be gone.
        let _ = appending.wait_for(|appending| appending.most >= appending.awaited).await;
        in_flight
    }
}

/// An append in flight.
pub(super) struct InFlight<'a>(&'a Trouble);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.appending.send_modify(|appending| appending.now -= 1);
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("it is away".into())
}

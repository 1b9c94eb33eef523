//! Waking those who wait for work.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::AccountName;

/// One bell an account.
#[derive(Debug, Default)]
pub(super) struct Signals(Mutex<HashMap<AccountName, Arc<Notify>>>);

impl Signals {
    /// The account's bell. It remembers one ring that nobody was there to hear.
    pub(super) fn of(&self, account: &AccountName) -> Arc<Notify> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.entry(account.clone()).or_default().clone()
    }

    /// Rings for these accounts.
    pub(super) fn wake(&self, accounts: &[AccountName]) {
        if !accounts.is_empty() {
            let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.iter().for_each(|account| ring(bells.entry(account.clone()).or_default()));
        }
    }

    /// Rings for every account.
    pub(super) fn wake_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(|bell| ring(bell));
    }
}

fn ring(bell: &Notify) {
    bell.notify_waiters();
    // For the one who asked for work before the ring and waits only after it.
    bell.notify_one();
}

//! Waking those who wait for work.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt;
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

    /// Somebody looks for work now: what rang before is forgotten, what rings from here on is heard by the next wait.
    pub(super) fn look(&self, account: &AccountName) {
        let _rang_before = self.of(account).notified().now_or_never();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_after_the_look_is_remembered_and_one_before_it_is_not() {
        let signals = Signals::default();
        let account: AccountName = "zoom-main".parse().unwrap();
        let heard = || signals.of(&account).notified().now_or_never().is_some();
        signals.wake(std::slice::from_ref(&account));
        signals.look(&account);
        assert!(!heard());
        signals.wake(std::slice::from_ref(&account));
        assert!(heard() && !heard());
        signals.wake_all();
        assert!(heard());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_and_nobody_of_another_account() {
        let signals = Signals::default();
        let (one, other): (AccountName, AccountName) = ("one".parse().unwrap(), "other".parse().unwrap());
        let (bell, other_bell) = (signals.of(&one), signals.of(&other));
        let (mut first, mut second) = (std::pin::pin!(bell.notified()), std::pin::pin!(bell.notified()));
        let mut third = std::pin::pin!(other_bell.notified());
        assert!(futures::poll!(first.as_mut()).is_pending() && futures::poll!(second.as_mut()).is_pending());
        assert!(futures::poll!(third.as_mut()).is_pending());
        signals.wake(&[one]);
        assert!(futures::poll!(first).is_ready() && futures::poll!(second).is_ready());
        assert!(futures::poll!(third).is_pending());
    }
}

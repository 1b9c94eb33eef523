//! What a progress display shows of an account.

use std::time::Duration;

use usher_shared::{AccountName, Hold, Pulse};

use crate::{account::Account, pulse::pulse};

/// How often a view is made anew.
pub(crate) const REFRESH: Duration = Duration::from_millis(200);

/// What a progress display shows of an account: what the worker tells the fleet, sooner, and what it alone knows.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountView {
    /// Which.
    pub account: AccountName,
    /// What this worker tells of the account.
    pub pulse: Pulse,
    /// Calls a second that were started under all labels, over the last two seconds.
    pub rate_now: f64,
    /// Calls made by this process.
    pub calls: u64,
    /// Calls of this process that were refused for the rate limit (429).
    pub throttled: u64,
    /// The account's hold: why nothing is done for it, and until when.
    pub hold: Option<Hold>,
}

impl AccountView {
    pub(crate) fn of(account: &Account) -> Self {
        let pulse = pulse(account);
        Self {
            account: account.name.clone(),
            rate_now: account.meter.rate(),
            calls: account.meter.calls_so_far(),
            throttled: account.meter.throttled_so_far(),
            hold: account.holds.in_force(account.now()),
            pulse,
        }
    }
}

//! What a progress display shows of an account.

use std::time::Duration;

use usher_shared::{AccountName, Action, Hold};

use crate::{account::Account, provider::Call};

/// How often a view is made anew.
pub(crate) const REFRESH: Duration = Duration::from_millis(200);

/// What a progress display shows of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountView {
    /// Which.
    pub account: AccountName,
    /// Calls a second that the plan allows for changes; `None` where it does not limit them.
    pub limit_per_second: Option<f64>,
    /// Calls a second that were started, over the last two seconds.
    pub rate_now: f64,
    /// Leases held: calls in flight, and those that wait for their start.
    pub in_flight: usize,
    /// Calls made by this process.
    pub calls: u64,
    /// Calls of this process that were refused for the rate limit (429).
    pub throttled: u64,
    /// How long the account's calls still stand still after a refusal.
    pub paused_for: Option<Duration>,
    /// The account's hold: why nothing is done for it, and until when.
    pub hold: Option<Hold>,
}

impl AccountView {
    pub(crate) fn of(account: &Account) -> Self {
        let label = account.provider.label(Call::Apply(Action::Deactivate));
        let status = account.limiter.status(label);
        Self {
            account: account.name.clone(),
            limit_per_second: status.per_second,
            rate_now: account.meter.rate(),
            in_flight: account.slots.taken(),
            calls: account.meter.calls_so_far(),
            throttled: account.meter.throttled_so_far(),
            paused_for: status.paused_for,
            hold: account.holds.in_force(account.now()),
        }
    }
}

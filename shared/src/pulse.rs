//! What a worker tells of an account while it works it, so that anybody who reads the store sees what goes on.

use serde::{Deserialize, Serialize};

use crate::{AccountName, Drawn, Timestamp, WorkerId};

/// What one worker tells of one account, about once a second while there is something to tell. Gone by itself soon after
/// the worker is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// Whose calls.
    pub account: AccountName,
    /// Who tells.
    pub worker: WorkerId,
    /// When, by the store's clock as the worker knows it.
    pub at: Timestamp,
    /// Leases that the worker holds: calls in flight, and those that wait for their start.
    pub in_flight: u64,
    /// Each label that the worker makes calls under, that of changes first; none where the worker works no more.
    pub lanes: Vec<LanePulse>,
    /// What of the account's configuration all workers must agree about, as a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Users of the account who could sign in when the worker last saw their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_users: Option<u64>,
}

/// One label's calls, as one worker sees them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LanePulse {
    /// Which: `light`.
    pub label: String,
    /// Calls a second that the account's plan allows; `None` where it does not limit them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<f64>,
    /// Calls a second that the whole fleet is let out at now: the plan less the room for late arrivals, and less what
    /// refusals have taught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<f64>,
    /// Calls a second that this worker started, over the last two seconds.
    pub started: f64,
    /// Calls of this worker that were refused for the rate limit, since it began.
    pub refusals: u64,
    /// Until when the fleet's calls stand still after a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// The day's quota, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<DayUse>,
}

/// How far a day's quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayUse {
    /// Calls that the vendor allows in a day.
    pub calls: u64,
    /// Of them, those that are left for urgent work alone.
    pub urgent_only: u64,
    /// What has been drawn.
    pub drawn: Drawn,
}

impl DayUse {
    /// Until when work that is not urgent waits; `None` while there are calls left for it.
    #[must_use]
    pub fn parked_until(&self) -> Option<Timestamp> {
        let open_to_all = self.calls.saturating_sub(self.urgent_only);
        (self.drawn.used >= open_to_all).then_some(self.drawn.frees_at)
    }
}

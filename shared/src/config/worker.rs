//! `[worker]`: how work is carried out. The defaults suit a Zoom account on any plan.

use serde::Deserialize;

/// `[worker]`: how work is carried out. The defaults suit a Zoom account on any plan.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// Attempts at one job before it ends as `exhausted`. Waiting for a rate limit spends none. 1 to 100.
    pub max_attempts: u32,
    /// Seconds that one vendor call may take altogether. 1 to 300.
    pub call_timeout_seconds: f64,
    /// Seconds that a worker's right to a job lasts; longer than the call's timeout, or no call could start. The jobs of a
    /// worker that was killed run again so much later, and up to a second more.
    pub lease_seconds: f64,
    /// The most calls in flight at once for one account. The limit and the latency decide how many are used. 1 to 1,000.
    pub max_in_flight: usize,
    /// Seconds that a stopping worker waits for calls in flight.
    pub drain_seconds: f64,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            call_timeout_seconds: 10.0,
            lease_seconds: 13.0,
            max_in_flight: 100,
            drain_seconds: 15.0,
        }
    }
}

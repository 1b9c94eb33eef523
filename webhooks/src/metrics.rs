//! What is counted, by the `metrics` facade: a process that serves /metrics shows it, any other pays nothing for it.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use usher_shared::store::Tried;

/// Tries at delivering a message, by `endpoint` and `result`: `delivered`, `failed` (it is tried again), `given_up`.
pub const DELIVERIES: &str = "usher_webhook_deliveries_total";
/// Messages that wait to be delivered, by `endpoint`; counted up to 1,000.
pub const WAITING: &str = "usher_webhook_waiting";

/// Says what they mean, once a recorder is installed.
pub fn describe() {
    describe_counter!(DELIVERIES, "Tries at delivering a webhook, by endpoint and result");
    describe_gauge!(WAITING, "Webhooks that wait to be delivered, by endpoint (counted up to 1,000)");
}

pub(crate) fn tried(endpoint: &str, tried: Tried) {
    let result = match tried {
        Tried::Delivered => "delivered",
        Tried::Again(_) => "failed",
        Tried::GivenUp => "given_up",
    };
    counter!(DELIVERIES, "endpoint" => endpoint.to_owned(), "result" => result).increment(1);
}

pub(crate) fn waiting(endpoint: &str, count: usize) {
    #[expect(clippy::cast_precision_loss, reason = "counted up to 1,000")]
    gauge!(WAITING, "endpoint" => endpoint.to_owned()).set(count as f64);
}

//! What is counted, by the `metrics` facade: a process that serves /metrics shows it, any other pays nothing for it.

use metrics::{counter, gauge};
use usher_shared::{Metric, store::Tried};

/// Tries.
pub const DELIVERIES: Metric = Metric::counter(
    "usher_webhook_deliveries_total",
    &["endpoint", "result"],
    "Tries at delivering a webhook message: delivered, failed (it is tried again) or given_up.",
);
/// Messages that wait.
pub const WAITING: Metric = Metric::gauge(
    "usher_webhook_waiting",
    &["endpoint"],
    "Webhook messages that wait to be delivered, as this process saw last; counted up to 1,000.",
);

/// All of them.
pub const ALL: &[Metric] = &[DELIVERIES, WAITING];

pub(crate) fn tried(endpoint: &str, tried: Tried) {
    let result = match tried {
        Tried::Delivered => "delivered",
        Tried::Again(_) => "failed",
        Tried::GivenUp => "given_up",
    };
    counter!(DELIVERIES.name, "endpoint" => endpoint.to_owned(), "result" => result).increment(1);
}

pub(crate) fn waiting(endpoint: &str, count: usize) {
    #[expect(clippy::cast_precision_loss, reason = "counted up to 1,000")]
    gauge!(WAITING.name, "endpoint" => endpoint.to_owned()).set(count as f64);
}

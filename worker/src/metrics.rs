//! What a worker tells Prometheus: every metric by name, and the one place that counts.
//!
//! It counts what this process did and saw, since it began; what the store knows is told by `usher serve`. Whoever wants it
//! told installs a recorder of the `metrics` facade; without one nothing is kept.

use std::time::Duration;

use ::metrics::{counter, gauge, histogram};
use usher_shared::{AccountName, Action, HoldReason, JobReport, Metric, SnoozeReason, Then};

use crate::{
    account::Account,
    provider::{Call, Label},
    pulse::all_lanes,
};

/// The upper bounds of a vendor call's latency, in seconds. Zoom answers a change in 50 to 400 ms; the last bound is the
/// default timeout of a call (10 s), and what lies beyond it took a second try at connecting.
pub const LATENCY: &[f64] = &[0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0];

/// Jobs that ended here.
pub const JOBS: Metric = Metric::counter(
    "usher_jobs_total",
    &["account", "action", "outcome"],
    "Jobs to which this worker gave their outcome. Those that end without one (cancelled, expired, superseded, settled by the resolve) are not among them.",
);
/// Attempts.
pub const ATTEMPTS: Metric = Metric::counter(
    "usher_attempts_total",
    &["account", "action", "verdict"],
    "Attempts at jobs, by what the vendor's reply meant.",
);
/// Failures that are tried again.
pub const RETRIES: Metric = Metric::counter(
    "usher_retries_total",
    &["account"],
    "Attempts that failed and are made again, each with one attempt less to spend.",
);
/// Waits that cost no attempt.
pub const SNOOZES: Metric = Metric::counter(
    "usher_snoozes_total",
    &["account", "reason"],
    "Jobs set back without spending an attempt: throttled, held (the account is on hold) or returned.",
);
/// Leases that lapsed.
pub const LEASES_LOST: Metric = Metric::counter(
    "usher_leases_lost_total",
    &["account"],
    "Leases that lapsed while this worker held them: their jobs run again. Not the leases of a worker that died.",
);
/// Vendor calls.
pub const CALLS: Metric = Metric::counter(
    "usher_vendor_calls_total",
    &["account", "label", "call", "status"],
    "Calls to the vendor, by rate-limit label, by what was asked (list and look_up resolve users, token gets a token) and by the class of the HTTP status, or none where no answer came.",
);
/// How long they take.
pub const CALL_SECONDS: Metric = Metric::histogram(
    "usher_vendor_call_seconds",
    &["account", "label"],
    LATENCY,
    "How long calls to the vendor took, from the request to the end of the answer, lost ones included.",
);
/// Refusals for a rate limit.
pub const REFUSALS: Metric = Metric::counter(
    "usher_vendor_refusals_total",
    &["account", "label"],
    "Calls that the vendor refused for its rate limit (429).",
);
/// Tokens.
pub const TOKENS: Metric = Metric::counter(
    "usher_token_refreshes_total",
    &["account", "result"],
    "Tokens that this worker needed anew, fetched or taken from the fleet: ok, or failed.",
);
/// Resolves.
pub const RESOLVES: Metric = Metric::counter(
    "usher_resolves_total",
    &["account", "result"],
    "Runs whose users this worker looked up: ok, or failed (and begun again).",
);
/// Calls of the store that failed.
pub const STORE_FAILURES: Metric = Metric::counter(
    "usher_store_failures_total",
    &["account", "call"],
    "Calls of the store that failed and are made again: lease, renew, finish, steward, quota or pulse.",
);
/// Calls a second that began.
pub const STARTED: Metric = Metric::gauge(
    "usher_calls_started_per_second",
    &["account", "label"],
    "Calls a second that this worker began, over the last two seconds.",
);
/// Calls a second that may begin.
pub const ALLOWED: Metric = Metric::gauge(
    "usher_calls_allowed_per_second",
    &["account", "label"],
    "Calls a second that the whole fleet is let out at now: the plan less the room for late arrivals, and less what refusals have taught.",
);
/// Calls a second of the plan.
pub const PLANNED: Metric = Metric::gauge(
    "usher_calls_planned_per_second",
    &["account", "label"],
    "Calls a second that the account's plan allows.",
);
/// A pause after a refusal.
pub const PAUSE: Metric = Metric::gauge(
    "usher_calls_paused_seconds",
    &["account", "label"],
    "How long the fleet's calls still stand still after a refusal; 0 where they do not.",
);
/// Leases held.
pub const IN_FLIGHT: Metric = Metric::gauge(
    "usher_leases_in_flight",
    &["account"],
    "Leases that this worker holds: calls under way, and those that wait for their start.",
);
/// A day's quota.
pub const DAY_CALLS: Metric = Metric::gauge(
    "usher_day_quota_calls",
    &["account", "label"],
    "Calls that the vendor allows in a day, where it has such a limit and this worker has drawn from it.",
);
/// How far it is used up.
pub const DAY_USED: Metric = Metric::gauge(
    "usher_day_quota_used_calls",
    &["account", "label"],
    "Calls of the day's quota that the fleet has drawn, as this worker saw last.",
);
/// Holds.
pub const HELD: Metric = Metric::gauge(
    "usher_account_held",
    &["account", "reason"],
    "1 while this worker does nothing for the account, for this reason: credentials, scope, breaker, quota or disagreement.",
);

/// All of them.
pub const ALL: &[Metric] = &[
    JOBS,
    ATTEMPTS,
    RETRIES,
    SNOOZES,
    LEASES_LOST,
    CALLS,
    CALL_SECONDS,
    REFUSALS,
    TOKENS,
    RESOLVES,
    STORE_FAILURES,
    STARTED,
    ALLOWED,
    PLANNED,
    PAUSE,
    IN_FLIGHT,
    DAY_CALLS,
    DAY_USED,
    HELD,
];

/// Which call of the store failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoreCall {
    Lease,
    Renew,
    Finish,
    Steward,
    Quota,
    Pulse,
}

/// An account begins to be worked: what alerts go by is there from the start, at 0, so that its first increase shows.
pub(crate) fn begin(account: &Account) {
    let name = account.name.as_str();
    counter!(LEASES_LOST.name, "account" => name.to_owned()).absolute(0);
    for rate in account.provider.rates() {
        counter!(REFUSALS.name, "account" => name.to_owned(), "label" => rate.label.0).absolute(0);
    }
    for result in ["ok", "failed"] {
        counter!(TOKENS.name, "account" => name.to_owned(), "result" => result).absolute(0);
    }
}

/// The store has taken these reports.
pub(crate) fn recorded(account: &AccountName, action: Action, reports: &[JobReport]) {
    let name = || account.as_str().to_owned();
    for report in reports {
        if let Some(attempt) = &report.attempt {
            let verdict = attempt.verdict.as_str();
            counter!(ATTEMPTS.name, "account" => name(), "action" => action.as_str(), "verdict" => verdict)
                .increment(1);
        }
        match &report.then {
            Then::Finish { outcome, .. } => {
                let outcome = outcome.as_str();
                counter!(JOBS.name, "account" => name(), "action" => action.as_str(), "outcome" => outcome)
                    .increment(1);
            }
            Then::Retry { .. } => counter!(RETRIES.name, "account" => name()).increment(1),
            Then::Snooze { reason, .. } => {
                let reason = match reason {
                    SnoozeReason::Throttled => "throttled",
                    SnoozeReason::Returned => "returned",
                    SnoozeReason::Held => "held",
                };
                counter!(SNOOZES.name, "account" => name(), "reason" => reason).increment(1);
            }
        }
    }
}

/// A lease lapsed in this worker's hands.
pub(crate) fn lease_lost(account: &AccountName) {
    counter!(LEASES_LOST.name, "account" => account.as_str().to_owned()).increment(1);
}

/// A vendor call has come to its end; `http` is its status, where an answer came.
pub(crate) fn called(
    account: &AccountName,
    label: Label,
    call: &'static str,
    http: Option<u16>,
    took: Duration,
) {
    let name = || account.as_str().to_owned();
    let status = class(http);
    counter!(CALLS.name, "account" => name(), "label" => label.0, "call" => call, "status" => status)
        .increment(1);
    histogram!(CALL_SECONDS.name, "account" => name(), "label" => label.0).record(took);
}

/// The vendor refused a call for its rate limit.
pub(crate) fn refused(account: &AccountName, label: Label) {
    counter!(REFUSALS.name, "account" => account.as_str().to_owned(), "label" => label.0).increment(1);
}

/// A token was needed anew.
pub(crate) fn token(account: &AccountName, ok: bool) {
    counter!(TOKENS.name, "account" => account.as_str().to_owned(), "result" => result(ok)).increment(1);
}

/// A resolve has ended.
pub(crate) fn resolved(account: &AccountName, ok: bool) {
    counter!(RESOLVES.name, "account" => account.as_str().to_owned(), "result" => result(ok)).increment(1);
}

/// A call of the store failed and is made again.
pub(crate) fn store_failed(account: &AccountName, call: StoreCall) {
    let call = match call {
        StoreCall::Lease => "lease",
        StoreCall::Renew => "renew",
        StoreCall::Finish => "finish",
        StoreCall::Steward => "steward",
        StoreCall::Quota => "quota",
        StoreCall::Pulse => "pulse",
    };
    counter!(STORE_FAILURES.name, "account" => account.as_str().to_owned(), "call" => call).increment(1);
}

/// What an account's work is at: the rate, what is in flight, the day's quota, a hold.
pub(crate) fn observe(account: &Account) {
    let name = || account.name.as_str().to_owned();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let float = |count: u64| count as f64;
    gauge!(IN_FLIGHT.name, "account" => name()).set(float(account.slots.taken() as u64));
    for (label, lane) in all_lanes(account) {
        let set = |metric: Metric, value: f64| {
            gauge!(metric.name, "account" => name(), "label" => label.0).set(value);
        };
        set(STARTED, lane.started);
        lane.allowed.into_iter().for_each(|allowed| set(ALLOWED, allowed));
        lane.plan.into_iter().for_each(|plan| set(PLANNED, plan));
        let paused = lane.paused_until.map(|until| until.since(account.now()));
        set(PAUSE, paused.unwrap_or_default().as_secs_f64());
        if let Some(day) = lane.day {
            set(DAY_CALLS, float(day.calls));
            set(DAY_USED, float(day.drawn.used));
        }
    }
    let held = account.holds.in_force(account.now()).map(|hold| hold.reason);
    for reason in HoldReason::ALL {
        let value = if held == Some(reason) { 1.0 } else { 0.0 };
        gauge!(HELD.name, "account" => name(), "reason" => reason.as_str()).set(value);
    }
}

/// What a call asks for, in a word.
pub(crate) fn call_word(call: Call) -> &'static str {
    match call {
        Call::Apply(_) => "apply",
        Call::GiveBack(_) => "give_back",
        Call::LookUp => "look_up",
        Call::List => "list",
    }
}

fn class(http: Option<u16>) -> &'static str {
    match http.map(|status| status / 100) {
        Some(1) => "1xx",
        Some(2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(5) => "5xx",
        Some(_) => "other",
        None => "none",
    }
}

fn result(ok: bool) -> &'static str {
    if ok { "ok" } else { "failed" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_a_class_and_no_answer_has_none() {
        let cases = [
            (Some(204), "2xx"),
            (Some(429), "4xx"),
            (Some(503), "5xx"),
            (Some(999), "other"),
            (None, "none"),
        ];
        for (status, expected) in cases {
            assert_eq!(class(status), expected);
        }
    }

    #[test]
    fn no_metric_has_a_label_that_could_name_a_user() {
        for metric in ALL {
            for label in metric.labels {
                let known = [
                    "account", "action", "outcome", "verdict", "reason", "label", "call", "status", "result",
                ];
                assert!(known.contains(label), "{}: {label}", metric.name);
            }
        }
    }
}

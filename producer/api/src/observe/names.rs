//! Every metric of the server, by name. A worker's own are in its crate.

use usher_shared::Metric;

/// The upper bounds of a call's time, in seconds: the goal for a submission of one user is 0.05; a body that is streamed in
/// may take minutes.
pub const CALL_TIMES: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0];

/// Calls of the API.
pub const REQUESTS: Metric = Metric::counter(
    "usher_http_requests_total",
    &["method", "path", "status"],
    "Calls of the API that were answered, by the path's pattern (other where there is none such).",
);
/// How long they took.
pub const REQUEST_SECONDS: Metric = Metric::histogram(
    "usher_http_request_seconds",
    &["method", "path"],
    CALL_TIMES,
    "How long calls of the API took, up to the beginning of the answer.",
);
/// Calls under way.
pub const REQUESTS_IN_FLIGHT: Metric =
    Metric::gauge("usher_http_requests_in_flight", &[], "Calls of the API whose answer has not begun.");
/// Followers.
pub const FOLLOWERS: Metric = Metric::gauge(
    "usher_live_followers",
    &["stream"],
    "Followers of server-sent events now: of one run, or of the service.",
);
/// The program.
pub const BUILD: Metric = Metric::gauge("usher_build_info", &["version"], "1, with the version of usher.");

/// Whether the store answered.
pub const STORE_UP: Metric = Metric::gauge(
    "usher_store_up",
    &[],
    "1 where the store told all that is asked of it for these metrics, else 0.",
);
/// How long that took.
pub const STORE_SECONDS: Metric = Metric::gauge(
    "usher_store_scrape_seconds",
    &[],
    "How long the store took to tell what is asked of it for these metrics.",
);
/// Queue depth.
pub const QUEUE: Metric = Metric::gauge(
    "usher_queue_jobs",
    &["account", "priority", "state"],
    "Jobs without an outcome: pending (their run is not admitted, or not all of it is in the queue yet), queued, or leased by a worker.",
);
/// Queue age.
pub const OLDEST: Metric = Metric::gauge(
    "usher_queue_oldest_seconds",
    &["account", "priority"],
    "Since when the oldest run with jobs still to be done is sealed; runs that wait for a person or for their time are not counted.",
);
/// Runs.
pub const RUNS: Metric =
    Metric::gauge("usher_runs", &["account", "state"], "Runs that are not over, by their state.");
/// Holds.
pub const HOLDS: Metric = Metric::gauge(
    "usher_fleet_account_held",
    &["account", "reason"],
    "1 while the account is on hold for this reason, as its unfinished runs tell: credentials, scope, breaker, quota or disagreement.",
);
/// Workers.
pub const WORKERS: Metric = Metric::gauge(
    "usher_fleet_workers",
    &["account"],
    "Workers that told something of the account within the last seconds. One that has nothing to do tells nothing.",
);
/// Calls a second that began.
pub const STARTED: Metric = Metric::gauge(
    "usher_fleet_calls_started_per_second",
    &["account", "label"],
    "Calls a second that all workers began, over the last two seconds.",
);
/// Calls a second that may begin.
pub const ALLOWED: Metric = Metric::gauge(
    "usher_fleet_calls_allowed_per_second",
    &["account", "label"],
    "Calls a second that the fleet is let out at now, as its workers tell.",
);
/// Calls a second of the plan.
pub const PLANNED: Metric = Metric::gauge(
    "usher_fleet_calls_planned_per_second",
    &["account", "label"],
    "Calls a second that the account's plan allows, as its workers tell.",
);
/// Webhook messages.
pub const OUTBOX: Metric = Metric::gauge(
    "usher_outbox_messages",
    &["endpoint", "state"],
    "Webhook messages that wait to be delivered, or that were given up on; 1,000 stands for that many or more.",
);

/// What a server counts.
pub const SERVER: &[Metric] = &[BUILD, REQUESTS, REQUEST_SECONDS, REQUESTS_IN_FLIGHT, FOLLOWERS];

/// What a server tells of the store.
pub const STORE: &[Metric] =
    &[STORE_UP, STORE_SECONDS, QUEUE, OLDEST, RUNS, HOLDS, WORKERS, STARTED, ALLOWED, PLANNED, OUTBOX];

/// What a process is made of, by the names that every Prometheus client library uses.
pub const PROCESS: &[Metric] = &[
    Metric::counter("process_cpu_seconds_total", &[], "Total user and system CPU time spent in seconds."),
    Metric::gauge("process_resident_memory_bytes", &[], "Resident memory size in bytes."),
    Metric::gauge("process_virtual_memory_bytes", &[], "Virtual memory size in bytes."),
    Metric::gauge(
        "process_start_time_seconds",
        &[],
        "Start time of the process since unix epoch in seconds.",
    ),
    Metric::gauge("process_open_fds", &[], "Number of open file descriptors."),
    Metric::gauge("process_max_fds", &[], "Maximum number of open file descriptors."),
    Metric::gauge("process_threads", &[], "Number of operating system threads."),
];

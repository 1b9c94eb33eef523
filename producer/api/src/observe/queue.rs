//! What the store knows of its accounts: the queue's depth and age, runs, holds, the fleet's rate, the outbox.

use std::{collections::BTreeMap, time::Duration};

use metrics::gauge;
use usher_shared::{
    AccountName, HoldReason, Metric, Priority, Pulse, RunPhase, RunState, RunStatus, Timestamp,
    store::{DeliveryState, SharedStore, StoreError},
    view::Activity,
};

use super::names::{ALLOWED, HOLDS, OLDEST, OUTBOX, PLANNED, QUEUE, RUNS, STARTED, WORKERS};

/// Messages of an endpoint that are counted in one state.
const MESSAGES: usize = 1_000;

/// The states of a run that is not over.
const UNFINISHED: [RunState; 8] = [
    RunState::Scheduled,
    RunState::Resolving,
    RunState::Planned,
    RunState::Held,
    RunState::Running,
    RunState::Paused,
    RunState::Halted,
    RunState::Cancelling,
];

/// What the store told.
pub(super) struct Seen {
    accounts: Vec<(AccountName, Account)>,
    outbox: Vec<(String, DeliveryState, usize)>,
}

/// What it told of one account.
#[derive(Debug, Default, PartialEq)]
struct Account {
    /// Jobs by priority: pending, queued, leased.
    jobs: BTreeMap<Priority, [u64; 3]>,
    oldest: BTreeMap<Priority, Duration>,
    runs: BTreeMap<&'static str, u64>,
    held: Option<HoldReason>,
    activity: Activity,
}

/// Asks the store: of the accounts that are configured and of all that ever had a run.
pub(super) async fn look(
    store: &SharedStore,
    configured: &[AccountName],
    endpoints: &[String],
) -> Result<Seen, StoreError> {
    let mut names = store.accounts().await?;
    names.extend_from_slice(configured);
    names.sort_unstable();
    names.dedup();
    let now = store.now().await?;
    let mut accounts = Vec::with_capacity(names.len());
    for name in names {
        let runs = store.unfinished(&name).await?;
        let pulses = store.pulses(&name).await?;
        accounts.push((name, account(&runs, &pulses, now)));
    }
    let mut outbox = Vec::new();
    for endpoint in endpoints {
        for state in [DeliveryState::Waiting, DeliveryState::GivenUp] {
            let messages = store.outbox(endpoint, Some(state), MESSAGES).await?;
            outbox.push((endpoint.clone(), state, messages.len()));
        }
    }
    Ok(Seen { accounts, outbox })
}

/// Pure.
fn account(runs: &[RunStatus], pulses: &[Pulse], now: Timestamp) -> Account {
    let mut seen = Account::default();
    for priority in Priority::ALL {
        seen.jobs.insert(priority, [0; 3]);
        seen.oldest.insert(priority, Duration::ZERO);
    }
    seen.runs.extend(UNFINISHED.map(|state| (state.as_str(), 0)));
    for run in runs {
        let (counters, priority) = (&run.counters, run.run.priority);
        let jobs = seen.jobs.entry(priority).or_default();
        for (sum, count) in jobs.iter_mut().zip([counters.pending, counters.queued, counters.leased]) {
            *sum += count;
        }
        *seen.runs.entry(run.state().as_str()).or_default() += 1;
        seen.held = seen.held.or(run.hold.as_ref().map(|hold| hold.reason));
        if waits_for_work(run) && counters.finished < counters.total {
            let age = run.sealed_at.map(|sealed| now.since(sealed)).unwrap_or_default();
            let oldest = seen.oldest.entry(priority).or_default();
            *oldest = age.max(*oldest);
        }
    }
    seen.activity = Activity::of(pulses);
    seen
}

/// Whether nobody has stopped it, and it waits for nobody: what stands still then stands still for want of work done.
fn waits_for_work(run: &RunStatus) -> bool {
    match run.state() {
        RunState::Resolving | RunState::Running | RunState::Halted | RunState::Cancelling => true,
        // Between its resolve and its admission; with a reason it waits for a person.
        RunState::Held => run.phase == RunPhase::Resolved && run.notes.held.is_none(),
        RunState::Scheduled
        | RunState::Planned
        | RunState::Paused
        | RunState::Finished
        | RunState::Cancelled
        | RunState::Expired
        | RunState::Refused => false,
    }
}

impl Seen {
    /// Sets the gauges of the recorder in force.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(super) fn record(&self) {
        for (name, seen) in &self.accounts {
            let name = || name.as_str().to_owned();
            for (priority, jobs) in &seen.jobs {
                for (state, count) in ["pending", "queued", "leased"].into_iter().zip(jobs) {
                    gauge!(QUEUE.name, "account" => name(), "priority" => priority.as_str(), "state" => state)
                        .set(*count as f64);
                }
            }
            for (priority, age) in &seen.oldest {
                gauge!(OLDEST.name, "account" => name(), "priority" => priority.as_str())
                    .set(age.as_secs_f64());
            }
            for (state, count) in &seen.runs {
                gauge!(RUNS.name, "account" => name(), "state" => *state).set(*count as f64);
            }
            for reason in HoldReason::ALL {
                let held = if seen.held == Some(reason) { 1.0 } else { 0.0 };
                gauge!(HOLDS.name, "account" => name(), "reason" => reason.as_str()).set(held);
            }
            gauge!(WORKERS.name, "account" => name()).set(seen.activity.workers as f64);
            for lane in &seen.activity.lanes {
                let set = |metric: Metric, value: f64| {
                    gauge!(metric.name, "account" => name(), "label" => lane.label.clone()).set(value);
                };
                set(STARTED, lane.rate);
                lane.allowed.into_iter().for_each(|allowed| set(ALLOWED, allowed));
                lane.plan.into_iter().for_each(|plan| set(PLANNED, plan));
            }
        }
        for (endpoint, state, count) in &self.outbox {
            let state = match state {
                DeliveryState::Waiting => "waiting",
                DeliveryState::Delivered => "delivered",
                DeliveryState::GivenUp => "given_up",
            };
            gauge!(OUTBOX.name, "endpoint" => endpoint.clone(), "state" => state).set(*count as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::{Counters, Effort, Held, HeldReason, Hold, NewRun, RunNotes};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// A run that was sealed then, with so many jobs in the queue.
    fn run(priority: Priority, phase: RunPhase, sealed: i64, queued: u64) -> RunStatus {
        RunStatus {
            run: NewRun {
                id: "20261120-k3f9zm".parse().unwrap(),
                account: "zoom-main".parse().unwrap(),
                priority,
                reason: None,
                asked_by: "test".into(),
                source: None,
                created_at: at(0),
                terms: Default::default(),
            },
            phase,
            paused: false,
            cancelled: false,
            admission: None,
            by_action: BTreeMap::new(),
            counters: Counters { total: queued + 2, queued, leased: 1, finished: 1, ..Counters::default() },
            effort: Effort::default(),
            sealed_at: Some(at(sealed)),
            finished_at: None,
            fresh_at: None,
            hold: None,
            notes: RunNotes::default(),
        }
    }

    #[test]
    fn a_queue_is_as_old_as_its_oldest_run_that_nobody_has_stopped() {
        let waits_for_a_person = Held { reason: HeldReason::Approval, message: String::new(), since: at(0) };
        let runs = [
            run(Priority::Bulk, RunPhase::Admitted, 40, 7),
            run(Priority::Bulk, RunPhase::Sealed, 10, 5),
            RunStatus { paused: true, ..run(Priority::Urgent, RunPhase::Admitted, 1, 2) },
            RunStatus {
                notes: RunNotes { held: Some(waits_for_a_person), ..RunNotes::default() },
                ..run(Priority::Urgent, RunPhase::Resolved, 2, 0)
            },
        ];
        let seen = account(&runs, &[], at(100));
        assert_eq!(seen.oldest[&Priority::Bulk], Duration::from_secs(90));
        assert_eq!(seen.oldest[&Priority::Urgent], Duration::ZERO);
        assert_eq!((seen.jobs[&Priority::Bulk], seen.jobs[&Priority::Urgent]), ([0, 12, 2], [0, 2, 2]));
        assert_eq!(seen.jobs[&Priority::Normal], [0; 3], "what is not there is told as none");
        let states = ["running", "resolving", "paused", "held", "planned"].map(|state| seen.runs[state]);
        assert_eq!(states, [1, 1, 1, 1, 0]);
        assert_eq!((seen.held, seen.activity.workers), (None, 0));
    }

    #[test]
    fn an_account_on_hold_goes_on_growing_old() {
        let hold = Hold { reason: HoldReason::Scope, message: String::new(), since: at(50), until: None };
        let held = RunStatus { hold: Some(hold), ..run(Priority::Normal, RunPhase::Admitted, 40, 1) };
        let seen = account(&[held], &[], at(100));
        assert_eq!(seen.held, Some(HoldReason::Scope));
        assert_eq!((seen.oldest[&Priority::Normal], seen.runs["halted"]), (Duration::from_secs(60), 1));
    }
}

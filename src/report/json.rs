//! The machine-readable forms: an interface, only ever added to.

use std::{collections::BTreeMap, io::Write};

use serde::Serialize;
use usher_shared::{Outcome, OutcomeRow, RunStatus, Timestamp};

use super::Rows;
use crate::{activity::Lane, exit::Failure, scene::Scene};

/// A run, as `status --json` and `runs --json` show it.
#[derive(Debug, Serialize)]
pub struct StatusView<'a> {
    run: &'a str,
    account: &'a str,
    action: &'static str,
    state: &'static str,
    priority: &'static str,
    total: u64,
    finished: u64,
    outcomes: BTreeMap<&'static str, u64>,
    pending: u64,
    queued: u64,
    in_flight: u64,
    duplicates: u64,
    attempts: u64,
    calls: u64,
    throttled: u64,
    retries: u64,
    lost: u64,
    reason: Option<&'a str>,
    asked_by: &'a str,
    source: Option<&'a str>,
    created_at: String,
    sealed_at: Option<String>,
    first_attempt_at: Option<String>,
    last_attempt_at: Option<String>,
    finished_at: Option<String>,
    hold: Option<HoldView<'a>>,
    /// Whether it stops once it is planned.
    only_planned: bool,
    undoes: Option<&'a str>,
    not_before: Option<String>,
    deadline: Option<String>,
    /// The token that proves who asked, as the submitter says; workers verify it.
    proved_by: Option<&'a str>,
    plan: Option<PlanView<'a>>,
    held: Option<HeldView<'a>>,
    applied_by: Option<&'a str>,
    approved_by: Option<&'a str>,
    ending: Option<EndingView<'a>>,
    /// What goes on; left out where nobody looked (`runs --json`).
    #[serde(flatten)]
    scene: Option<SceneView<'a>>,
}

/// What goes on around a run that is not over.
#[derive(Debug, Serialize)]
struct SceneView<'a> {
    /// What the workers tell; null where that is not known, or the run is over.
    activity: Option<ActivityView<'a>>,
    /// Why the run waits, the weightiest first; empty where it does not.
    waiting: Vec<WaitView<'a>>,
}

#[derive(Debug, Serialize)]
struct ActivityView<'a> {
    workers: usize,
    in_flight: u64,
    /// The account's labels, that of changes first.
    labels: Vec<LabelView<'a>>,
}

#[derive(Debug, Serialize)]
struct LabelView<'a> {
    label: &'a str,
    /// Calls a second over the last two seconds, of all workers.
    rate: f64,
    /// Calls a second that the plan allows.
    plan: Option<f64>,
    /// Calls a second that are let out at most now.
    allowed: Option<f64>,
    /// Whether refusals have brought that below the plan.
    lowered: bool,
    /// Refused calls of the workers that are there now, since they began.
    refusals: u64,
    paused_until: Option<String>,
    day: Option<DayView>,
}

#[derive(Debug, Serialize)]
struct DayView {
    calls: u64,
    used: u64,
    kept_for_urgent: u64,
    frees_at: String,
}

#[derive(Debug, Serialize)]
struct WaitView<'a> {
    /// paused, rate_limit, day_quota, kept_for_urgent, vendor_fails, credentials, scope, no_worker, resolving_again,
    /// planned, not_before, approval, over_run_cap, over_day_cap or unknown.
    why: &'static str,
    until: Option<String>,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct HoldView<'a> {
    reason: usher_shared::HoldReason,
    message: &'a str,
    since: String,
    until: Option<String>,
}

#[derive(Debug, Serialize)]
struct PlanView<'a> {
    hash: &'a str,
    at: String,
    change: u64,
    active_users: Option<u64>,
}

#[derive(Debug, Serialize)]
struct HeldView<'a> {
    reason: usher_shared::HeldReason,
    message: &'a str,
    since: String,
}

#[derive(Debug, Serialize)]
struct EndingView<'a> {
    outcome: Outcome,
    code: Option<&'a str>,
    message: &'a str,
}

fn tenths(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

fn shown(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

impl<'a> StatusView<'a> {
    /// A run, with what goes on around it.
    pub fn with(status: &'a RunStatus, scene: &'a Scene) -> Self {
        let activity = scene.activity.as_ref().map(|activity| ActivityView {
            workers: activity.workers,
            in_flight: activity.in_flight,
            labels: activity.lanes.iter().map(LabelView::from).collect(),
        });
        let waiting = scene
            .waits
            .iter()
            .map(|wait| WaitView { why: wait.why, until: shown(wait.until), message: &wait.what })
            .collect();
        Self { scene: Some(SceneView { activity, waiting }), ..Self::from(status) }
    }
}

impl<'a> From<&'a Lane> for LabelView<'a> {
    fn from(lane: &'a Lane) -> Self {
        Self {
            label: &lane.label,
            rate: tenths(lane.rate),
            plan: lane.plan,
            allowed: lane.allowed.map(tenths),
            lowered: lane.lowered().is_some(),
            refusals: lane.refusals,
            paused_until: shown(lane.paused_until),
            day: lane.day.map(|day| DayView {
                calls: day.calls,
                used: day.drawn.used,
                kept_for_urgent: day.urgent_only,
                frees_at: day.drawn.frees_at.to_string(),
            }),
        }
    }
}

impl<'a> From<&'a RunStatus> for StatusView<'a> {
    fn from(status: &'a RunStatus) -> Self {
        let (run, counters, effort) = (&status.run, &status.counters, &status.effort);
        let (terms, notes) = (&run.terms, &status.notes);
        Self {
            run: run.id.as_str(),
            account: run.account.as_str(),
            action: status.action_word(),
            state: status.state().as_str(),
            priority: run.priority.as_str(),
            total: counters.total,
            finished: counters.finished,
            outcomes: counters.outcomes.iter().map(|(outcome, n)| (Outcome::as_str(*outcome), *n)).collect(),
            pending: counters.pending,
            queued: counters.queued,
            in_flight: counters.leased,
            duplicates: counters.duplicates,
            attempts: effort.attempts,
            calls: effort.calls,
            throttled: effort.throttled,
            retries: effort.retries,
            lost: effort.lost,
            reason: run.reason.as_deref(),
            asked_by: &run.asked_by,
            source: run.source.as_deref(),
            created_at: run.created_at.to_string(),
            sealed_at: shown(status.sealed_at),
            first_attempt_at: shown(effort.first_attempt_at),
            last_attempt_at: shown(effort.last_attempt_at),
            finished_at: shown(status.finished_at),
            hold: status.hold.as_ref().map(|hold| HoldView {
                reason: hold.reason,
                message: &hold.message,
                since: hold.since.to_string(),
                until: shown(hold.until),
            }),
            only_planned: terms.plan,
            undoes: terms.undoes.as_ref().map(|run| run.as_str()),
            not_before: shown(terms.not_before),
            deadline: shown(terms.deadline),
            proved_by: terms.proof.as_ref().map(|proof| proof.by.as_str()),
            plan: notes.plan.as_ref().map(|plan| PlanView {
                hash: plan.hash.as_str(),
                at: plan.at.to_string(),
                change: plan.change,
                active_users: plan.active_users,
            }),
            held: notes.held.as_ref().map(|held| HeldView {
                reason: held.reason,
                message: &held.message,
                since: held.since.to_string(),
            }),
            applied_by: notes.go.as_ref().map(|go| go.by.as_str()),
            approved_by: notes.approval.as_ref().map(|approval| approval.by.as_str()),
            ending: notes.ending.as_ref().map(|ending| EndingView {
                outcome: ending.outcome,
                code: ending.code.as_deref(),
                message: &ending.message,
            }),
            scene: None,
        }
    }
}

/// One user of a run, exactly: what the CSV has, the vendor's id, and what was there before.
#[derive(Debug, Serialize)]
struct RowView<'a> {
    line: u64,
    user: &'a str,
    action: &'static str,
    outcome: &'static str,
    code: Option<&'a str>,
    message: Option<&'a str>,
    attempts: u32,
    first_attempt_at: Option<String>,
    last_attempt_at: Option<String>,
    worker: Option<&'a str>,
    reason: Option<&'a str>,
    id: Option<&'a str>,
    email: Option<&'a str>,
    before: Option<BeforeView<'a>>,
}

#[derive(Debug, Serialize)]
struct BeforeView<'a> {
    status: usher_shared::Status,
    license: Option<&'a str>,
    role: Option<&'a str>,
    groups: &'a [String],
}

impl<'a> From<&'a OutcomeRow> for RowView<'a> {
    fn from(row: &'a OutcomeRow) -> Self {
        let user = row.resolved.as_ref();
        Self {
            line: row.line,
            user: row.user.as_str(),
            action: row.action.as_str(),
            outcome: row.outcome.as_str(),
            code: row.code.as_deref(),
            message: row.message.as_deref(),
            attempts: row.attempts,
            first_attempt_at: shown(row.first_attempt_at),
            last_attempt_at: shown(row.last_attempt_at),
            worker: row.worker.as_ref().map(usher_shared::WorkerId::as_str),
            reason: row.reason.as_deref(),
            id: user.map(|user| user.id.as_str()).filter(|id| !id.is_empty()),
            email: user.and_then(|user| user.email.as_deref()),
            before: user.map(|user| BeforeView {
                status: user.before.status,
                license: user.before.license.as_deref(),
                role: user.before.role.as_deref(),
                groups: &user.before.groups,
            }),
        }
    }
}

/// Writes the rows as one JSON array, a row a line.
pub async fn write(rows: &mut Rows, to: &mut (dyn Write + Send)) -> Result<u64, Failure> {
    let mut written = 0_u64;
    while let Some(page) = rows.page().await? {
        for row in &page {
            to.write_all(if written == 0 { b"[\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *to, &RowView::from(row)).map_err(std::io::Error::from)?;
            written += 1;
        }
    }
    to.write_all(if written == 0 { b"[]\n" } else { b"\n]\n" })?;
    to.flush()?;
    Ok(written)
}

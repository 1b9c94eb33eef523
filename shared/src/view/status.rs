//! A run, for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    activity::{Activity, Lane},
    scene::Scene,
    shown,
    waits::{Wait, Why},
};
use crate::{HeldReason, Hold, HoldReason, Outcome, Priority, RunState, RunStatus};

/// A run: as it was submitted, and how far it has come.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Run))]
pub struct StatusView<'a> {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(example = "20261121-k3f9zm"))]
    run: &'a str,
    /// Whose users.
    account: &'a str,
    /// `deactivate`, `activate`, `mixed` or `none`.
    action: &'static str,
    state: RunState,
    priority: Priority,
    /// Users, those left out as duplicates not counted.
    total: u64,
    /// Users with an outcome.
    finished: u64,
    /// How many ended as what; an outcome that nobody has is left out.
    outcomes: BTreeMap<&'static str, u64>,
    /// Not yet in the queue.
    pending: u64,
    /// In the queue.
    queued: u64,
    /// Held by a worker.
    in_flight: u64,
    /// Requests left out because the run already had that user.
    duplicates: u64,
    /// Attempts so far.
    attempts: u64,
    /// Vendor calls so far, look-ups not counted.
    calls: u64,
    /// Replies that were a rate limit's refusal.
    throttled: u64,
    /// Attempts that failed and were scheduled again.
    retries: u64,
    /// Attempts whose worker died.
    lost: u64,
    /// Why, in the submitter's words.
    reason: Option<&'a str>,
    /// Who asked.
    asked_by: &'a str,
    /// Where the users came from.
    source: Option<&'a str>,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    created_at: String,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    sealed_at: Option<String>,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    first_attempt_at: Option<String>,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    last_attempt_at: Option<String>,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    finished_at: Option<String>,
    /// The account's hold, where there is one.
    hold: Option<HoldView<'a>>,
    /// Whether it stops once it is planned.
    only_planned: bool,
    /// The run that it undoes.
    undoes: Option<&'a str>,
    /// It does not begin before.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    not_before: Option<String>,
    /// What is not done by then ends as expired.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    deadline: Option<String>,
    /// The token that proves who asked, as the submitter says; workers verify it.
    proved_by: Option<&'a str>,
    /// What its users were when they were looked up.
    plan: Option<PlanView<'a>>,
    /// Why it is not admitted yet.
    held: Option<HeldView<'a>>,
    applied_by: Option<&'a str>,
    approved_by: Option<&'a str>,
    /// How its rest is ended, or was.
    ending: Option<EndingView<'a>>,
    /// What the workers tell; null where that is not known, or the run is over; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Option<ActivityView<'a>>))]
    activity: Option<Option<ActivityView<'a>>>,
    /// Why the run waits, the weightiest first; empty where it does not; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Vec<WaitView<'a>>))]
    waiting: Option<Vec<WaitView<'a>>>,
}

/// What the workers of an account tell, taken together.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Activity))]
pub struct ActivityView<'a> {
    /// Workers at work on it.
    workers: usize,
    /// Jobs that they hold.
    in_flight: u64,
    /// The account's labels, that of changes first.
    labels: Vec<LabelView<'a>>,
}

/// The vendor calls of one rate label, over all workers.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Label))]
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
    /// Until when calls stand still after a refusal.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    paused_until: Option<String>,
    /// How far the day's quota is used up.
    day: Option<DayView>,
}

/// How far a day's quota is used up.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Day))]
struct DayView {
    /// Calls that the vendor allows in a day.
    calls: u64,
    used: u64,
    /// The last of them, for urgent work alone.
    kept_for_urgent: u64,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    frees_at: String,
}

/// Something that a run waits for.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Wait))]
struct WaitView<'a> {
    why: Why,
    /// When it goes on by itself, where that is known.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    until: Option<String>,
    /// For people.
    message: &'a str,
}

/// An account that stands still.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Hold))]
pub struct HoldView<'a> {
    reason: HoldReason,
    /// What a person needs to know, and to do.
    message: &'a str,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    since: String,
    /// Until when; null until somebody releases it.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    until: Option<String>,
}

/// What a run's users were when they were looked up.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PlanNote))]
struct PlanView<'a> {
    /// Binds what was seen to what is applied and approved.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
    hash: &'a str,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    at: String,
    /// Users whose state it would change.
    change: u64,
    /// Users of the account who could sign in then.
    active_users: Option<u64>,
}

/// Why a run is not admitted yet.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Held))]
struct HeldView<'a> {
    reason: HeldReason,
    /// For people.
    message: &'a str,
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    since: String,
}

/// How the rest of a run is ended.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Ending))]
struct EndingView<'a> {
    outcome: Outcome,
    /// usher's word for the reason, where it was not a person.
    code: Option<&'a str>,
    message: &'a str,
}

fn tenths(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

impl<'a> StatusView<'a> {
    /// A run, with what goes on around it.
    #[must_use]
    pub fn with(status: &'a RunStatus, scene: &'a Scene) -> Self {
        let activity = scene.activity.as_ref().map(ActivityView::from);
        let waiting = scene.waits.iter().map(WaitView::from).collect();
        Self { activity: Some(activity), waiting: Some(waiting), ..Self::from(status) }
    }
}

impl<'a> From<&'a Activity> for ActivityView<'a> {
    fn from(activity: &'a Activity) -> Self {
        Self {
            workers: activity.workers,
            in_flight: activity.in_flight,
            labels: activity.lanes.iter().map(LabelView::from).collect(),
        }
    }
}

impl<'a> From<&'a Wait> for WaitView<'a> {
    fn from(wait: &'a Wait) -> Self {
        Self { why: wait.why, until: shown(wait.until), message: &wait.what }
    }
}

impl<'a> From<&'a Hold> for HoldView<'a> {
    fn from(hold: &'a Hold) -> Self {
        Self {
            reason: hold.reason,
            message: &hold.message,
            since: hold.since.to_string(),
            until: shown(hold.until),
        }
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
            state: status.state(),
            priority: run.priority,
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
            hold: status.hold.as_ref().map(HoldView::from),
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
            activity: None,
            waiting: None,
        }
    }
}

//! What an operator must hear of, from how an account's runs stand: pure. The same state gives the same events under the same
//! ids, whoever looks and however often, so that each is told once.

use std::time::Duration;

use usher_shared::{
    Ending, HeldReason, Hold, HoldReason, LanePulse, Outcome, Priority, Pulse, RunPhase, RunState, RunStatus,
    Timestamp, config::WebhookEvent,
};

use crate::event::{About, Data, DeadlineNear, Event, RunFinished, RunHeld, RunParked, id};

/// A deadline is near when this part of the time that the run was given is left ...
const NEAR: u32 = 10;
/// ... but no sooner than a day before, and no later than five minutes.
const NEAR_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);
const NEAR_AT_LEAST: Duration = Duration::from_secs(5 * 60);
/// A run that is parked for less is going on before anybody has read of it.
const WORTH_TELLING: Duration = Duration::from_secs(5 * 60);
/// Workers find out anew within this what holds a run that somebody has approved.
const TO_DECIDE: Duration = Duration::from_secs(30);
/// Workers end a run within this of its deadline; one that is not ended by then has no worker.
const TO_EXPIRE: Duration = Duration::from_secs(2 * 60);

/// An account as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// By the store's clock.
    pub now: Timestamp,
    /// Its runs that are not over.
    pub unfinished: &'a [RunStatus],
    /// Its runs that ended lately.
    pub ended: &'a [RunStatus],
    /// What its workers tell.
    pub pulses: &'a [Pulse],
}

/// What an operator must hear of its runs, but for leavers, who have to be looked up: [`leavers`].
#[must_use]
pub fn events(sight: &Sight<'_>) -> Vec<Event> {
    let unfinished = sight.unfinished.iter().flat_map(|run| {
        [held(run, sight), parked(run, sight), deadline_near(run, sight.now)].into_iter().flatten()
    });
    sight.ended.iter().filter_map(finished).chain(unfinished).collect()
}

fn finished(run: &RunStatus) -> Option<Event> {
    let at = run.finished_at.filter(|_| run.phase.is_over())?;
    let finished = RunFinished {
        about: About::from(run),
        state: run.state(),
        total: run.counters.total,
        as_wished: run.counters.of(Outcome::Applied) + run.counters.of(Outcome::AlreadyApplied),
        outcomes: run.counters.outcomes.clone(),
        message: run.notes.ending.as_ref().map(|ending| ending.message.clone()),
        sealed_at: run.sealed_at,
        finished_at: run.finished_at,
    };
    // One that is tried again ends again, and at another time.
    Some(event(WebhookEvent::RunFinished, run, at, &[&at.as_millis()], Data::RunFinished(finished)))
}

/// A person has to do something before anything is changed. What the submitter asked for itself (a plan, a later beginning) is
/// no news, nor what ends by itself in a moment.
fn held(run: &RunStatus, sight: &Sight<'_>) -> Option<Event> {
    if run.phase != RunPhase::Resolved || run.cancelled || run.paused {
        return None;
    }
    let held = run.notes.held.as_ref()?;
    let why = match held.reason {
        HeldReason::Approval => "approval",
        HeldReason::OverRunCap => "over_run_cap",
        HeldReason::OverDayCap => "over_day_cap",
        HeldReason::Planned | HeldReason::NotBefore | HeldReason::Unknown => return None,
    };
    let approved_at = run.notes.approval.as_ref().map(|approval| approval.at);
    if approved_at.is_some_and(|at| at > held.since && is_being_decided(at, sight)) {
        return None;
    }
    // A message whose figures change makes a new note; whoever was told need not hear that again. But what holds a run after
    // somebody let it go on, or after it was worked and tried again, is news; and so is another day's cap.
    let applied_at = run.notes.go.as_ref().map(|go| go.at);
    let since_when = [run.sealed_at, applied_at, approved_at, run.effort.last_attempt_at];
    let epoch = since_when.into_iter().flatten().max().unwrap_or_default();
    let day = if held.reason == HeldReason::OverDayCap { utc_day(held.since) } else { 0 };
    let data = RunHeld {
        about: About::from(run),
        why,
        message: held.message.clone(),
        change: run.notes.plan.as_ref().map(|plan| plan.change),
        total: run.counters.total,
        since: held.since,
    };
    let parts: [&dyn std::fmt::Display; 3] = [&why, &epoch.as_millis(), &day];
    Some(event(WebhookEvent::RunHeld, run, held.since, &parts, Data::RunHeld(data)))
}

/// Without a worker it is found out once there is one.
fn is_being_decided(approved_at: Timestamp, sight: &Sight<'_>) -> bool {
    sight.pulses.is_empty() || sight.now.since(approved_at) < TO_DECIDE
}

fn parked(run: &RunStatus, sight: &Sight<'_>) -> Option<Event> {
    let left = left(run);
    if left == 0 || run.cancelled || run.paused || waits_for_a_person(run) {
        return None;
    }
    let (until, kept_for_urgent) = parked_until(run, sight)?;
    if until.since(sight.now) < WORTH_TELLING {
        return None;
    }
    let total = run.counters.total;
    let data = RunParked { about: About::from(run), until, kept_for_urgent, left, total };
    // Once a day, however often calls come free and are used up again.
    let day = utc_day(sight.now);
    Some(event(WebhookEvent::RunParked, run, sight.now, &[&day], Data::RunParked(data)))
}

/// Until when the run waits for calls of another day, and whether the last calls of this one are kept for urgent work.
fn parked_until(run: &RunStatus, sight: &Sight<'_>) -> Option<(Timestamp, bool)> {
    if let Some(Hold { reason: HoldReason::Quota, until, .. }) = &run.hold {
        return until.map(|until| (until, false));
    }
    if run.hold.is_some() || run.phase != RunPhase::Admitted || run.run.priority == Priority::Urgent {
        return None;
    }
    // Who told last knows best; the first label is that of changes.
    let newest = sight.pulses.iter().filter(|pulse| !pulse.lanes.is_empty()).max_by_key(|pulse| pulse.at)?;
    let day = newest.lanes.first().and_then(|lane: &LanePulse| lane.day)?;
    day.parked_until().map(|until| (until, day.drawn.used < day.calls))
}

fn waits_for_a_person(run: &RunStatus) -> bool {
    matches!(run.state(), RunState::Planned | RunState::Scheduled)
        || (run.phase == RunPhase::Resolved && run.notes.held.is_some())
}

fn deadline_near(run: &RunStatus, now: Timestamp) -> Option<Event> {
    let deadline = run.run.terms.deadline?;
    let (left, to_go) = (left(run), deadline.since(now));
    let given = deadline.since(run.sealed_at.unwrap_or(run.run.created_at));
    let near = (given / NEAR).clamp(NEAR_AT_LEAST, NEAR_AT_MOST);
    if left == 0 || run.cancelled || to_go.is_zero() || to_go > near {
        return None;
    }
    let data = DeadlineNear {
        about: About::from(run),
        deadline,
        state: run.state(),
        left,
        total: run.counters.total,
    };
    let parts: [&dyn std::fmt::Display; 1] = [&deadline.as_millis()];
    Some(event(WebhookEvent::DeadlineNear, run, now, &parts, Data::DeadlineNear(data)))
}

/// A run that left, or may have left, users active whom it was to deactivate: who they are has to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The event's id.
    pub id: String,
    /// When the run ended, or its deadline passed.
    pub at: Timestamp,
    /// How many, where the counters alone tell.
    pub number: Option<u64>,
}

/// Whether that run left users active whom it was to deactivate, as far as its counters tell: it is over, or its deadline has
/// passed and no worker ends it.
#[must_use]
pub fn leavers(run: &RunStatus, now: Timestamp) -> Option<Left> {
    use usher_shared::Action::Deactivate;
    if run.by_action.get(&Deactivate).is_none_or(|count| *count == 0) {
        return None;
    }
    let only = run.by_action.iter().all(|(action, count)| *action == Deactivate || *count == 0);
    let (at, number) = if run.phase.is_over() {
        let missed = run.counters.outcomes.iter().filter(|(outcome, _)| is_missed(run, **outcome));
        (run.finished_at?, missed.map(|(_, count)| count).sum())
    } else {
        let deadline = run.run.terms.deadline.filter(|deadline| now.since(*deadline) > TO_EXPIRE)?;
        (deadline, if run.cancelled { 0 } else { left(run) })
    };
    if number == 0 {
        return None;
    }
    let id = id(WebhookEvent::LeaversStillActive, &[&run.run.id, &at.as_millis()]);
    Some(Left { id, at, number: only.then_some(number) })
}

/// Whether a user with this outcome of a deactivation may still sign in without a person having meant that: who was not found
/// can't, about whom a newer run decides that one tells, and who cancels a run knows whom it leaves.
#[must_use]
pub fn is_missed(run: &RunStatus, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Rejected
        | Outcome::Protected
        | Outcome::Drifted
        | Outcome::NoSeat
        | Outcome::Exhausted
        | Outcome::Expired
        | Outcome::Poisoned => true,
        Outcome::Cancelled => {
            run.notes.ending.as_ref().is_some_and(|ending| ending.code.as_deref() == Some(Ending::OVER_CAP))
        }
        Outcome::Applied | Outcome::AlreadyApplied | Outcome::NotFound | Outcome::Superseded => false,
    }
}

/// Users that are not done yet.
pub(crate) fn left(run: &RunStatus) -> u64 {
    run.counters.total.saturating_sub(run.counters.finished)
}

fn utc_day(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(24 * 60 * 60 * 1000)
}

fn event(
    kind: WebhookEvent,
    run: &RunStatus,
    at: Timestamp,
    parts: &[&dyn std::fmt::Display],
    data: Data,
) -> Event {
    let mut all: Vec<&dyn std::fmt::Display> = vec![&run.run.id];
    all.extend(parts);
    Event { id: id(kind, &all), kind, account: run.run.account.clone(), at, data }
}

#[cfg(test)]
mod tests;

//! Why a run waits, and until when.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{
    Reader,
    activity::Activity,
    moments::when,
    numbers::{count, duration, of},
    text::printable,
};
use crate::{
    DayUse, HeldReason, Hold, HoldReason, Priority, RunPhase, RunState, RunStatus, Timestamp,
    config::StoreAddress,
};

/// Pauses that end sooner than this are over before anybody has read of them.
const WORTH_A_WORD_MS: i64 = 500;
/// Ends that lie no further apart are one and the same.
const SAME_END_MS: u64 = 5_000;
/// A worker that has just begun, or a run that has just been submitted, is given this long to show up.
const TO_SHOW_UP_MS: u64 = 3_000;
/// Workers decide about a run that somebody has let go on within this.
const TO_DECIDE: Duration = Duration::from_secs(10);

/// What a run waits for, in a word for programs: an interface, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Why))]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A person paused it.
    Paused,
    /// The vendor refused for its rate limit.
    RateLimit,
    /// The day's calls are used up.
    DayQuota,
    /// What is left of the day's calls is for urgent work.
    KeptForUrgent,
    /// The vendor failed again and again.
    VendorFails,
    /// The vendor refuses the account's credentials.
    Credentials,
    /// The account's token lacks a scope.
    Scope,
    /// Workers disagree about what guards the account.
    Disagreement,
    /// Nobody works the account.
    NoWorker,
    /// It stood still: its users are looked up again.
    ResolvingAgain,
    /// It is a plan that nobody said to apply.
    Planned,
    /// Its time has not come.
    NotBefore,
    /// Another person has to approve it.
    Approval,
    /// It is over the account's cap of a run.
    OverRunCap,
    /// It is over the account's cap of a day.
    OverDayCap,
    /// What its caps depend on is not known yet.
    Unknown,
}

impl Why {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::RateLimit => "rate_limit",
            Self::DayQuota => "day_quota",
            Self::KeptForUrgent => "kept_for_urgent",
            Self::VendorFails => "vendor_fails",
            Self::Credentials => "credentials",
            Self::Scope => "scope",
            Self::Disagreement => "disagreement",
            Self::NoWorker => "no_worker",
            Self::ResolvingAgain => "resolving_again",
            Self::Planned => "planned",
            Self::NotBefore => "not_before",
            Self::Approval => "approval",
            Self::OverRunCap => "over_run_cap",
            Self::OverDayCap => "over_day_cap",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The word for programs.
    pub why: Why,
    /// When it goes on by itself, where that is known.
    pub until: Option<Timestamp>,
    /// For people; without the time.
    pub what: String,
}

impl Wait {
    /// What it waits for and until when, for people.
    #[must_use]
    pub fn words(&self, now: Timestamp, zone: &TimeZone) -> String {
        match self.until {
            Some(until) => format!("{}; goes on by itself {}", self.what, when(until, now, zone)),
            None => self.what.clone(),
        }
    }
}

/// Why a run waits: nothing where it does not, the weightiest first. What there is to do is told in the reader's terms.
#[must_use]
pub fn waits(status: &RunStatus, activity: Option<&Activity>, reader: &Reader, now: Timestamp) -> Vec<Wait> {
    if status.phase.is_over() || status.cancelled {
        return Vec::new();
    }
    let mut waits = Vec::new();
    if status.paused {
        let what = match reader {
            Reader::CommandLine(_) => format!("paused by a person; `usher resume {}` goes on", status.run.id),
            Reader::Caller => {
                format!("paused by a person; POST /v1/runs/{}/resume goes on", status.run.id)
            }
        };
        waits.push(Wait { why: Why::Paused, until: None, what });
    }
    let worked = activity.is_none_or(|activity| activity.workers > 0);
    if let Some(person) = person(status, reader, now, worked) {
        waits.push(person);
        // Nobody works it before somebody has said so: no matter whether anybody is there.
        if status.state() != RunState::Scheduled {
            return waits;
        }
    }
    let day = activity.and_then(Activity::changes).and_then(|lane| lane.day);
    let parked = day.and_then(|day| parked(&day, status.run.priority, now));
    match &status.hold {
        Some(hold) => waits.push(held(hold)),
        None => waits.extend(parked),
    }
    if let Some(activity) = activity {
        let mut refused = refused(status, activity, now);
        refused.retain(|pause| !waits.iter().any(|wait| is_same_end(wait, pause)));
        waits.extend(refused);
        waits.extend(nobody(status, activity, reader, now));
        if waits.is_empty() {
            waits.extend(stood_still(status, now));
        }
    }
    waits
}

/// A plan that nobody said to apply, a time that has not come, caps, an approval.
fn person(status: &RunStatus, reader: &Reader, now: Timestamp, worked: bool) -> Option<Wait> {
    let run = &status.run.id;
    let begins = status.run.terms.not_before.filter(|begins| *begins > now);
    let wait = |why, until, what: String| Some(Wait { why, until, what });
    if status.phase == RunPhase::Sealed
        && let Some(begins) = begins
    {
        return wait(Why::NotBefore, Some(begins), "its time has not come".to_owned());
    }
    if status.phase != RunPhase::Resolved {
        return None;
    }
    if status.state() == RunState::Planned {
        let what = match reader {
            Reader::CommandLine(_) => {
                format!("planned; `usher apply {run}` carries it out, `usher cancel {run}` forgets it")
            }
            Reader::Caller => format!(
                "planned; POST /v1/runs/{run}/apply carries it out, POST /v1/runs/{run}/cancel forgets it"
            ),
        };
        return wait(Why::Planned, None, what);
    }
    let held = status.notes.held.as_ref().filter(|held| !is_answered(status, held.since, now, worked))?;
    let message = printable(held.message.trim_end_matches('.'));
    match held.reason {
        // Answered, or asked above.
        HeldReason::Planned => None,
        HeldReason::NotBefore => wait(Why::NotBefore, begins, "its time has not come".to_owned()),
        HeldReason::Approval => wait(Why::Approval, None, message),
        HeldReason::OverRunCap => wait(Why::OverRunCap, None, message),
        HeldReason::OverDayCap => wait(Why::OverDayCap, None, message),
        HeldReason::Unknown => wait(Why::Unknown, None, message),
    }
}

/// Whether somebody said a moment ago that it may go on: what holds it then is found out anew. Where nobody works it
/// (`worked`), it is found out once somebody does.
#[must_use]
pub fn is_answered(status: &RunStatus, since: Timestamp, now: Timestamp, worked: bool) -> bool {
    let go = status.notes.go.as_ref().map(|go| go.at);
    let approval = status.notes.approval.as_ref().map(|approval| approval.at);
    let said = go.max(approval).filter(|said| *said > since);
    said.is_some_and(|said| !worked || now.since(said) < TO_DECIDE)
}

/// What is known of its users is too old to go by.
fn stood_still(status: &RunStatus, now: Timestamp) -> Option<Wait> {
    let still = status.stood_still(now)?;
    let confirmed = status.notes.go.is_some() || status.notes.approval.is_some();
    // A confirmation makes old what was known: that is no matter of time.
    let what = if confirmed && status.phase == RunPhase::Resolved {
        "everybody is looked up once more before the first call".to_owned()
    } else {
        let still = duration(still);
        format!("it stood still for {still}, so its users are looked up again before it goes on")
    };
    Some(Wait { why: Why::ResolvingAgain, until: None, what })
}

/// The account's hold.
#[must_use]
pub fn held(hold: &Hold) -> Wait {
    let why = match hold.reason {
        HoldReason::Quota => Why::DayQuota,
        HoldReason::Breaker => Why::VendorFails,
        HoldReason::Credentials => Why::Credentials,
        HoldReason::Scope => Why::Scope,
        HoldReason::Disagreement => Why::Disagreement,
    };
    let what = match hold.reason {
        // The vendor's own words fill three lines, and say no more than this; `hold.message` has them.
        HoldReason::Quota => "the day's calls are used up".to_owned(),
        HoldReason::Breaker | HoldReason::Credentials | HoldReason::Scope | HoldReason::Disagreement => {
            printable(without_its_end(hold))
        }
    };
    Wait { why, until: hold.until, what }
}

/// The message of a hold that ends by itself closes with that time, in UTC to the millisecond; it is told better here.
fn without_its_end(hold: &Hold) -> &str {
    let message = hold.message.trim_end_matches('.');
    let ends = hold.until.and_then(|until| message.strip_suffix(until.to_string().as_str()));
    ends.and_then(|rest| rest.rsplit_once("; ")).map_or(message, |(what, _)| what)
}

/// The day's quota as it is counted here.
fn parked(day: &DayUse, priority: Priority, now: Timestamp) -> Option<Wait> {
    let until = day.drawn.frees_at;
    if until <= now {
        return None;
    }
    let calls = of(day.calls, "call");
    if day.drawn.used >= day.calls {
        return Some(Wait {
            why: Why::DayQuota,
            until: Some(until),
            what: format!("the day's {calls} are used up"),
        });
    }
    if priority == Priority::Urgent || day.parked_until().is_none() {
        return None;
    }
    let what = format!("of the day's {calls}, the last {} are kept for urgent work", count(day.urgent_only),);
    Some(Wait { why: Why::KeptForUrgent, until: Some(until), what })
}

/// Pauses after refusals: of changes, and of listings and look-ups while those are what is done.
fn refused(status: &RunStatus, activity: &Activity, now: Timestamp) -> Vec<Wait> {
    let resolving = status.phase == RunPhase::Sealed;
    let lanes = activity.lanes.iter().enumerate().filter(|(place, _)| *place == 0 || resolving);
    let waits = lanes.filter_map(|(place, lane)| {
        let until = lane.paused_until.filter(|at| at.as_millis() - now.as_millis() >= WORTH_A_WORD_MS)?;
        let which = if place == 0 { String::new() } else { format!("{} calls are ", lane.label) };
        let what = format!("{which}refused for the vendor's rate limit");
        Some(Wait { why: Why::RateLimit, until: Some(until), what })
    });
    waits.collect()
}

/// Nobody is there to work.
fn nobody(status: &RunStatus, activity: &Activity, reader: &Reader, now: Timestamp) -> Option<Wait> {
    if activity.workers > 0 || status.paused || status.counters.leased > 0 {
        return None;
    }
    let lately = |at: Timestamp| now.since(at).as_millis() < TO_SHOW_UP_MS.into();
    // Somebody called a moment ago, and tells of it in a moment.
    if status.effort.last_attempt_at.is_some_and(lately) {
        return None;
    }
    let fresh = status.sealed_at.is_some_and(lately);
    let account = &status.run.account;
    let what = match (fresh, reader) {
        (true, _) => "no worker has begun yet".to_owned(),
        (false, Reader::CommandLine(StoreAddress::Redis(_))) => format!(
            "no worker is running for {account}; start one (any number, on any machine) with `usher worker --account {account}`"
        ),
        (false, Reader::Caller) => {
            format!("no worker is running for {account}: whoever runs usher starts one")
        }
        (false, Reader::CommandLine(StoreAddress::Sqlite(_))) => format!(
            "no worker is running for {account}; `usher resume {}` works this run here, `usher worker` all there is",
            status.run.id
        ),
    };
    Some(Wait { why: Why::NoWorker, until: None, what })
}

fn is_same_end(one: &Wait, other: &Wait) -> bool {
    let (Some(one), Some(other)) = (one.until, other.until) else { return false };
    one.as_millis().abs_diff(other.as_millis()) <= SAME_END_MS
}

#[cfg(test)]
mod tests;

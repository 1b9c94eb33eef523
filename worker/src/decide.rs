//! What we do about a vendor's reply: pure, and tested row by row.

use std::time::Duration;

use usher_shared::{
    Action, Hold, HoldReason, Outcome, PARTLY_RESTORED, ResolvedUser, SnoozeReason, Status, Then, Timestamp,
    Verdict,
};

use crate::{
    limiter::Parked,
    provider::{Part, Reply, Throttle},
};

/// The wait after a refusal for the calls of one second, where the vendor names none. A whole second's wait would cost
/// a tenth of the limit; while refusals follow, the limiter doubles it.
pub const UNSAID_WAIT: Duration = Duration::from_millis(50);
/// The wait of a job whose user has another call under way.
pub const CONCURRENT_WAIT: Duration = Duration::from_secs(1);
/// No vendor's wait is longer than this: a day's quota comes back within a day, and a Retry-After beyond it is rubbish.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// So long after 00:00 UTC, a refusal for the day may still be about the day before.
const NEW_DAY: Duration = Duration::from_secs(2 * 60);
const DAY_LENGTH: Duration = Duration::from_secs(24 * 60 * 60);
/// A job that was held at so many deaths of a worker (two in company, three alone) is only looked at, never called for again.
///
/// One death alone convicts nobody: of 200 workers killed at random over 5,000 jobs, a few are killed just while they hold
/// nothing but a job that was in company at two deaths before (3 jobs were poisoned so). Each further death alone divides those
/// innocents by about twenty; a job that does kill its worker costs two workers more.
pub const POISON_DEATHS: u32 = 5;

/// What is known of a job when its reply comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobFacts {
    /// What is wanted.
    pub action: Action,
    /// The user's status when the user was resolved.
    pub before: Status,
    /// Which attempt this was, from 1; lost ones count.
    pub attempt: u32,
    /// Whether an earlier attempt may have reached the vendor.
    pub may_have_applied: bool,
    /// Set while the account's breaker is open and this was no probe of it: a failure then spends no attempt, and the
    /// job waits until this time.
    pub outage_until: Option<Timestamp>,
}

/// When to give a job up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts before a job ends as exhausted.
    pub max_attempts: u32,
}

/// How long the account's calls under the reply's label stand still, in every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatePause {
    /// As long as the vendor says.
    Said(Duration),
    /// The day's quota is used up, which says nothing about the rate: until everybody has heard of the account's hold.
    Day(Duration),
    /// The vendor names no time: the limiter's own, growing while refusals follow.
    Unsaid,
}

/// How long the calls stand still after a refusal for the day: what the account's hold needs to reach every worker. The hold
/// itself keeps them back from then on.
pub const DAY_PAUSE: Duration = Duration::from_secs(5);

impl RatePause {
    /// Whether the refusal says something about the rate, and the wait that the vendor named for it.
    #[must_use]
    pub fn teaches(self) -> Option<Option<Duration>> {
        match self {
            Self::Said(wait) => Some(Some(wait)),
            Self::Unsaid => Some(None),
            Self::Day(_) => None,
        }
    }
}

/// What we do about a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the job.
    pub then: Then,
    /// The account is to be held.
    pub hold: Option<Hold>,
    /// The label's calls are to stand still.
    pub pause: Option<RatePause>,
}

impl Decision {
    fn only(then: Then) -> Self {
        Self { then, hold: None, pause: None }
    }
}

/// What we do about a reply. `now` and `reply.retry_at` are by the store's clock; `interval` is the wait before the next
/// attempt, should there be one.
#[must_use]
pub fn decide(
    facts: &JobFacts,
    reply: &Reply,
    policy: RetryPolicy,
    now: Timestamp,
    interval: Duration,
) -> Decision {
    if let Some(reason) = halt_of(reply) {
        return halted(reason, reply, now);
    }
    match reply.verdict {
        // A vendor that says "done" to a user who was already there has changed nothing, unless a lost attempt of ours
        // is what brought the user there.
        Verdict::Applied if facts.before == facts.action.desired() && !facts.may_have_applied => {
            Decision::only(finish(Outcome::AlreadyApplied, reply))
        }
        Verdict::Applied => Decision::only(finish(Outcome::Applied, reply)),
        // A lost reply followed by "already there" is our own doing. Without one somebody else did it, whatever the
        // status was when the user was resolved.
        Verdict::AlreadyApplied if facts.may_have_applied => Decision::only(finish(Outcome::Applied, reply)),
        Verdict::AlreadyApplied => Decision::only(finish(Outcome::AlreadyApplied, reply)),
        Verdict::NotFound => Decision::only(finish(Outcome::NotFound, reply)),
        // Seats come free when somebody frees one, not by themselves: a person has to see it.
        Verdict::NoSeat => Decision::only(finish(Outcome::NoSeat, reply)),
        // Kept as rejected even where the user was in the desired state before: an unknown refusal is no proof that the
        // user still is, and "rejected" makes a person look.
        Verdict::Rejected | Verdict::Unknown => Decision::only(finish(Outcome::Rejected, reply)),
        Verdict::Throttled => throttled(reply, now),
        // At once: the provider gets a new token for the next call. How often in a row is the health's business.
        Verdict::Unauthorized => Decision::only(Then::Snooze { until: now, reason: SnoozeReason::Returned }),
        // Always halts: `halt_of` answered above.
        Verdict::Forbidden => halted(HoldReason::Scope, reply, now),
        Verdict::Transient | Verdict::Lost => Decision::only(failed(facts, reply, policy, now, interval)),
    }
}

/// What becomes of a job that was held at [`POISON_DEATHS`] deaths, after a look at its user, who lacks these of the things that
/// the job gives back.
#[must_use]
pub fn decide_poison(facts: &JobFacts, deaths: u32, seen: Option<&ResolvedUser>, lacking: &[Part]) -> Then {
    let (outcome, code, message) = match seen {
        None => (
            Outcome::NotFound,
            None,
            "the user was gone when it was looked at after the last death".to_owned(),
        ),
        Some(user) if user.before.status == facts.action.desired() && !lacking.is_empty() => {
            let lacks: Vec<String> = lacking.iter().map(ToString::to_string).collect();
            let code = if facts.before == facts.action.desired() { "poisoned" } else { PARTLY_RESTORED };
            let message = format!(
                "{deaths} workers died while they held this job; the user is active, but lacks {}",
                lacks.join(", ")
            );
            (Outcome::Poisoned, Some(code.to_owned()), message.chars().take(500).collect())
        }
        Some(user) if user.before.status == facts.action.desired() => {
            let outcome = if facts.before == facts.action.desired() && !facts.may_have_applied {
                Outcome::AlreadyApplied
            } else {
                Outcome::Applied
            };
            (outcome, None, format!("seen by a look at the user, after {deaths} workers died on it"))
        }
        Some(user) => (
            Outcome::Poisoned,
            Some("poisoned".to_owned()),
            format!(
                "{deaths} workers died while they held this job, all but the first two holding nothing else; the user is {}",
                user.before.status
            ),
        ),
    };
    Then::Finish { outcome, code, message: Some(message) }
}

/// The next 00:00 UTC: when a day's quota comes back.
#[must_use]
pub fn next_midnight(now: Timestamp) -> Timestamp {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    Timestamp::from_millis((now.as_millis().div_euclid(DAY) + 1).saturating_mul(DAY))
}

/// When a quota that was refused at `now` comes back: the next 00:00 UTC. Shortly after one, the vendor's clock may still
/// be in the day before, or the call may have begun there: then a minute later, not a day.
fn day_ends(now: Timestamp) -> Timestamp {
    let midnight = next_midnight(now);
    let into_the_day = DAY_LENGTH.saturating_sub(midnight.since(now));
    if into_the_day < NEW_DAY { now.after(Duration::from_secs(60)) } else { midnight }
}

/// The hold of an account whose day's quota is used up by our own count, for urgent work, too.
#[must_use]
pub fn quota_hold(parked: &Parked, now: Timestamp) -> Hold {
    let message = format!(
        "the day's {} {} calls are used up by usher's own count; goes on by itself at {}",
        parked.calls, parked.label, parked.until
    );
    Hold { reason: HoldReason::Quota, message, since: now, until: Some(parked.until) }
}

fn halt_of(reply: &Reply) -> Option<HoldReason> {
    match (reply.halt, reply.verdict) {
        (Some(reason), _) => Some(reason),
        (None, Verdict::Forbidden) => Some(HoldReason::Scope),
        (None, _) => None,
    }
}

fn halted(reason: HoldReason, reply: &Reply, now: Timestamp) -> Decision {
    let words = said(reply);
    let message = match reason {
        HoldReason::Credentials => format!(
            "the vendor refuses the account's credentials: {words}. Correct them (`usher accounts check` tries them), \
             then `usher resume`"
        ),
        HoldReason::Scope => format!(
            "the account's token may not do this: {words}. Grant the app the scope, then `usher resume`"
        ),
        HoldReason::Breaker => format!("the vendor fails: {words}"),
        HoldReason::Quota => format!("the day's quota is used up: {words}"),
        HoldReason::Disagreement => format!("the workers' configurations differ: {words}"),
    };
    let until = match reason {
        HoldReason::Quota => Some(wait_until(reply, now).unwrap_or_else(|| day_ends(now))),
        HoldReason::Credentials | HoldReason::Scope | HoldReason::Breaker | HoldReason::Disagreement => {
            reply.retry_at
        }
    };
    Decision {
        // Comes due at once: the hold itself keeps it from being leased, and its release lets it go on.
        then: Then::Snooze { until: until.unwrap_or(now), reason: SnoozeReason::Held },
        hold: Some(Hold { reason, message, since: now, until }),
        pause: None,
    }
}

fn throttled(reply: &Reply, now: Timestamp) -> Decision {
    let until = wait_until(reply, now);
    let snooze = |until| Then::Snooze { until, reason: SnoozeReason::Throttled };
    match reply.throttle.unwrap_or(Throttle::PerSecond) {
        Throttle::PerSecond => Decision {
            then: snooze(until.unwrap_or_else(|| now.after(UNSAID_WAIT))),
            hold: None,
            pause: Some(until.map_or(RatePause::Unsaid, |until| RatePause::Said(until.since(now)))),
        },
        Throttle::PerDay => {
            let until = until.unwrap_or_else(|| day_ends(now));
            let message =
                format!("the day's quota of calls is used up: {}; goes on by itself at {until}", said(reply));
            Decision {
                then: snooze(until),
                hold: Some(Hold { reason: HoldReason::Quota, message, since: now, until: Some(until) }),
                pause: Some(RatePause::Day(until.since(now).min(DAY_PAUSE))),
            }
        }
        Throttle::PerUserDay => Decision::only(snooze(until.unwrap_or_else(|| day_ends(now)))),
        Throttle::Concurrent => Decision::only(snooze(until.unwrap_or_else(|| now.after(CONCURRENT_WAIT)))),
    }
}

fn failed(facts: &JobFacts, reply: &Reply, policy: RetryPolicy, now: Timestamp, interval: Duration) -> Then {
    if let Some(until) = facts.outage_until {
        return Then::Snooze { until: until.max(now), reason: SnoozeReason::Held };
    }
    if facts.attempt >= policy.max_attempts {
        return Then::Finish {
            outcome: Outcome::Exhausted,
            code: reply.code.clone().or_else(|| reply.http.map(|status| status.to_string())),
            message: Some(format!("gave up after {} attempts; the last one: {}", facts.attempt, said(reply))),
        };
    }
    Then::Retry { at: now.after(interval) }
}

fn finish(outcome: Outcome, reply: &Reply) -> Then {
    Then::Finish { outcome, code: reply.code.clone(), message: reply.message.clone() }
}

/// When the vendor says to come back, where that lies ahead and within reason.
fn wait_until(reply: &Reply, now: Timestamp) -> Option<Timestamp> {
    reply.retry_at.filter(|at| *at > now).map(|at| at.min(now.after(LONGEST_WAIT)))
}

/// The vendor's words, as far as there are any.
fn said(reply: &Reply) -> String {
    let status = reply.http.map(|status| format!("HTTP {status}"));
    let parts: Vec<String> =
        [status, reply.code.clone(), reply.message.clone()].into_iter().flatten().collect();
    if parts.is_empty() { "no reason given".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests;

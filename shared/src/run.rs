//! One submission of many requests, and how far it has come.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    AccountName, Action, Ending, HeldReason, Hold, Outcome, Priority, RunId, RunNotes, Timestamp,
    identity::Proof, store::STANDS_STILL,
};

/// A submission as a producer opens it. Invisible to workers until it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRun {
    /// The id, chosen by the producer.
    pub id: RunId,
    /// Whose users.
    pub account: AccountName,
    /// How soon.
    #[serde(default)]
    pub priority: Priority,
    /// Why, in the submitter's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who asked: `cli:alice@host`, later the name of an API token.
    pub asked_by: String,
    /// Where the requests came from: a file name, or `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// On what terms it is worked.
    #[serde(flatten)]
    pub terms: Terms,
}

/// On what terms a run is worked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// It stops once its users are resolved, and waits for somebody who says that this is to be done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plan: bool,
    /// The run that it undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<RunId>,
    /// It does not begin before: neither are its users resolved, but for a plan's, which are looked at now and again then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// What is not done by then ends as expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Proves who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// A run's life. `open -> sealed -> resolved -> admitted -> finished | cancelled`; a cancel can come at any step
/// after the seal, and what was never sealed expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// Requests are still being added. Seen by nobody but its producer.
    Open,
    /// Complete; its users are being resolved. Nothing is changed yet.
    Sealed,
    /// Every request has been resolved; held until it is admitted.
    Resolved,
    /// Worked. A run that was sealed later wins over it on the same user.
    Admitted,
    /// Every job has its outcome.
    Finished,
    /// Every job has its outcome, some of them `cancelled`.
    Cancelled,
}

impl RunPhase {
    /// The word stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Resolved => "resolved",
            Self::Admitted => "admitted",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

impl fmt::Display for RunPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a person wants to know of a run in one word: derived from its phase, its flags and its account's hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its time has not come.
    Scheduled,
    /// Sealed, and its users are being (or wait to be) resolved.
    Resolving,
    /// A plan that nobody said to apply yet.
    Planned,
    /// Resolved, waiting to be admitted; its note says what for.
    Held,
    /// Being worked.
    Running,
    /// Stopped by a person; `usher resume` goes on.
    Paused,
    /// The account is on hold; [`RunStatus::hold`] says why and until when.
    Halted,
    /// A cancel is being carried out; calls in flight finish.
    Cancelling,
    /// Every job has its outcome.
    Finished,
    /// Cancelled, and every job has its outcome.
    Cancelled,
    /// Its deadline came, and every job has its outcome.
    Expired,
    /// The account's caps refused it: nothing was called.
    Refused,
}

impl RunState {
    /// The word used in reports: an interface, never changed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Resolving => "resolving",
            Self::Planned => "planned",
            Self::Held => "held",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Cancelling => "cancelling",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a run's jobs are. `pending + queued + leased + finished == total` at any instant, after any crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Jobs of the run, duplicates not counted.
    pub total: u64,
    /// Not yet in the queue: the run is not admitted, or the queue is still being filled.
    pub pending: u64,
    /// In the queue, due or waiting for their time.
    pub queued: u64,
    /// Held by a worker.
    pub leased: u64,
    /// With an outcome: the sum of `outcomes`.
    pub finished: u64,
    /// Finished jobs by outcome; an outcome that none has is left out.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Requests left out because the run already had that user, found at the resolve by their id.
    pub duplicates: u64,
}

impl Counters {
    /// Whether every job is accounted for exactly once.
    #[must_use]
    pub fn add_up(&self) -> bool {
        self.pending + self.queued + self.leased + self.finished == self.total
            && self.outcomes.values().sum::<u64>() == self.finished
    }

    /// How many ended with this outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }
}

/// What a run has cost so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Attempts recorded, lost ones included.
    pub attempts: u64,
    /// Vendor calls made for its jobs (look-ups and listings not counted).
    pub calls: u64,
    /// Replies that were a rate limit's refusal (429).
    pub throttled: u64,
    /// Attempts that failed and were scheduled again.
    pub retries: u64,
    /// Attempts whose worker died or lost its lease.
    pub lost: u64,
    /// When the first attempt began.
    pub first_attempt_at: Option<Timestamp>,
    /// When the last attempt ended.
    pub last_attempt_at: Option<Timestamp>,
}

/// A run, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStatus {
    /// As it was submitted.
    pub run: NewRun,
    /// Where it is in its life.
    pub phase: RunPhase,
    /// Stopped by a person.
    pub paused: bool,
    /// To be cancelled, or being cancelled, or cancelled.
    pub cancelled: bool,
    /// The place among the account's runs, in the order in which they were sealed; newer wins. `None` before the run is
    /// admitted: it wins over nothing until then.
    pub admission: Option<u64>,
    /// How many requests of each action.
    pub by_action: BTreeMap<Action, u64>,
    /// Where its jobs are.
    pub counters: Counters,
    /// What it has cost.
    pub effort: Effort,
    /// When it was sealed.
    pub sealed_at: Option<Timestamp>,
    /// When the last job got its outcome.
    pub finished_at: Option<Timestamp>,
    /// Until when what is known of its users was surely good: the end of their last resolve or the last lease of a job of
    /// it, whichever is later. `None` before they are resolved, and where that was done by a usher that did not note it.
    pub fresh_at: Option<Timestamp>,
    /// The account's hold, where there is one now.
    pub hold: Option<Hold>,
    /// What is noted on it.
    pub notes: RunNotes,
}

impl RunStatus {
    /// The one word for people.
    #[must_use]
    pub fn state(&self) -> RunState {
        match self.phase {
            RunPhase::Finished => RunState::Finished,
            RunPhase::Cancelled => self.ended_as(),
            _ if self.cancelled => RunState::Cancelling,
            _ if self.paused => RunState::Paused,
            _ if self.hold.is_some() => RunState::Halted,
            RunPhase::Sealed | RunPhase::Resolved if self.held_for(HeldReason::NotBefore) => {
                RunState::Scheduled
            }
            RunPhase::Open | RunPhase::Sealed => RunState::Resolving,
            RunPhase::Resolved if self.run.terms.plan && self.notes.go.is_none() => RunState::Planned,
            RunPhase::Resolved => RunState::Held,
            RunPhase::Admitted => RunState::Running,
        }
    }

    fn held_for(&self, reason: HeldReason) -> bool {
        self.notes.held.as_ref().is_some_and(|held| held.reason == reason)
    }

    fn ended_as(&self) -> RunState {
        match &self.notes.ending {
            Some(Ending { outcome: Outcome::Expired, .. }) => RunState::Expired,
            Some(Ending { code: Some(code), .. }) if code == Ending::OVER_CAP => RunState::Refused,
            _ => RunState::Cancelled,
        }
    }

    /// How long the run has stood still at that moment of the store's clock, where that is more than [`STANDS_STILL`]:
    /// nothing of it is leased then before its users have been resolved again. Who waits to be resolved for the first
    /// time, or is over, does not stand still.
    #[must_use]
    pub fn stood_still(&self, now: Timestamp) -> Option<Duration> {
        if !matches!(self.phase, RunPhase::Resolved | RunPhase::Admitted) {
            return None;
        }
        match self.fresh_at {
            Some(fresh) => Some(now.since(fresh)).filter(|still| *still > STANDS_STILL),
            // Nobody knows since when: not relied on.
            None => Some(now.since(self.effort.last_attempt_at.or(self.sealed_at).unwrap_or(now))),
        }
    }

    /// The action's word, or `mixed` where the rows decide differently.
    #[must_use]
    pub fn action_word(&self) -> &'static str {
        let mut actions =
            self.by_action.iter().filter(|(_, count)| **count > 0).map(|(action, _)| action.as_str());
        match (actions.next(), actions.next()) {
            (Some(only), None) => only,
            (None, _) => "none",
            _ => "mixed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(phase: RunPhase, paused: bool, cancelled: bool) -> RunStatus {
        RunStatus {
            notes: Default::default(),
            run: NewRun {
                terms: Default::default(),
                id: "20261120-k3f9zm".parse().unwrap(),
                account: "zoom-main".parse().unwrap(),
                priority: Priority::Normal,
                reason: None,
                asked_by: "test".into(),
                source: None,
                created_at: Timestamp::default(),
            },
            phase,
            paused,
            cancelled,
            admission: None,
            by_action: BTreeMap::from([(Action::Deactivate, 2)]),
            counters: Counters::default(),
            effort: Effort::default(),
            sealed_at: None,
            finished_at: None,
            fresh_at: None,
            hold: None,
        }
    }

    #[test]
    fn the_state_is_what_a_person_would_say() {
        let cases = [
            (status(RunPhase::Sealed, false, false), RunState::Resolving),
            (status(RunPhase::Admitted, false, false), RunState::Running),
            (status(RunPhase::Admitted, true, false), RunState::Paused),
            (status(RunPhase::Admitted, true, true), RunState::Cancelling),
            (status(RunPhase::Finished, true, true), RunState::Finished),
        ];
        for (status, expected) in cases {
            assert_eq!(status.state(), expected);
        }
    }

    #[test]
    fn a_run_stands_still_once_nothing_of_it_was_fresh_for_more_than_an_hour() {
        let at = Timestamp::from_millis;
        let fresh = |phase| RunStatus { fresh_at: Some(at(1_000)), ..status(phase, false, false) };
        let still = STANDS_STILL + Duration::from_millis(1);
        for phase in [RunPhase::Resolved, RunPhase::Admitted] {
            assert_eq!(fresh(phase).stood_still(at(1_000).after(STANDS_STILL)), None);
            assert_eq!(fresh(phase).stood_still(at(1_000).after(still)), Some(still));
            assert_eq!(fresh(phase).stood_still(at(0)), None);
            assert!(status(phase, false, false).stood_still(at(0)).is_some(), "not noted is not relied on");
        }
        for phase in [RunPhase::Open, RunPhase::Sealed, RunPhase::Finished, RunPhase::Cancelled] {
            assert_eq!(fresh(phase).stood_still(at(i64::MAX)), None);
        }
    }

    #[test]
    fn one_action_is_named_and_several_are_mixed() {
        let mut run = status(RunPhase::Sealed, false, false);
        assert_eq!(run.action_word(), "deactivate");
        run.by_action.insert(Action::Activate, 1);
        assert_eq!(run.action_word(), "mixed");
    }
}

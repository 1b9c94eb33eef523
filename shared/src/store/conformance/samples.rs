//! The values that checks work with.

use std::time::Duration;

use crate::{
    AccountName, Action, Attempt, JobReport, Outcome, OutcomeRow, Priority, Request, ResolvedUser,
    SnoozeReason, Status, Terms, Then, Timestamp, UserRef, UserState, Verdict, WorkerId,
    plan::PlanHash,
    store::{Idempotency, LeaseAsk, Remaining, Resolution},
};

/// How long leases last where a check does not say otherwise.
pub(super) const TTL: Duration = Duration::from_secs(15);

/// The account that checks work on.
pub(super) fn account() -> AccountName {
    "zoom-main".parse().unwrap()
}

/// Another tenant.
pub(super) fn other_account() -> AccountName {
    "zoom-branch".parse().unwrap()
}

pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::new(name)
}

pub(super) fn user_ref(text: &str) -> UserRef {
    text.parse().unwrap()
}

/// One lease of one job for [`TTL`], from any run of [`account`].
pub(super) fn ask(worker_name: &str) -> LeaseAsk {
    LeaseAsk {
        account: account(),
        worker: worker(worker_name),
        leases: 1,
        batch: 1,
        ttl: TTL,
        only_run: None,
        urgent_only: false,
        idle: false,
    }
}

/// What the vendor would say of that user: the same name, in any case, is the same user.
pub(super) fn resolved(user: &UserRef) -> ResolvedUser {
    ResolvedUser {
        id: format!("id-{}", user.key()),
        email: Some(user.as_str().to_lowercase()),
        before: UserState {
            status: Status::Active,
            license: Some("2".into()),
            role: Some("2".into()),
            groups: vec!["g1".into(), "g 2 |é".into()],
        },
    }
}

/// Decided at the resolve: the account has no such user.
pub(super) fn gone() -> Resolution {
    Resolution::Settled {
        outcome: Outcome::NotFound,
        code: Some("not_found".into()),
        message: None,
        user: None,
    }
}

/// The hash of some plan, another for each digit.
pub(super) fn plan_hash(digit: char) -> PlanHash {
    digit.to_string().repeat(64).parse().unwrap()
}

/// One try that began and ended at `at`, with one call.
pub(super) fn attempt(at: Timestamp, by: &WorkerId, verdict: Verdict) -> Attempt {
    Attempt { began_at: at, ended_at: at, calls: 1, http: Some(204), verdict, code: None, worker: by.clone() }
}

pub(super) fn finished(seq: u64, attempt: Option<Attempt>, outcome: Outcome) -> JobReport {
    JobReport { seq, attempt, throttled: 0, then: Then::Finish { outcome, code: None, message: None } }
}

pub(super) fn retried(seq: u64, attempt: Attempt, at: Timestamp) -> JobReport {
    JobReport { seq, attempt: Some(attempt), throttled: 0, then: Then::Retry { at } }
}

/// Refused by the rate limit once.
pub(super) fn throttled(seq: u64, attempt: Attempt, until: Timestamp) -> JobReport {
    let then = Then::Snooze { until, reason: SnoozeReason::Throttled };
    JobReport { seq, attempt: Some(attempt), throttled: 1, then }
}

/// Handed back before any call.
pub(super) fn returned(seq: u64, until: Timestamp) -> JobReport {
    JobReport {
        seq,
        attempt: None,
        throttled: 0,
        then: Then::Snooze { until, reason: SnoozeReason::Returned },
    }
}

/// What a producer submits in one go.
#[derive(Clone, Debug)]
pub(super) struct Submission {
    pub(super) account: AccountName,
    pub(super) priority: Priority,
    pub(super) requests: Vec<Request>,
    /// A key of its own where there is none.
    pub(super) idempotency: Option<Idempotency>,
    pub(super) terms: Terms,
}

impl Submission {
    /// Those users, to be deactivated.
    pub(super) fn of(users: &[&str]) -> Self {
        let requests = users
            .iter()
            .zip(1..)
            .map(|(user, line)| Request {
                restore: None,
                line,
                user: user_ref(user),
                action: Action::Deactivate,
                reason: None,
            })
            .collect();
        Self {
            account: account(),
            priority: Priority::Normal,
            requests,
            idempotency: None,
            terms: Terms::default(),
        }
    }

    /// Users `user0@corp.example`, `user1@corp.example`, ...
    pub(super) fn of_size(size: usize) -> Self {
        let users: Vec<String> = (0..size).map(|n| format!("user{n}@corp.example")).collect();
        Self::of(&users.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(super) fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    pub(super) fn to(self, account: AccountName) -> Self {
        Self { account, ..self }
    }

    /// The same as a plan, which waits for somebody's word.
    pub(super) fn planned(self) -> Self {
        Self { terms: Terms { plan: true, ..self.terms }, ..self }
    }

    /// The same users, to be activated.
    pub(super) fn activating(mut self) -> Self {
        for request in &mut self.requests {
            request.action = Action::Activate;
        }
        self
    }

    pub(super) fn keyed(self, key: &str, digest: &str, again_after_end: bool) -> Self {
        let idempotency = Idempotency { key: key.into(), digest: digest.into(), again_after_end };
        Self { idempotency: Some(idempotency), ..self }
    }
}

// -- resolved again --------------------------------------------------------------------------------------------------

/// The user as it was.
pub(super) fn same(job: &Remaining) -> Resolution {
    Resolution::Change(job.user.clone())
}

pub(super) fn protected(user: Option<ResolvedUser>) -> Resolution {
    Resolution::Settled {
        outcome: Outcome::Protected,
        code: Some("admin".into()),
        message: Some("an admin by now".into()),
        user,
    }
}

/// The user with another role, licence, address and group, deactivated by somebody.
pub(super) fn renamed(user: &ResolvedUser) -> ResolvedUser {
    ResolvedUser {
        id: user.id.clone(),
        email: Some("renamed@corp.example".into()),
        before: UserState {
            status: Status::Inactive,
            license: Some("1".into()),
            role: Some("custom".into()),
            groups: vec!["g3".into()],
        },
    }
}

pub(super) fn ends(rows: &[OutcomeRow]) -> Vec<(u64, Outcome)> {
    rows.iter().map(|row| (row.seq, row.outcome)).collect()
}

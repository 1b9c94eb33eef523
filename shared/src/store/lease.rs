//! The rights a store grants for a time: leases on jobs, the stewardship of a run.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    AccountName, Action, Hold, Outcome, Priority, Request, ResolvedUser, RunId, Timestamp, WorkerId,
};

/// What a worker asks of [`Store::lease`](super::Store::lease).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseAsk {
    /// Whose jobs.
    pub account: AccountName,
    /// Who asks.
    pub worker: WorkerId,
    /// At most so many leases: as many as may start in the next fraction of a second.
    pub leases: usize,
    /// At most so many jobs in one lease: what the provider takes in one call (1 for Zoom, 200 for Salesforce).
    pub batch: usize,
    /// For how long.
    pub ttl: Duration,
    /// From this run alone, where one is named.
    pub only_run: Option<RunId>,
    /// Urgent jobs alone: the rest of the day's quota is theirs. What else is due then counts as waiting.
    pub urgent_only: bool,
    /// Whether the asker holds nothing else at the moment. Only then is it given one of the jobs that must run alone
    /// (two deaths of a worker, see promise 6), and then that one job is all it is given.
    pub idle: bool,
}

/// A worker's right to some jobs until a time. Not `Clone`: finishing consumes it, so it can't be finished twice.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    /// Names this lease in every write that depends on it.
    pub token: u64,
    /// Whose jobs.
    pub account: AccountName,
    /// Who holds it.
    pub worker: WorkerId,
    /// The run that all its jobs belong to.
    pub run: RunId,
    /// How soon the run is to be worked.
    pub priority: Priority,
    /// What is wanted of every user of this lease.
    pub action: Action,
    /// When it was granted, by the store's clock.
    pub granted_at: Timestamp,
    /// How long it lasts from then.
    pub ttl: Duration,
    /// The jobs, in file order. Never empty. Shared, so that whoever works on them needs no copy.
    pub jobs: Arc<[LeasedJob]>,
}

/// One job of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedJob {
    /// The place in the run, from 0.
    pub seq: u64,
    /// As the producer stated it.
    pub request: Request,
    /// As the vendor knows the user.
    pub user: ResolvedUser,
    /// When the user was resolved.
    pub resolved_at: Timestamp,
    /// Which attempt this would be, from 1; lost ones count.
    pub attempt: u32,
    /// Whether an earlier attempt may have reached the vendor: it was lost, or its reply was. "Already there" is then
    /// our own doing.
    pub may_have_applied: bool,
    /// How many workers died while they held it.
    pub deaths: u32,
    /// When its first attempt began.
    pub first_attempt_at: Option<Timestamp>,
}

/// The answer to a [`LeaseAsk`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leased {
    /// What was granted; at most what was asked for.
    pub leases: Vec<Lease>,
    /// Where nothing was granted and the account is not on hold: when the next waiting job comes due of those that the ask may
    /// be given; now, where there may be more than one call looks at.
    pub next_due: Option<Timestamp>,
    /// How many jobs that the ask may be given wait to run alone in a process that holds nothing else; 0 on hold.
    pub alone_waiting: u64,
    /// The account's hold, where that is why nothing was granted.
    pub hold: Option<Hold>,
    /// The version of the account's list of protected users: whoever knows another one reads it before it starts a call.
    pub protections: u64,
}

/// What a request resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// This user is to be changed.
    Change(ResolvedUser),
    /// Decided without a call: not found, protected, rejected (pending). Becomes the job's outcome at promotion.
    Settled {
        /// The outcome.
        outcome: Outcome,
        /// usher's word for the reason, or a rule's name.
        code: Option<String>,
        /// For people.
        message: Option<String>,
        /// The user, where it was found.
        user: Option<ResolvedUser>,
    },
    /// The same user as an earlier request of the run, by another name.
    Duplicate {
        /// The line of the request that is kept.
        of_line: u64,
    },
}

/// A job that is still to be carried out, as a run that stood still resolves it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The place in the run, from 0.
    pub seq: u64,
    /// The line of the file, from 1.
    pub line: u64,
    /// What is wanted.
    pub action: Action,
    /// The user that the request was resolved to: by its id it is found again, whatever the file said.
    pub user: ResolvedUser,
    /// Whether an earlier attempt may have reached the vendor.
    pub may_have_applied: bool,
}

/// The right to resolve a run that is sealed, or stood still, for a time. Not `Clone`: finishing the resolve consumes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Steward {
    /// The run.
    pub run: RunId,
    /// Names this stewardship in every write that depends on it.
    pub token: u64,
    /// Who holds it.
    pub worker: WorkerId,
}

/// Leave to work the account's jobs from this process. The embedded store grants one at a time; drop it to give it back.
pub struct Seat(#[allow(dead_code, reason = "held for its Drop")] pub Option<Box<dyn Send + Sync>>);

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seat")
    }
}

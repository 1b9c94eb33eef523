//! What may be done, by whom.
//!
//! An operation names runs, leases and stewardships by a number that is taken modulo how many there are, so that a
//! sequence from which some are left out still makes sense: that is what lets a failing one shrink.

use usher_shared::{Action, Priority};

/// Clients that have a handle of their own.
pub const CLIENTS: usize = 2;

/// One user of a request: who, by which of its names, and what is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub user: u8,
    pub by_id: bool,
    pub action: Action,
}

/// What a request is resolved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The user that it names, or the duplicate that it is of an earlier one.
    User,
    Nobody,
    Protected,
    /// The same user as the first request of the run.
    Duplicate,
}

/// What is reported of a leased job. Times are tenths of a second from now.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    Applied {
        began: i8,
    },
    Rejected,
    /// Ended without a call.
    Untried {
        poisoned: bool,
    },
    Retried {
        began: i8,
        due: i8,
        called: bool,
    },
    RetriedUntried {
        due: i8,
    },
    Throttled {
        due: i8,
    },
    Returned {
        due: i8,
    },
    /// Nothing at all.
    Unnamed,
}

/// What came of a try to deliver a message.
#[derive(Clone, Copy, Debug)]
pub enum CameTo {
    Delivered,
    /// To be tried again, tenths of a second from now.
    Failed(i8),
    GivenUp,
}

/// To which moment the clock is moved.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// When the lease with this number ends.
    Lapse(u8),
    /// When the next job comes due, as the last answer to an ask for leases said.
    Due,
    /// So many tenths of a second from now.
    Later(u16),
}

#[derive(Clone, Debug)]
pub enum Op {
    Open {
        branch: bool,
        priority: Priority,
    },
    Append {
        run: u8,
        first: u8,
        wishes: Vec<Wish>,
    },
    Seal {
        run: u8,
        key: Option<u8>,
        digest: bool,
        again: bool,
        miscount: bool,
    },
    Discard {
        run: u8,
    },
    Expire,
    /// A sealed run, from its opening on.
    Submit {
        branch: bool,
        priority: Priority,
        key: Option<u8>,
        wishes: Vec<Wish>,
    },
    /// The same in one go.
    SubmitWhole {
        branch: bool,
        priority: Priority,
        key: Option<u8>,
        wishes: Vec<Wish>,
    },
    ClaimKey {
        branch: bool,
        key: u8,
        client: u8,
        tenths: u8,
    },
    ReleaseKey {
        branch: bool,
        key: u8,
        client: u8,
    },
    Post {
        messages: Vec<u8>,
    },
    TakeDeliveries {
        client: u8,
        limit: u8,
        tenths: u8,
    },
    FinishDelivery {
        delivery: u8,
        came_to: CameTo,
    },
    Repost {
        message: u8,
    },
    /// A run in the queue, from its opening on.
    Queue {
        branch: bool,
        priority: Priority,
        wishes: Vec<Wish>,
        /// Of the first requests; of the others, the user.
        found: Vec<Found>,
    },
    /// Submitted and resolved, and there it waits.
    Plan {
        branch: bool,
        priority: Priority,
        wishes: Vec<Wish>,
        found: Vec<Found>,
    },
    TakeSteward {
        run: u8,
        client: u8,
        tenths: u8,
    },
    RenewSteward {
        steward: u8,
        tenths: u8,
    },
    Resolve {
        steward: u8,
        from: u8,
        found: Vec<Found>,
    },
    ResolveRest {
        steward: u8,
    },
    FinishResolving {
        steward: u8,
    },
    Admit {
        run: u8,
    },
    Promote {
        run: u8,
        limit: u8,
    },
    Lease {
        branch: bool,
        client: u8,
        leases: u8,
        batch: u8,
        tenths: u8,
        only: Option<u8>,
        urgent: bool,
        idle: bool,
    },
    Renew {
        lease: u8,
        ended: bool,
        tenths: u8,
    },
    Finish {
        lease: u8,
        ended: bool,
        told: Vec<Told>,
        foreign: bool,
        double: bool,
    },
    Pause {
        run: u8,
    },
    Resume {
        run: u8,
    },
    Cancel {
        run: u8,
        limit: u8,
    },
    /// Its deadline came, or its account's caps refuse it.
    End {
        run: u8,
        limit: u8,
        late: bool,
    },
    Note {
        run: u8,
        held: bool,
    },
    Confirm {
        run: u8,
        apply: bool,
        again: bool,
    },
    /// It is confirmed, where it is resolved, and goes on.
    GoOn {
        run: u8,
        apply: bool,
        found: Vec<Found>,
    },
    Reserve {
        run: u8,
        day: u8,
        users: Vec<u8>,
        cap: u8,
    },
    Unreserve {
        run: u8,
        day: u8,
    },
    Reopen {
        run: u8,
        from: u8,
        count: u8,
    },
    /// All of it that can be is tried again, where it is over.
    Retry {
        run: u8,
        found: Vec<Found>,
    },
    Prune {
        tenths: u8,
    },
    Protect {
        branch: bool,
        user: u8,
    },
    Unprotect {
        branch: bool,
        user: u8,
    },
    Tell {
        run: u8,
    },
    SealAudit {
        count: u8,
        wrong: bool,
    },
    SetPriority {
        run: u8,
        priority: Priority,
    },
    Hold {
        branch: bool,
        tenths: Option<u8>,
    },
    Release {
        branch: bool,
    },
    Pass {
        to: Moment,
        off: i8,
    },
    /// The client's process is killed and started again: what it held is nobody's, and it takes its seat anew.
    Crash {
        client: u8,
    },
}

/// One operation; `twice` where the same call is sent again, as after a lost reply.
#[derive(Clone, Debug)]
pub struct Step {
    pub op: Op,
    pub twice: bool,
    /// Through whose handle.
    pub by: u8,
}

//! What apalis carries as one task: a lease and the permit for its call.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use usher_shared::store::Lease;

use super::slots::Slot;
use crate::{account::Account, limiter::Permit};

/// One vendor call's worth of leased jobs, and the permit for the call.
#[derive(Debug)]
pub(crate) struct Work {
    /// The jobs.
    pub lease: Lease,
    /// The right to the call.
    pub permit: Permit,
    /// When the lease lapses, on the boot clock, measured from before it was asked for.
    pub lasts_until: Duration,
    /// Counts it as held until it is done.
    pub slot: Slot,
    /// Who else may be at work in this process meanwhile.
    pub company: Company,
}

/// Work on its way through apalis: in a box, for every layer moves it on, and with its account, for a layer that adds it
/// would keep a table for each task.
#[derive(Debug)]
pub(crate) struct Carried {
    /// What is to be done.
    pub work: Work,
    /// For whom.
    pub account: Arc<Account>,
}

/// Who else may be at work in this process.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "held for their Drop")]
pub(crate) enum Company {
    /// Anybody who does not have to be alone.
    Others(Arc<OwnedRwLockReadGuard<()>>),
    /// Nobody.
    Nobody(Arc<OwnedRwLockWriteGuard<()>>),
}

//! A plan: what a run would do to whom, bound by a hash to what is then done.

mod hash;
mod kind;
mod reading;

pub use hash::{PlanHash, PlanHasher};
pub use kind::{PlanKind, drift};
pub use reading::{Named, NeverGivenBack, Plan, PlanPages};

use crate::{Request, store::Resolution};

/// One request of a resolved run with what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The place in the run, from 0.
    pub seq: u64,
    /// As the producer stated it.
    pub request: Request,
    /// What it came to.
    pub resolution: Resolution,
}

impl Planned {
    /// What the plan says of it.
    #[must_use]
    pub fn kind(&self) -> PlanKind {
        PlanKind::of(self.request.action, &self.resolution)
    }

    /// The user whose state would be changed; `None` where nobody's would be.
    #[must_use]
    pub fn changes(&self) -> Option<&crate::ResolvedUser> {
        match &self.resolution {
            Resolution::Change(user) if self.kind() == PlanKind::Change => Some(user),
            _ => None,
        }
    }
}

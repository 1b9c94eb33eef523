//! Before the first change, every request of a run becomes a user as the vendor knows it: by the paged listing, or by a
//! look-up each where that is fewer calls. What can't be resolved is not changed. A run that stood still is resolved again.

mod again;
mod asker;
mod driver;
mod gate;
mod index;
mod matcher;
mod planning;
mod policy;
mod search;
mod way;

pub(crate) use asker::LOOK_UPS_AT_ONCE;
pub use asker::{Asked, Asker, Listing, Patience};
use driver::persist;
pub use driver::{Progress, ResolveError, Resolved, Resolver};
pub use gate::{CallGate, GateClosed};
pub(crate) use index::KeyIndex;
pub use matcher::{Gathered, Matcher, Place};
pub(crate) use planning::{count_active, each_change, note_plan};
pub(crate) use policy::ruled_out;
pub use policy::{Policy, judge};
pub use way::{FEW, Missing, Way, after_first_page, after_listing, before_any_call};

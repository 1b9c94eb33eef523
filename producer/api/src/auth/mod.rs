//! Who calls, and what they may do.

mod caller;
mod role;

pub use caller::{Caller, authenticate};
pub use role::{As, ToApprove, ToOperate, ToRead, ToSubmit};

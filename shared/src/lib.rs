//! The vocabulary that crosses the queue, the store, and the configuration of usher.
//!
//! Nothing here speaks to a vendor. [`producer`](https://docs.rs/usher-producer) puts requests in,
//! `worker` carries them out, and this crate is all that the two have in common:
//! the words ([`Action`], [`Request`], [`ResolvedUser`], [`Outcome`], ...), the [`store`] that is queue and ledger in one,
//! and the [`config`] that names accounts.

mod account;
mod action;
mod attempt;
pub mod audit;
pub mod backoff;
mod clock;
pub mod config;
mod diagnosis;
mod hold;
pub mod identity;
mod ids;
mod metric;
mod notes;
mod outcome;
pub mod plan;
mod protection;
mod pulse;
mod quota;
mod request;
mod run;
pub mod store;
mod user;
pub mod view;

pub use account::{AccountName, AccountNameError};
pub use action::{Action, Priority, UnknownWord};
pub use attempt::{Attempt, JobReport, SnoozeReason, Then, Verdict};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use diagnosis::{Diagnosis, Level};
pub use hold::{Hold, HoldReason};
pub use ids::{IdError, JobKey, RunId, WorkerId};
pub use metric::{Metric, MetricKind};
pub use notes::{Approval, Confirmation, Ending, Go, Held, HeldReason, Note, PlanNote, RunNotes};
pub use outcome::{ACTIVATED_AS_BASIC, Outcome, OutcomeRow, PARTLY_RESTORED};
pub use protection::{Protection, Protections};
pub use pulse::{DayUse, LanePulse, Pulse};
pub use quota::{DayQuota, Drawn, QuotaWindow};
pub use request::{Request, Restore};
pub use run::{Counters, Effort, NewRun, RunPhase, RunState, RunStatus, Terms};
pub use user::{ResolvedUser, Status, UserRef, UserRefError, UserState};

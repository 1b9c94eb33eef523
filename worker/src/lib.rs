//! Everything that carries usher's work out: resolve, lease, pace, apply, classify, decide.

mod account;
mod account_worker;
pub mod admit;
mod agreement;
pub mod audit;
mod backend;
pub mod boot_clock;
mod deadline;
pub mod decide;
mod engine;
mod execute;
mod gate;
pub mod health;
mod holds;
pub mod limiter;
mod meter;
pub mod metrics;
pub mod next_step;
pub mod provider;
mod pulse;
pub mod resolve;
mod retention;
pub mod steady_clock;
mod steward;
pub mod verify;
mod view;

/// How long to wait before the next try.
pub use usher_shared::backoff;

pub use engine::{AccountSetup, Drained, Engine, EngineConfig, EngineError, RunEnd};
pub use gate::PacedGate;
pub use view::AccountView;

//! `usher.toml`: accounts, the store, and how workers behave.

mod accounts;
mod protected;
mod secret;
mod worker;

pub use accounts::{AccountConfig, ZoomConfig, ZoomPlan};
pub use protected::{EmptyPattern, ProtectedPattern};
pub use secret::{SecretError, SecretSource, Value};
pub use worker::WorkerConfig;

//! Everything that carries usher's work out: resolve, lease, pace, apply, classify, decide.

pub mod backoff;
pub mod boot_clock;
pub mod decide;
pub mod health;
pub mod limiter;
pub mod provider;
pub mod resolve;
pub mod verify;

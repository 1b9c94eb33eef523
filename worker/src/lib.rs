//! Everything that carries usher's work out: resolve, lease, pace, apply, classify, decide.

pub mod provider;
pub mod resolve;
pub mod verify;

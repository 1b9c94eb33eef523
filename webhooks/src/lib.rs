//! Tells operators by webhook what they must hear of, and keeps it until it is delivered or given up on.

pub mod address;
pub mod derive;
pub mod event;
pub mod secret;
pub mod standing;

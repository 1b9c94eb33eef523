//! The HTTP API, end to end: the real binary, both stores, a simulated Zoom, real connections.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod breaking_off;
mod confirming;
mod idempotency;
mod limits;
mod roles;
mod secrets;
mod seeing;
mod served;
mod steering;
mod stopping;
mod submitting;
mod tls;

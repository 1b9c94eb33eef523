//! Observers: server-sent events and metrics; the real binary, both stores, a simulated Zoom.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod cost;
mod following;
mod metrics;
mod served;

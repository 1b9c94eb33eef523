//! Operators: plan, guard, steer, undo, audit; the real binary, both stores, a simulated Zoom.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod auditing;
mod caps;
mod company;
mod plans;
mod steering;
mod undoing;

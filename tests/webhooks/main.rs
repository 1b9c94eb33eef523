//! Webhooks: what a receiver that others' library verifies for got from the real binary; both stores, a simulated Zoom.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod couriers;
mod events;
mod outage;
mod receiver;

//! Nothing lost, nothing wrong: real workers, a real Redis, a simulated vendor, and faults between and in all of them.
//!
//! Every scenario ends with the same audit (`audit.rs`). Its faults come from a seed, printed when it starts;
//! `tests/chaos --seed N SCENARIO` runs it again.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod chronicle;
mod fleet;
mod proxy;
mod scenario;
mod scenarios;
mod seed;
mod volume;
mod watch;

//! docs/api.md does what it says: every example of it is run as it stands, against a served usher with a simulated Zoom behind.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/python.rs"]
mod python;
#[path = "../support/serving.rs"]
mod serving;

mod page;
mod rust_example;
mod shape;
mod shell;
mod typed;
mod webhooks;

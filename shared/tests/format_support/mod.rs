//! What the tests of stored formats share: what the stored fixtures hold, and how a store is written down as text.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test program uses what it needs"
)]

pub mod operated;
pub mod redis_text;
pub mod services;
pub mod sqlite_text;
pub mod story;

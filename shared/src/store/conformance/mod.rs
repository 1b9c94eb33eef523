//! What every store must do, as checks that an implementation calls with a way to make empty stores.
//!
//! Each check is an async function named by the sentence that it proves; [`conformance_suite!`](crate::conformance_suite)
//! makes a test of each. The folder reads like the list of promises in [`store`](crate::store): a file a subject.
//! After every step of a check the counters of every run must add up: the steps see to it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "checks: a check's name says what it proves, and it fails by panicking"
)]

macro_rules! assert_refused {
    ($result:expr, $expected:pat) => {
        match $result {
            Err($expected) => {}
            other => panic!("expected Err({}), got {other:?}", stringify!($expected)),
        }
    };
}

pub mod accounts;
pub mod auditing;
pub mod capping;
pub mod claiming;
pub mod confirming;
pub mod counters;
pub mod dying;
pub mod ending;
pub mod finishing;
pub mod lapsing;
pub mod leasing;
#[cfg(test)]
mod listed;
pub mod listing;
pub mod one_user;
pub mod planning;
pub mod posting;
pub mod protecting;
pub mod pruning;
pub mod pulses;
pub mod quotas;
pub mod reopening;
pub mod resolving;
pub mod resolving_again;
mod samples;
pub mod seeing;
pub mod sharing;
pub mod standing_still;
pub mod steering;
mod steps;
pub mod submitting;
pub mod submitting_whole;
mod suite;
pub mod tokens;
pub mod waiting;

use std::future::Future;

use super::SharedStore;
use crate::ManualClock;

/// An empty store for one check, and the clock by which it lives.
pub trait Fixture: Send + Sync {
    /// The store.
    fn store(&self) -> SharedStore;

    /// The clock that the store reads: no lease lapses and no job comes due unless a check moves it.
    fn clock(&self) -> &ManualClock;

    /// The same data through another handle, as another process would have it.
    fn second_handle(&self) -> impl Future<Output = SharedStore> + Send;
}

//! What a run would do, as its users were when they were looked up, for people and for programs.

pub mod json;
pub mod licences;
pub mod shown;

use usher_shared::{
    RunStatus,
    config::AccountConfig,
    plan::Plan,
    store::{SharedStore, StoreError},
};
use usher_worker::provider;

/// Users named of each kind, unless all are asked for.
pub const NAMED: usize = 20;

/// Reads a resolved run's plan. `named`: how many users of a kind are kept; `account`: as it is configured, where it is.
pub async fn read(
    store: &SharedStore,
    status: &RunStatus,
    named: usize,
    account: Option<&AccountConfig>,
) -> Result<Plan, StoreError> {
    match account {
        Some(account) => {
            let never = |restore: &_| provider::never_given_back(account, restore);
            Plan::read(store, status, named, Some(&never)).await
        }
        None => Plan::read(store, status, named, None).await,
    }
}

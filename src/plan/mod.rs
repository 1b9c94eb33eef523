//! What a run would do, as its users were when they were looked up, for people and for programs.

pub mod json;
pub mod licences;
pub mod shown;

use usher_shared::{
    RunStatus,
    config::AccountConfig,
    plan::{Plan, PlanHash},
    store::{SharedStore, StoreError},
};
use usher_worker::provider;

use crate::exit::{Exit, Failure};

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

/// Refuses a plan that is not what its note says: what would be carried out is not what was shown.
pub fn refuse_another<'a>(plan: &'a Plan, status: &RunStatus) -> Result<&'a PlanHash, Failure> {
    let run = &status.run.id;
    let (Some(note), Some(found)) = (&status.notes.plan, &plan.hash) else {
        return Err(Failure::new(
            Exit::InvalidInput,
            format!("run {run} has no plan yet: see usher status {run}"),
        ));
    };
    if note.hash == *found {
        return Ok(found);
    }
    Err(Failure::new(
        Exit::Refused,
        format!(
            "run {run} is not what was planned: the plan noted has the hash {}, what lies in the store has {}. Somebody or \
             something changed the store; nothing was done. Plan again",
            note.hash.short(),
            found.short()
        ),
    ))
}

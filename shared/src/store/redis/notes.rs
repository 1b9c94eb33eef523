//! What is noted on a run, and who lets it go on.

use serde::Serialize;

use super::{RedisStore, script};
use crate::{Confirmation, Note, RunId, store::StoreError};

/// A note as it is stored.
pub(super) fn json(run: &RunId, note: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(note).map_err(|error| StoreError::Corrupt(format!("run {run}"), error.to_string()))
}

impl RedisStore {
    pub(super) async fn write_note(&self, run: &RunId, note: &Note) -> Result<(), StoreError> {
        let (kind, text) = match note {
            Note::Plan(plan) => ("plan", json(run, plan)?),
            Note::Held(Some(held)) => ("held", json(run, held)?),
            Note::Held(None) => ("held", String::new()),
        };
        self.on_run(script::NOTE, run, "nothing is noted on it any more", |call| {
            call.arg(kind).arg(text);
        })
        .await
        .map(drop)
    }

    pub(super) async fn let_go_on(&self, run: &RunId, confirmation: &Confirmation) -> Result<(), StoreError> {
        let (kind, wanted, text) = match confirmation {
            Confirmation::Apply(go) => ("go", "it is no plan that could be applied", json(run, go)?),
            Confirmation::Approve(approval) => ("approval", "it can't be approved", json(run, approval)?),
        };
        if matches!(confirmation, Confirmation::Apply(_)) {
            // What was submitted never changes.
            let status = self.one_run(run).await?.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
            if !status.run.terms.plan {
                return Err(StoreError::WrongPhase { run: run.clone(), phase: status.phase, wanted });
            }
        }
        self.on_run(script::CONFIRM, run, wanted, |call| {
            call.arg(kind).arg(text);
        })
        .await
        .map(drop)
    }
}

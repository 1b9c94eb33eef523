//! Pause, resume, end, priority; holding an account.

use super::{RedisStore, notes, record, script};
use crate::{
    AccountName, Ending, Hold, Priority, RunId,
    store::{CHUNK, StoreError},
};

impl RedisStore {
    pub(super) async fn steer(
        &self,
        run: &RunId,
        wanted: &'static str,
        what: &'static str,
        priority: Option<Priority>,
    ) -> Result<(), StoreError> {
        self.on_run(script::STEER, run, wanted, |call| {
            call.arg(what).arg(priority.map_or(0, Priority::rank));
        })
        .await
        .map(drop)
    }

    pub(super) async fn end_some(
        &self,
        run: &RunId,
        ending: &Ending,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let mut head = String::new();
        record::write_head(ending.outcome, ending.code.as_deref(), Some(&ending.message), &mut head);
        let note = notes::json(run, ending)?;
        self.on_run(script::END, run, "it can't be cancelled", |call| {
            call.arg(limit.min(CHUNK)).arg(head).arg(note);
        })
        .await?
        .count(0)
    }

    pub(super) async fn hold_account(&self, account: &AccountName, hold: &Hold) -> Result<(), StoreError> {
        let text = serde_json::to_string(hold)
            .map_err(|error| StoreError::Corrupt(format!("the hold of {account}"), error.to_string()))?;
        let until = hold.until.map_or_else(String::new, |until| until.as_millis().to_string());
        let mut call = self.core.call(script::HOLD, account);
        call.arg(text).arg(until);
        self.core.send(script::HOLD, &call).await.map(drop)
    }

    pub(super) async fn release_account(&self, account: &AccountName) -> Result<bool, StoreError> {
        let mut call = self.core.call(script::HOLD, account);
        call.arg("").arg("");
        Ok(self.core.send(script::HOLD, &call).await?.code == 0)
    }
}

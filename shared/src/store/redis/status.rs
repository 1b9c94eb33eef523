//! Runs as they stand.

use std::collections::BTreeMap;

use redis::{Value, cmd};
use serde::de::DeserializeOwned;

use super::{RedisStore, keys, reply, state::State};
use crate::{
    AccountName, Action, Hold, NewRun, Priority, RunId, RunNotes, RunPhase, RunStatus, Timestamp,
    store::StoreError,
};

/// The fields of a run's hash that are its status.
const FIELDS: &[&str] = &[
    "meta",
    "by_action",
    "state",
    "fresh",
    "note_plan",
    "note_held",
    "note_go",
    "note_approval",
    "note_ending",
];

/// What is looked at together.
pub(super) const TOGETHER: usize = 100;

impl RedisStore {
    pub(super) async fn one_run(&self, run: &RunId) -> Result<Option<RunStatus>, StoreError> {
        match self.account_of(run).await {
            Ok(account) => self.status_of(&account, run).await,
            Err(StoreError::NoSuchRun(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn status_of(&self, account: &AccountName, run: &RunId) -> Result<Option<RunStatus>, StoreError> {
        let mut status = self.status_without_hold(account, run).await?;
        if let Some(status) = &mut status {
            status.hold = self.hold_of(account).await?;
        }
        Ok(status)
    }

    pub(super) async fn status_without_hold(
        &self,
        account: &AccountName,
        run: &RunId,
    ) -> Result<Option<RunStatus>, StoreError> {
        let mut read = cmd("HMGET");
        read.arg(keys::run(account, run)).arg(FIELDS);
        status(run, &reply::array(self.core.plain(&read).await?)?)
    }

    /// The account's hold, where one is in force.
    pub(super) async fn hold_of(&self, account: &AccountName) -> Result<Option<Hold>, StoreError> {
        let found = self.core.plain(cmd("HGET").arg(keys::account(account)).arg("hold")).await?;
        let Some(text) = reply::maybe(&found)? else { return Ok(None) };
        let hold = hold(account, text)?;
        match hold.until {
            Some(until) if until <= self.core.time().await? => Ok(None),
            _ => Ok(Some(hold)),
        }
    }

    pub(super) async fn active_runs(&self, account: &AccountName) -> Result<Vec<RunStatus>, StoreError> {
        let mut all = cmd("ZRANGE");
        all.arg(keys::of(account, "active")).arg(0).arg(-1);
        let hold = self.hold_of(account).await?;
        let mut found = Vec::new();
        for id in reply::array(self.core.plain(&all).await?)? {
            let Ok(id) = reply::str(&id)?.parse::<RunId>() else { continue };
            let status = self.status_without_hold(account, &id).await?;
            found.extend(
                status
                    .filter(|status| !status.phase.is_over())
                    .map(|status| RunStatus { hold: hold.clone(), ..status }),
            );
        }
        Ok(found)
    }

    /// One past the last place of a run that is no longer open.
    pub(super) async fn places(&self, run: &RunId) -> Result<u64, StoreError> {
        let account = self.account_of(run).await?;
        let found = self.core.plain(cmd("HGET").arg(keys::run(&account, run)).arg("state")).await?;
        let state = reply::bytes(&found)?.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
        let state = State::unpack(state).map_err(|flaw| corrupt(run, flaw))?;
        if state.phase == RunPhase::Open {
            return Err(StoreError::NoSuchRun(run.clone()));
        }
        Ok(state.next)
    }
}

fn corrupt(run: &RunId, flaw: impl ToString) -> StoreError {
    StoreError::Corrupt(format!("run {run}"), flaw.to_string())
}

/// A note as stored, where there is one.
fn note<T: DeserializeOwned>(run: &RunId, found: &Value) -> Result<Option<T>, StoreError> {
    let text = reply::maybe(found)?;
    text.map(|text| serde_json::from_str(text).map_err(|error| corrupt(run, error))).transpose()
}

/// A hold as stored.
pub(super) fn hold(account: &AccountName, text: &str) -> Result<Hold, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt(format!("the hold of {account}"), error.to_string()))
}

/// A run's status, but for its account's hold. `None` for a run that is open, or not there.
pub(super) fn status(run: &RunId, found: &[Value]) -> Result<Option<RunStatus>, StoreError> {
    let [meta, by_action, state, fresh, plan, held, go, approval, ending] = found else {
        return Err(reply::odd("HMGET of nine fields"));
    };
    let Some(state) = reply::bytes(state)? else { return Ok(None) };
    let state = State::unpack(state).map_err(|flaw| corrupt(run, flaw))?;
    if state.phase == RunPhase::Open {
        return Ok(None);
    }
    let meta = reply::maybe(meta)?.ok_or_else(|| corrupt(run, "what was submitted is missing"))?;
    let mut submitted: NewRun = serde_json::from_str(meta).map_err(|error| corrupt(run, error))?;
    submitted.priority = Priority::ALL
        .into_iter()
        .find(|priority| priority.rank() == state.rank)
        .ok_or_else(|| corrupt(run, "a priority that there is not"))?;
    let by_action: BTreeMap<Action, u64> = match reply::maybe(by_action)? {
        Some(text) => serde_json::from_str(text).map_err(|error| corrupt(run, error))?,
        None => BTreeMap::new(),
    };
    let fresh_at = match fresh {
        Value::Nil => None,
        fresh => Some(Timestamp::from_millis(reply::int(fresh)?)),
    };
    Ok(Some(RunStatus {
        notes: RunNotes {
            plan: note(run, plan)?,
            held: note(run, held)?,
            go: note(run, go)?,
            approval: note(run, approval)?,
            ending: note(run, ending)?,
        },
        run: submitted,
        phase: state.phase,
        paused: state.paused,
        cancelled: state.cancelled,
        admission: state.admission,
        by_action,
        counters: state.counters,
        effort: state.effort,
        sealed_at: state.sealed_at,
        finished_at: state.finished_at,
        fresh_at,
        hold: None,
    }))
}

//! Runs as they stand.

use std::collections::{BTreeMap, HashMap};

use redis::{Value, cmd};

use super::{RedisStore, keys, record, reply};
use crate::{
    AccountName, Action, Counters, Effort, Hold, NewRun, Priority, RunId, RunPhase, RunStatus, Timestamp,
    store::StoreError,
};

/// Runs looked at together.
const TOGETHER: usize = 100;

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

    async fn status_without_hold(
        &self,
        account: &AccountName,
        run: &RunId,
    ) -> Result<Option<RunStatus>, StoreError> {
        let found = self.core.plain(cmd("HGETALL").arg(keys::run(account, run))).await?;
        let fields = Fields::read(run, found)?;
        if fields.is_empty() {
            self.forget(run);
            return Ok(None);
        }
        let status = fields.status()?;
        Ok((status.phase != RunPhase::Open).then_some(status))
    }

    /// The account's hold, where one is in force.
    async fn hold_of(&self, account: &AccountName) -> Result<Option<Hold>, StoreError> {
        let found = self.core.plain(cmd("HGET").arg(keys::account(account)).arg("hold")).await?;
        let Some(text) = reply::maybe(&found)? else { return Ok(None) };
        let hold = hold(account, text)?;
        match hold.until {
            Some(until) if until <= self.core.time().await? => Ok(None),
            _ => Ok(Some(hold)),
        }
    }

    pub(super) async fn newest_runs(&self, limit: usize) -> Result<Vec<RunStatus>, StoreError> {
        let (mut found, mut from) = (Vec::new(), 0);
        let mut holds: HashMap<AccountName, Option<Hold>> = HashMap::new();
        while found.len() < limit {
            let mut page = cmd("ZREVRANGE");
            page.arg(keys::NEWEST).arg(from).arg(from + TOGETHER - 1);
            let ids = reply::array(self.core.plain(&page).await?)?;
            for id in &ids {
                let Ok(id) = reply::str(id)?.parse::<RunId>() else { continue };
                let account = match self.account_of(&id).await {
                    Ok(account) => account,
                    Err(StoreError::NoSuchRun(_)) => continue,
                    Err(error) => return Err(error),
                };
                let Some(mut status) = self.status_without_hold(&account, &id).await? else { continue };
                if !holds.contains_key(&account) {
                    holds.insert(account.clone(), self.hold_of(&account).await?);
                }
                status.hold = holds.get(&account).cloned().flatten();
                found.push(status);
                if found.len() == limit {
                    break;
                }
            }
            if ids.len() < TOGETHER {
                break;
            }
            from += TOGETHER;
        }
        Ok(found)
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
        let mut read = cmd("HMGET");
        read.arg(keys::run(&account, run)).arg("phase").arg("next");
        let found = reply::array(self.core.plain(&read).await?)?;
        let [phase, next] = found.as_slice() else { return Err(reply::odd("HMGET of two fields")) };
        match reply::maybe(phase)? {
            None | Some("o") => Err(StoreError::NoSuchRun(run.clone())),
            Some(_) => u64::try_from(reply::int(next)?).map_err(|_| reply::odd("a negative place")),
        }
    }
}

/// A hold as stored.
pub(super) fn hold(account: &AccountName, text: &str) -> Result<Hold, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt(format!("the hold of {account}"), error.to_string()))
}

/// The fields of a run's hash.
struct Fields<'a> {
    run: &'a RunId,
    fields: HashMap<String, String>,
}

impl<'a> Fields<'a> {
    fn read(run: &'a RunId, value: Value) -> Result<Self, StoreError> {
        let mut fields = HashMap::new();
        let mut values = reply::array(value)?.into_iter();
        while let (Some(field), Some(value)) = (values.next(), values.next()) {
            fields.insert(reply::text(&field)?, reply::text(&value)?);
        }
        Ok(Self { run, fields })
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn flaw(&self, field: &str, problem: impl ToString) -> StoreError {
        StoreError::Corrupt(format!("run {}, {field}", self.run), problem.to_string())
    }

    fn number<T: std::str::FromStr>(&self, field: &str) -> Result<Option<T>, StoreError> {
        let Some(text) = self.fields.get(field) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.flaw(field, format!("{text:?} is no number")))
    }

    fn count(&self, field: &str) -> Result<u64, StoreError> {
        Ok(self.number(field)?.unwrap_or(0))
    }

    fn moment(&self, field: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.number(field)?.map(Timestamp::from_millis))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, field: &str) -> Result<Option<T>, StoreError> {
        let Some(text) = self.fields.get(field) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| self.flaw(field, error))
    }

    fn is_set(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| value == "1")
    }

    fn outcomes(&self) -> Result<BTreeMap<crate::Outcome, u64>, StoreError> {
        let mut outcomes = BTreeMap::new();
        for field in self.fields.keys() {
            if let Some(letter) = field.strip_prefix("o:") {
                let outcome = record::outcome_of_letter(letter).map_err(|flaw| self.flaw(field, flaw))?;
                outcomes.insert(outcome, self.count(field)?);
            }
        }
        Ok(outcomes)
    }

    fn status(&self) -> Result<RunStatus, StoreError> {
        let mut run: NewRun = self.json("meta")?.ok_or_else(|| self.flaw("meta", "it is missing"))?;
        let rank: u8 = self.number("rank")?.ok_or_else(|| self.flaw("rank", "it is missing"))?;
        run.priority = Priority::ALL
            .into_iter()
            .find(|priority| priority.rank() == rank)
            .ok_or_else(|| self.flaw("rank", rank))?;
        let phase = self.fields.get("phase").map_or("", String::as_str);
        Ok(RunStatus {
            run,
            phase: reply::phase(phase)?,
            paused: self.is_set("paused"),
            cancelled: self.is_set("cancelled"),
            admission: self.number("adm")?,
            by_action: self.json::<BTreeMap<Action, u64>>("by_action")?.unwrap_or_default(),
            counters: Counters {
                total: self.count("total")?,
                pending: self.count("pending")?,
                queued: self.count("queued")?,
                leased: self.count("leased")?,
                finished: self.count("done")?,
                outcomes: self.outcomes()?,
                duplicates: self.count("dups")?,
            },
            effort: Effort {
                attempts: self.count("attempts")?,
                calls: self.count("calls")?,
                throttled: self.count("throttled")?,
                retries: self.count("retries")?,
                lost: self.count("lost")?,
                first_attempt_at: self.moment("first")?,
                last_attempt_at: self.moment("last")?,
            },
            sealed_at: self.moment("sealed")?,
            finished_at: self.moment("ended")?,
            hold: None,
        })
    }
}

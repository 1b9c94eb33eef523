//! Forgetting runs that are over, the oldest first.

use redis::cmd;

use super::{RedisStore, keys, reply, script};
use crate::{AccountName, RunId, Timestamp, store::StoreError};

/// Runs looked at together.
const TOGETHER: usize = 100;

impl RedisStore {
    pub(super) async fn forget_oldest(
        &self,
        ended_before: Timestamp,
    ) -> Result<Option<(RunId, bool)>, StoreError> {
        let mut accounts: Vec<AccountName> = Vec::new();
        for account in reply::array(self.core.plain(cmd("SMEMBERS").arg(keys::ACCOUNTS)).await?)? {
            accounts.extend(reply::str(&account)?.parse::<AccountName>());
        }
        self.list_ended(&accounts).await?;
        while let Some((account, run)) = self.oldest_ended(&accounts, ended_before).await? {
            let mut call = self.core.call(script::PRUNE, &account);
            call.arg("rows").arg(run.as_str()).arg(ended_before.as_millis());
            let reply = self.core.send(script::PRUNE, &call).await?;
            // 1: another was quicker, or the run is not over any more. It is not among those that ended now.
            if reply.code == 0 {
                let gone = reply.count(0)? == 0;
                if gone {
                    self.forget_rest(&account, &run).await?;
                }
                return Ok(Some((run, gone)));
            }
        }
        for account in &accounts {
            self.take_back_claims(account).await?;
        }
        Ok(None)
    }

    /// The run that ended first of all before that moment.
    async fn oldest_ended(
        &self,
        accounts: &[AccountName],
        ended_before: Timestamp,
    ) -> Result<Option<(AccountName, RunId)>, StoreError> {
        let mut oldest: Option<(i64, &AccountName, RunId)> = None;
        for account in accounts {
            let mut first = cmd("ZRANGE");
            first.arg(keys::of(account, "ended")).arg(0).arg(0).arg("WITHSCORES");
            let first = reply::array(self.core.plain(&first).await?)?;
            let [run, ended] = first.as_slice() else { continue };
            let ended = reply::int(ended)?;
            if ended < ended_before.as_millis() && oldest.as_ref().is_none_or(|(at, ..)| ended < *at) {
                let run = reply::str(run)?.parse().map_err(|_| reply::odd("a run id that is none"))?;
                oldest = Some((ended, account, run));
            }
        }
        Ok(oldest.map(|(_, account, run)| (account.clone(), run)))
    }

    /// All that names the run beside its own keys; those go last, so that whoever is cut short here goes on by them.
    async fn forget_rest(&self, account: &AccountName, run: &RunId) -> Result<(), StoreError> {
        self.drop_from_index(run).await?;
        let mut call = self.core.call(script::PRUNE, account);
        call.arg("gone").arg(run.as_str());
        self.core.send(script::PRUNE, &call).await.map(drop)
    }

    /// Claims of runs that are forgotten, which no older run waits for any more.
    async fn take_back_claims(&self, account: &AccountName) -> Result<(), StoreError> {
        loop {
            let mut call = self.core.call(script::PRUNE, account);
            call.arg("claims");
            if self.core.send(script::PRUNE, &call).await?.count(0)? == 0 {
                return Ok(());
            }
        }
    }

    /// Lists the runs that ended before usher kept a list of them: once an account.
    pub(super) async fn list_ended(&self, accounts: &[AccountName]) -> Result<(), StoreError> {
        let mut unlisted = Vec::new();
        for account in accounts {
            let listed = self.core.plain(cmd("HGET").arg(keys::account(account)).arg("ended_listed")).await?;
            if reply::maybe(&listed)?.is_none() {
                unlisted.push(account);
            }
        }
        if unlisted.is_empty() {
            return Ok(());
        }
        let mut from = 0;
        loop {
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
                if unlisted.contains(&&account) {
                    let mut call = self.core.call(script::PRUNE, &account);
                    call.arg("list").arg(id.as_str());
                    self.core.send(script::PRUNE, &call).await?;
                }
            }
            if ids.len() < TOGETHER {
                break;
            }
            from += TOGETHER;
        }
        for account in unlisted {
            let mut call = self.core.call(script::PRUNE, account);
            call.arg("listed");
            self.core.send(script::PRUNE, &call).await?;
        }
        Ok(())
    }
}

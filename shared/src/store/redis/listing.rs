//! Which runs and accounts there are.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use redis::{Cmd, Value, cmd};

use super::{RedisStore, keys, reply, status::TOGETHER};
use crate::{AccountName, Hold, RunId, RunStatus, Timestamp, store::StoreError};

/// The most ids that are asked for at once: a list that changes meanwhile is seldom seen in parts.
const PAGE: usize = 5_000;

impl RedisStore {
    pub(super) async fn all_accounts(&self) -> Result<Vec<AccountName>, StoreError> {
        let mut accounts: Vec<AccountName> = Vec::new();
        for account in reply::array(self.core.plain(cmd("SMEMBERS").arg(keys::ACCOUNTS)).await?)? {
            let Ok(account) = reply::str(&account)?.parse::<AccountName>() else { continue };
            // The first seal of an account's gives the first number out; before it, there are open runs alone.
            let numbered = self.core.plain(cmd("HGET").arg(keys::account(&account)).arg("admission")).await?;
            accounts.extend(reply::maybe(&numbered)?.map(|_| account));
        }
        accounts.sort();
        Ok(accounts)
    }

    pub(super) async fn newest_runs(
        &self,
        before: Option<&RunId>,
        limit: usize,
    ) -> Result<Vec<RunStatus>, StoreError> {
        let Some(before) = before else {
            return self
                .walk(&|_| true, limit, |from, to| {
                    let mut page = cmd("ZREVRANGE");
                    page.arg(keys::NEWEST).arg(from).arg(to);
                    page
                })
                .await;
        };
        let Some(known) = self.one_run(before).await? else { return Ok(Vec::new()) };
        let opened_at = known.run.created_at;
        // Those of the same millisecond stand in the order of their ids, the later one first.
        let comes_after =
            |run: &RunStatus| (run.run.created_at, run.run.id.as_str()) < (opened_at, before.as_str());
        self.walk(&comes_after, limit, |from, to| {
            let mut page = cmd("ZRANGE");
            page.arg(keys::NEWEST).arg(opened_at.as_millis()).arg("-inf").arg("BYSCORE").arg("REV");
            page.arg("LIMIT").arg(from).arg(to + 1 - from);
            page
        })
        .await
    }

    pub(super) async fn ended_runs(
        &self,
        account: &AccountName,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<RunStatus>, StoreError> {
        self.list_ended(std::slice::from_ref(account)).await?;
        // One that is opened again between the list and the look at it has not ended.
        let ended = |run: &RunStatus| run.finished_at.is_some_and(|at| at >= since);
        self.walk(&ended, limit, |from, to| {
            let mut page = cmd("ZRANGEBYSCORE");
            page.arg(keys::of(account, "ended")).arg(since.as_millis()).arg("+inf");
            page.arg("LIMIT").arg(from).arg(to + 1 - from);
            page
        })
        .await
    }

    /// Goes through a list of runs, given its pages, as long as there are too few that are wanted. Open runs, and those
    /// that are being forgotten, are passed over.
    async fn walk(
        &self,
        wanted: &(dyn Fn(&RunStatus) -> bool + Sync),
        limit: usize,
        page: impl Fn(usize, usize) -> Cmd + Send,
    ) -> Result<Vec<RunStatus>, StoreError> {
        let (mut found, mut from) = (Vec::new(), 0);
        let mut holds: HashMap<AccountName, Option<Hold>> = HashMap::new();
        while found.len() < limit {
            // One more, because the run that the others come before stands among them.
            let together = (limit - found.len()).saturating_add(1).min(PAGE);
            let ids = reply::array(self.core.plain(&page(from, from + together - 1)).await?)?;
            let (came, read) = (ids.len(), ids.into_iter().map(|id| self.listed(id)));
            let read: Vec<_> = stream::iter(read).buffered(TOGETHER).try_collect().await?;
            for mut status in read.into_iter().flatten().filter(wanted) {
                let account = status.run.account.clone();
                if !holds.contains_key(&account) {
                    holds.insert(account.clone(), self.hold_of(&account).await?);
                }
                status.hold = holds.get(&account).cloned().flatten();
                found.push(status);
            }
            if came < together {
                break;
            }
            from += together;
        }
        found.truncate(limit);
        Ok(found)
    }

    /// A run that stands in a list, but for its hold; `None` where it is not seen.
    async fn listed(&self, id: Value) -> Result<Option<RunStatus>, StoreError> {
        let Ok(id) = reply::str(&id)?.parse::<RunId>() else { return Ok(None) };
        match self.account_of(&id).await {
            Ok(account) => self.status_without_hold(&account, &id).await,
            Err(StoreError::NoSuchRun(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

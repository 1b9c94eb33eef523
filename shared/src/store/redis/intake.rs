//! Putting work in: open, append, seal, and forgetting what is never sealed.

use redis::cmd;

use super::{
    RedisStore, keys, record,
    reply::{self, Refusal},
    script,
};
use crate::{
    AccountName, NewRun, Request, RunId, Timestamp,
    store::{CHUNK, OPEN_RUN_EXPIRES, Seal, Sealed, StoreError},
};

impl RedisStore {
    pub(super) async fn open(&self, run: &NewRun) -> Result<(), StoreError> {
        // The index first: a run is never there without its account being known.
        let mut index = cmd("HSETNX");
        index.arg(keys::RUNS).arg(run.id.as_str()).arg(run.account.as_str());
        if reply::int(&self.core.plain(&index).await?)? == 0 {
            // Perhaps by this very call, sent again after it came no further: whether the run is there, the script tells.
            let account = self.core.plain(cmd("HGET").arg(keys::RUNS).arg(run.id.as_str())).await?;
            if reply::maybe(&account)? != Some(run.account.as_str()) {
                return Err(StoreError::IdTaken(run.id.clone()));
            }
        }
        self.core.plain(cmd("SADD").arg(keys::ACCOUNTS).arg(run.account.as_str())).await?;
        let meta = serde_json::to_string(run)
            .map_err(|error| StoreError::Corrupt(format!("run {}", run.id), error.to_string()))?;
        let mut call = self.core.call(script::OPEN, &run.account);
        call.arg(run.id.as_str()).arg(run.priority.rank()).arg(meta);
        self.core.send(script::OPEN, &call).await?.of_run(&run.id, "it can't be opened again")?;
        self.remember(&run.id, &run.account);
        Ok(())
    }

    pub(super) async fn add_requests(
        &self,
        run: &RunId,
        first_seq: u64,
        requests: &[Request],
    ) -> Result<(), StoreError> {
        let mut first = first_seq;
        // Nothing at all is sent, too: it says that the producer is still there.
        for chunk in requests.chunks(CHUNK).chain(requests.is_empty().then_some(requests)) {
            self.on_run(script::APPEND, run, "nothing can be added to it", |call| {
                call.arg(first);
                for request in chunk {
                    call.arg(record::encode_request(request));
                }
            })
            .await?;
            first += chunk.len() as u64;
        }
        Ok(())
    }

    pub(super) async fn seal_run(&self, run: &RunId, seal: &Seal) -> Result<Sealed, StoreError> {
        let account = match self.account_of(run).await {
            Err(StoreError::NoSuchRun(_)) => return self.already_replaced(run, seal).await,
            account => account?,
        };
        let by_action = serde_json::to_string(&seal.by_action)
            .map_err(|error| StoreError::Corrupt(format!("run {run}"), error.to_string()))?;
        // The list of runs first: a sealed run is never missing from it, and an open one in it is not shown.
        match self.list_among_newest(&account, run).await {
            Err(StoreError::NoSuchRun(_)) => return self.already_replaced(run, seal).await,
            listed => listed?,
        }
        let mut call = self.core.call(script::SEAL, &account);
        let key = &seal.idempotency;
        call.arg(run.as_str()).arg(seal.total).arg(by_action).arg(&key.key).arg(&key.digest);
        call.arg(u8::from(key.again_after_end));
        let reply = self.core.send(script::SEAL, &call).await?;
        let existing = |text: String| {
            text.parse::<RunId>()
                .map_err(|error| StoreError::Corrupt("an idempotency key".into(), error.to_string()))
        };
        match reply.refusal() {
            Some(Refusal::Incomplete) => {
                Err(StoreError::Incomplete { run: run.clone(), expected: seal.total, found: reply.count(0)? })
            }
            Some(Refusal::Conflict) => {
                Err(StoreError::Conflict { key: key.key.clone(), existing: existing(reply.text(0)?)? })
            }
            _ => {
                let wanted = match seal.total {
                    0 => "it has no requests, so it can't be sealed",
                    _ => "it can't be sealed with other content",
                };
                let reply = reply.of_run(run, wanted)?;
                if reply.code == 1 {
                    self.drop_from_index(run).await?;
                    return Ok(Sealed::Existing(existing(reply.text(0)?)?));
                }
                let previous = match reply.text(0)? {
                    none if none.is_empty() => None,
                    previous => Some(existing(previous)?),
                };
                Ok(Sealed::New { previous })
            }
        }
    }

    /// A seal asked for again whose run was discarded for the one that has the same content. The digest covers account and
    /// requests, so together with the key it can't stand for anything else.
    async fn already_replaced(&self, run: &RunId, seal: &Seal) -> Result<Sealed, StoreError> {
        let key = &seal.idempotency;
        for account in reply::array(self.core.plain(cmd("SMEMBERS").arg(keys::ACCOUNTS)).await?)? {
            let Ok(account) = reply::text(&account)?.parse::<AccountName>() else { continue };
            let known = self.core.plain(cmd("HGET").arg(keys::of(&account, "keys")).arg(&key.key)).await?;
            let Some((existing, digest)) = reply::maybe(&known)?.and_then(|text| text.split_once(record::FS))
            else {
                continue;
            };
            if digest == key.digest {
                let existing = existing
                    .parse::<RunId>()
                    .map_err(|error| StoreError::Corrupt("an idempotency key".into(), error.to_string()))?;
                self.drop_from_index(run).await?;
                return Ok(Sealed::Existing(existing));
            }
        }
        Err(StoreError::NoSuchRun(run.clone()))
    }

    async fn list_among_newest(&self, account: &AccountName, run: &RunId) -> Result<(), StoreError> {
        let meta = self.core.plain(cmd("HGET").arg(keys::run(account, run)).arg("meta")).await?;
        let Some(meta) = reply::maybe(&meta)? else {
            self.forget(run);
            return Err(StoreError::NoSuchRun(run.clone()));
        };
        let meta: NewRun = serde_json::from_str(meta)
            .map_err(|error| StoreError::Corrupt(format!("run {run}"), error.to_string()))?;
        let mut list = cmd("ZADD");
        list.arg(keys::NEWEST).arg(meta.created_at.as_millis()).arg(run.as_str());
        self.core.plain(&list).await?;
        Ok(())
    }

    pub(super) async fn discard_open(&self, run: &RunId) -> Result<(), StoreError> {
        self.on_run(script::DISCARD, run, "it can't be discarded", |call| {
            call.arg("");
        })
        .await?;
        self.drop_from_index(run).await
    }

    pub(super) async fn drop_from_index(&self, run: &RunId) -> Result<(), StoreError> {
        self.core.plain(cmd("ZREM").arg(keys::NEWEST).arg(run.as_str())).await?;
        self.core.plain(cmd("HDEL").arg(keys::RUNS).arg(run.as_str())).await?;
        self.forget(run);
        Ok(())
    }

    pub(super) async fn expire_open(&self) -> Result<u64, StoreError> {
        let expired = i64::try_from(OPEN_RUN_EXPIRES.as_millis()).unwrap_or(i64::MAX);
        let before = self.core.time().await?.as_millis().saturating_sub(expired);
        let mut forgotten = 0;
        for account in reply::array(self.core.plain(cmd("SMEMBERS").arg(keys::ACCOUNTS)).await?)? {
            let Ok(account) = reply::text(&account)?.parse::<AccountName>() else { continue };
            let mut old = cmd("ZRANGEBYSCORE");
            old.arg(keys::of(&account, "open")).arg("-inf").arg(before).arg("LIMIT").arg(0).arg(CHUNK);
            for run in reply::array(self.core.plain(&old).await?)? {
                let Ok(run) = reply::text(&run)?.parse::<RunId>() else { continue };
                forgotten += u64::from(self.expire_one(&account, &run, before).await?);
            }
        }
        Ok(forgotten)
    }

    /// Whether it was still open and untouched.
    async fn expire_one(&self, account: &AccountName, run: &RunId, before: i64) -> Result<bool, StoreError> {
        let mut call = self.core.call(script::DISCARD, account);
        call.arg(run.as_str()).arg(before);
        let reply = self.core.send(script::DISCARD, &call).await?;
        let gone = reply.code == 0;
        if gone {
            self.drop_from_index(run).await?;
        }
        Ok(gone)
    }
}

impl super::Core {
    /// The clock passed in, or the server's.
    pub(super) async fn time(&self) -> Result<Timestamp, StoreError> {
        if let Some(clock) = &self.clock {
            return Ok(clock.now());
        }
        let parts = reply::array(self.plain(&cmd("TIME")).await?)?;
        let [seconds, micros] = parts.as_slice() else { return Err(reply::odd("TIME has two parts")) };
        Ok(Timestamp::from_millis(reply::int(seconds)? * 1000 + reply::int(micros)? / 1000))
    }
}

//! Idempotency keys that submissions on their way have taken upon themselves.

use std::time::Duration;

use super::{RedisStore, reply, script, working::millis};
use crate::{
    AccountName,
    store::{KeyClaim, StoreError},
};

impl RedisStore {
    pub(super) async fn take_key(
        &self,
        account: &AccountName,
        key: &str,
        claimant: &str,
        ttl: Duration,
    ) -> Result<KeyClaim, StoreError> {
        let mut call = self.core.call(script::CLAIM, account);
        call.arg("take").arg(key).arg(claimant).arg(millis(ttl));
        let reply = self.core.send(script::CLAIM, &call).await?;
        if reply.code == 1 {
            return Ok(KeyClaim::Busy);
        }
        let stands_for = match reply.text(0)?.as_str() {
            "" => None,
            run => Some(run.parse().map_err(|_| reply::odd("a run id that is none"))?),
        };
        Ok(KeyClaim::Granted { stands_for })
    }

    pub(super) async fn give_key_up(
        &self,
        account: &AccountName,
        key: &str,
        claimant: &str,
    ) -> Result<(), StoreError> {
        let mut call = self.core.call(script::CLAIM, account);
        call.arg("give_up").arg(key).arg(claimant);
        self.core.send(script::CLAIM, &call).await.map(drop)
    }
}

//! An account's list of protected users.

use super::{RedisStore, reply, script};
use crate::{AccountName, Protection, Protections, store::StoreError};

impl RedisStore {
    pub(super) async fn add_protection(
        &self,
        account: &AccountName,
        protection: &Protection,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(protection).map_err(|error| odd(account, &error))?;
        let mut call = self.core.call(script::PROTECT, account);
        call.arg(protection.pattern.as_str()).arg(text);
        self.core.send(script::PROTECT, &call).await.map(drop)
    }

    pub(super) async fn remove_protection(
        &self,
        account: &AccountName,
        pattern: &str,
    ) -> Result<bool, StoreError> {
        let mut call = self.core.call(script::PROTECT, account);
        call.arg(pattern).arg("");
        Ok(self.core.send(script::PROTECT, &call).await?.code == 0)
    }

    pub(super) async fn all_protections(&self, account: &AccountName) -> Result<Protections, StoreError> {
        let reply = self.core.send(script::PROTECT, &self.core.call(script::PROTECT, account)).await?;
        read_protections(account, reply)
    }
}

pub(super) fn read_protections(
    account: &AccountName,
    reply: reply::Reply,
) -> Result<Protections, StoreError> {
    let version = reply.count(0)?;
    let mut list = Vec::new();
    for text in reply.into_rest().iter().skip(1) {
        list.push(
            serde_json::from_str::<Protection>(reply::str(text)?).map_err(|error| odd(account, &error))?,
        );
    }
    list.sort_by(|one, other| one.pattern.as_str().cmp(other.pattern.as_str()));
    Ok(Protections { version, list })
}

fn odd(account: &AccountName, error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt(format!("the protected users of {account}"), error.to_string())
}

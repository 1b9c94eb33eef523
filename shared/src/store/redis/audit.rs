//! The audit: its entries, and their seals.

use redis::{Cmd, Value, cmd};

use super::{RedisStore, keys, record, reply, script};
use crate::{
    Timestamp,
    audit::{AuditEntry, AuditEvent, AuditHead},
    store::{CHUNK, StoreError},
};

impl RedisStore {
    fn audit_call(&self) -> Cmd {
        let mut call = script::AUDIT.call(keys::AUDIT);
        call.arg(self.core.now_argument());
        call
    }

    pub(super) async fn append_to_audit(&self, event: &AuditEvent) -> Result<u64, StoreError> {
        let text = serde_json::to_string(event)
            .map_err(|error| StoreError::Corrupt("the audit".into(), error.to_string()))?;
        let mut call = self.audit_call();
        call.arg("tell").arg(text);
        self.core.send(script::AUDIT, &call).await?.count(0)
    }

    pub(super) async fn seal_entries(
        &self,
        head: Option<&AuditHead>,
        seals: &[String],
    ) -> Result<bool, StoreError> {
        if seals.len() > CHUNK {
            return Err(StoreError::Refused(
                format!("no more than {CHUNK} entries are sealed at once").into(),
            ));
        }
        let (number, seal) = head.map_or((0, ""), |head| (head.number, head.seal.as_str()));
        let mut call = self.audit_call();
        call.arg("seal").arg(number).arg(seal).arg(seals);
        Ok(self.core.send(script::AUDIT, &call).await?.code == 0)
    }

    pub(super) async fn last_sealed(&self) -> Result<Option<AuditHead>, StoreError> {
        let mut read = cmd("HMGET");
        read.arg(keys::AUDIT).arg("sealed").arg("seal");
        match reply::array(self.core.plain(&read).await?)?.as_slice() {
            [Value::Nil, _] => Ok(None),
            [number, seal] => Ok(Some(AuditHead {
                number: u64::try_from(reply::int(number)?).map_err(|_| reply::odd("a negative number"))?,
                seal: reply::text(seal)?,
            })),
            _ => Err(reply::odd("HMGET of two fields")),
        }
    }

    pub(super) async fn last_told(&self) -> Result<u64, StoreError> {
        let last = self.core.plain(cmd("HGET").arg(keys::AUDIT).arg("last")).await?;
        let last = reply::maybe(&last)?.map_or(Ok(0), str::parse);
        last.map_err(|_| reply::odd("a number that is none"))
    }

    pub(super) async fn audit_entries(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let last = self.last_told().await?;
        let first = from.max(1);
        let end = last.saturating_add(1).min(first.saturating_add(limit as u64));
        let mut entries = Vec::new();
        let mut at = first;
        while at < end {
            // No further than the page and a chunk go.
            let next = end.min(at + CHUNK as u64).min((at / keys::PAGE + 1) * keys::PAGE);
            let numbers: Vec<u64> = (at..next).collect();
            let page = |what: &str| {
                let mut read = cmd("HMGET");
                read.arg(format!("{}:{what}:{}", keys::AUDIT, at / keys::PAGE)).arg(&numbers);
                read
            };
            let found = reply::array(self.core.plain(&page("entries")).await?)?;
            let seals = reply::array(self.core.plain(&page("seals")).await?)?;
            for ((number, entry), seal) in numbers.iter().zip(&found).zip(&seals) {
                // What somebody removed shows as a gap.
                let Some(text) = reply::maybe(entry)? else { continue };
                entries.push(read_entry(*number, text, reply::maybe(seal)?)?);
            }
            at = next;
        }
        Ok(entries)
    }
}

pub(super) fn read_entry(number: u64, text: &str, seal: Option<&str>) -> Result<AuditEntry, StoreError> {
    let odd = || StoreError::Corrupt(format!("entry {number} of the audit"), "it has no time".into());
    let (at, event) = text.split_once(record::FS).ok_or_else(odd)?;
    let at = at.parse().map(Timestamp::from_millis).map_err(|_| odd())?;
    Ok(AuditEntry { number, at, event: event.to_owned(), seal: seal.map(ToOwned::to_owned) })
}

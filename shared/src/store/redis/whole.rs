//! Submitting a small run in one go.

use redis::cmd;

use super::{RedisStore, keys, record, reply};
use crate::{
    NewRun, Request, RunId, RunPhase,
    audit::AuditEvent,
    store::{Seal, Sealed, StoreError},
};

impl RedisStore {
    pub(super) async fn submit_whole(
        &self,
        run: &NewRun,
        requests: &[Request],
        seal: &Seal,
        event: &AuditEvent,
    ) -> Result<Sealed, StoreError> {
        let mut is_open = true;
        match self.meta(run).await? {
            // By this very call, whose answer was lost.
            Some(known) if known == *run => is_open = self.one_run(&run.id).await?.is_none(),
            Some(_) => return Err(StoreError::IdTaken(run.id.clone())),
            None => {
                if let Some(existing) = self.standing(run, seal).await? {
                    return Ok(Sealed::Existing(existing));
                }
                self.open(run).await?;
            }
        }
        if !is_open {
            return self.seal_run(&run.id, seal).await;
        }
        let sealed = self.fill_and_seal(run, requests, seal, event).await;
        if sealed.as_ref().is_err_and(|error| !error.is_retryable())
            && let Err(problem) = self.discard_open(&run.id).await
        {
            tracing::debug!(run = %run.id, %problem, "an unsealed run is left to expire");
        }
        sealed
    }

    async fn fill_and_seal(
        &self,
        run: &NewRun,
        requests: &[Request],
        seal: &Seal,
        event: &AuditEvent,
    ) -> Result<Sealed, StoreError> {
        self.add_requests(&run.id, 0, requests).await?;
        self.append_to_audit(event).await?;
        self.seal_run(&run.id, seal).await
    }

    /// The run of this account with this id as it was submitted, in whatever phase.
    async fn meta(&self, run: &NewRun) -> Result<Option<NewRun>, StoreError> {
        let found = self.core.plain(cmd("HGET").arg(keys::run(&run.account, &run.id)).arg("meta")).await?;
        let corrupt =
            |error: serde_json::Error| StoreError::Corrupt(format!("run {}", run.id), error.to_string());
        reply::maybe(&found)?.map(|text| serde_json::from_str(text).map_err(corrupt)).transpose()
    }

    /// The run that the key stands for, where sealing would come to it: so that nothing is opened and told for nothing.
    async fn standing(&self, run: &NewRun, seal: &Seal) -> Result<Option<RunId>, StoreError> {
        let key = &seal.idempotency;
        let known = self.core.plain(cmd("HGET").arg(keys::of(&run.account, "keys")).arg(&key.key)).await?;
        let Some((existing, digest)) = reply::maybe(&known)?.and_then(|text| text.split_once(record::FS))
        else {
            return Ok(None);
        };
        let existing: RunId = existing
            .parse()
            .map_err(|_| StoreError::Corrupt("an idempotency key".into(), "it stands for no run".into()))?;
        if digest != key.digest {
            return Err(StoreError::Conflict { key: key.key.clone(), existing });
        }
        let over = |phase: RunPhase| phase.is_over() && key.again_after_end;
        let stands = self.one_run(&existing).await?.is_some_and(|status| !over(status.phase));
        Ok(stands.then_some(existing))
    }
}

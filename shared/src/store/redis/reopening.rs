//! Trying finished jobs again.

use super::{RedisStore, script};
use crate::{
    RunId,
    store::{CHUNK, StoreError},
};

impl RedisStore {
    pub(super) async fn try_again(&self, run: &RunId, seqs: &[u64]) -> Result<u64, StoreError> {
        let mut reopened = 0;
        for chunk in seqs.chunks(CHUNK).chain(seqs.is_empty().then_some(seqs)) {
            let wanted = "its jobs can be tried again once it is over";
            reopened += self
                .on_run(script::REOPEN, run, wanted, |call| {
                    call.arg(chunk);
                })
                .await?
                .count(0)?;
        }
        Ok(reopened)
    }
}

//! From sealed to resolved: the steward's calls.

use std::time::Duration;

use redis::cmd;

use super::{RedisStore, keys, record, reply, script};
use crate::{
    Request, RunId, WorkerId,
    store::{CHUNK, Remaining, Resolution, Steward, StoreError},
};

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

/// The job, where it is still to be carried out.
fn remaining(seq: u64, record: &str, tried: &str) -> Result<Option<Remaining>, record::Flaw> {
    let record = record::Record::cut(record);
    if !record.is_to_be_changed() {
        return Ok(None);
    }
    let request = record.request()?;
    let (user, _) = record.change(&request)?;
    let may_have_applied = record::decode_tries(tried)?.maybe;
    Ok(Some(Remaining { seq, line: request.line, action: request.action, user, may_have_applied }))
}

impl RedisStore {
    pub(super) async fn become_steward(
        &self,
        run: &RunId,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<Option<Steward>, StoreError> {
        loop {
            let reply = self
                .on_run(script::STEWARD, run, "it can't be resolved", |call| {
                    call.arg("take").arg(worker.as_str()).arg(millis(ttl));
                })
                .await?;
            if reply.code == 1 {
                return Ok(None);
            }
            // What is ready of a run that stood still is moved a chunk a call.
            if reply.count(1)? == 0 {
                return Ok(Some(Steward {
                    run: run.clone(),
                    token: reply.count(0)?,
                    worker: worker.clone(),
                }));
            }
        }
    }

    pub(super) async fn stay_steward(&self, steward: &Steward, ttl: Duration) -> Result<(), StoreError> {
        self.on_run(script::STEWARD, &steward.run, "it can't be resolved", |call| {
            call.arg("renew").arg(steward.token).arg(millis(ttl));
        })
        .await
        .map(drop)
    }

    pub(super) async fn end_resolving(&self, steward: Steward) -> Result<(), StoreError> {
        let wanted = "a request has no resolution yet";
        let reply = self
            .on_run(script::STEWARD, &steward.run, wanted, |call| {
                call.arg("finish").arg(steward.token).arg(0);
            })
            .await?;
        if reply.code == 1 {
            let phase = reply::phase(&reply.text(0)?)?;
            return Err(StoreError::WrongPhase { run: steward.run, phase, wanted });
        }
        Ok(())
    }

    pub(super) async fn record_resolutions(
        &self,
        steward: &Steward,
        resolved: &[(u64, Resolution)],
    ) -> Result<(), StoreError> {
        let seqs: Vec<u64> = resolved.iter().map(|(seq, _)| *seq).collect();
        let mut written = self.requests_at(&steward.run, &seqs).await?.into_iter();
        // Nothing at all is sent, too: it says whether the stewardship is in force.
        for chunk in resolved.chunks(CHUNK).chain(resolved.is_empty().then_some(resolved)) {
            let wanted = "it has no request at a place that was resolved";
            self.on_run(script::RESOLVE, &steward.run, wanted, |call| {
                call.arg(steward.token);
                for (seq, resolution) in chunk {
                    // The address is written short where it is the one of the request.
                    let user = written.next().flatten();
                    let user = user.as_ref().map_or("", |request| request.user.as_str());
                    call.arg(*seq).arg(record::encode_resolution(user, resolution));
                }
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn still_to_change(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<Remaining>, StoreError> {
        let end = self.places(run).await?;
        let tries = format!("{}:tries", keys::run(&self.account_of(run).await?, run));
        let (mut found, mut from) = (Vec::new(), from_seq);
        while found.len() < limit && from < end {
            let seqs: Vec<u64> = (from..end.min(from + CHUNK as u64)).collect();
            let records = self.records(run, &seqs).await?;
            let tried = reply::array(self.core.plain(cmd("HMGET").arg(&tries).arg(&seqs)).await?)?;
            for ((seq, record), tried) in seqs.iter().zip(records).zip(tried) {
                let Some(record) = record else { continue };
                let tried = reply::maybe(&tried)?.unwrap_or_default();
                let one = remaining(*seq, &record, tried)
                    .map_err(|flaw| StoreError::Corrupt(format!("job {run}/{seq}"), flaw))?;
                found.extend(one);
                if found.len() == limit {
                    break;
                }
            }
            from += seqs.len() as u64;
        }
        Ok(found)
    }

    /// The requests at these places, `None` where there is none.
    async fn requests_at(&self, run: &RunId, seqs: &[u64]) -> Result<Vec<Option<Request>>, StoreError> {
        let mut found = Vec::with_capacity(seqs.len());
        for text in self.records(run, seqs).await? {
            found.push(match text {
                Some(text) => Some(
                    record::Record::cut(&text)
                        .request()
                        .map_err(|flaw| StoreError::Corrupt(format!("a request of run {run}"), flaw))?,
                ),
                None => None,
            });
        }
        Ok(found)
    }

    /// The records at these places, `None` where there is none.
    pub(super) async fn records(&self, run: &RunId, seqs: &[u64]) -> Result<Vec<Option<String>>, StoreError> {
        let key = keys::run(&self.account_of(run).await?, run);
        let mut found = Vec::with_capacity(seqs.len());
        for part in seqs.chunk_by(|a, b| a / keys::PAGE == b / keys::PAGE).flat_map(|part| part.chunks(CHUNK))
        {
            let mut read = cmd("HMGET");
            read.arg(keys::page(&key, part[0])).arg(part);
            for value in reply::array(self.core.plain(&read).await?)? {
                found.push(reply::maybe(&value)?.map(ToOwned::to_owned));
            }
        }
        Ok(found)
    }

    pub(super) async fn read_requests(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Request)>, StoreError> {
        let end = self.places(run).await?;
        let mut requests = Vec::new();
        let mut from = from_seq;
        while requests.len() < limit && from < end {
            let most = (limit - requests.len()).min(CHUNK) as u64;
            let seqs: Vec<u64> = (from..end.min(from + most)).collect();
            for (seq, request) in seqs.iter().zip(self.requests_at(run, &seqs).await?) {
                requests.extend(request.map(|request| (*seq, request)));
            }
            from += seqs.len() as u64;
        }
        Ok(requests)
    }
}

//! What each request came to, and what became of each job.

use redis::cmd;

use super::{RedisStore, keys, record, record::Record, reply};
use crate::{
    Attempt, OutcomeRow, RunId,
    plan::Planned,
    store::{CHUNK, StoreError},
};

/// The most outcomes of one call.
const MOST_ROWS: usize = 5_000;

impl RedisStore {
    pub(super) async fn outcome_rows(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRow>, StoreError> {
        let limit = limit.min(MOST_ROWS);
        let end = self.places(run).await?;
        let (mut rows, mut from) = (Vec::new(), from_seq);
        while rows.len() < limit && from < end {
            let seqs: Vec<u64> = (from..end.min(from + CHUNK as u64)).collect();
            for (seq, text) in seqs.iter().zip(self.records(run, &seqs).await?) {
                let Some(text) = text else { continue };
                rows.extend(Record::cut(&text).row(*seq).map_err(|flaw| corrupt(run, *seq, flaw))?);
                if rows.len() == limit {
                    break;
                }
            }
            from += seqs.len() as u64;
        }
        Ok(rows)
    }

    pub(super) async fn read_planned(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<Planned>, StoreError> {
        let end = self.places(run).await?;
        let (mut found, mut from) = (Vec::new(), from_seq);
        while found.len() < limit && from < end {
            let seqs: Vec<u64> = (from..end.min(from + CHUNK as u64)).collect();
            for (seq, text) in seqs.iter().zip(self.records(run, &seqs).await?) {
                let Some(text) = text else { continue };
                found.extend(Record::cut(&text).planned(*seq).map_err(|flaw| corrupt(run, *seq, flaw))?);
                if found.len() == limit {
                    break;
                }
            }
            from += seqs.len() as u64;
        }
        Ok(found)
    }

    pub(super) async fn attempts_at(&self, run: &RunId, seq: u64) -> Result<Vec<Attempt>, StoreError> {
        if seq >= self.places(run).await? {
            return Ok(Vec::new());
        }
        // The record first: a job that finishes in between then has an attempt too few here, never one twice.
        let record = self.records(run, &[seq]).await?.pop().flatten();
        let key = keys::run(&self.account_of(run).await?, run);
        let tries = self.core.plain(cmd("HGET").arg(format!("{key}:tries")).arg(seq)).await?;
        let mut attempts = match reply::maybe(&tries)? {
            Some(text) => record::decode_ledger(text).map_err(|flaw| corrupt(run, seq, flaw))?,
            None => Vec::new(),
        };
        if let Some(text) = record {
            attempts.extend(Record::cut(&text).last_attempt().map_err(|flaw| corrupt(run, seq, flaw))?);
        }
        Ok(attempts)
    }

    pub(super) async fn left_out(&self, run: &RunId) -> Result<Vec<(u64, String, u64)>, StoreError> {
        self.places(run).await?;
        let key = format!("{}:dups", keys::run(&self.account_of(run).await?, run));
        let (mut found, mut from) = (Vec::new(), 0);
        loop {
            let mut page = cmd("ZRANGE");
            page.arg(&key).arg(from).arg(from + CHUNK - 1);
            let seqs = reply::array(self.core.plain(&page).await?)?;
            let seqs = seqs
                .iter()
                .map(|seq| u64::try_from(reply::int(seq)?).map_err(|_| reply::odd("a negative place")))
                .collect::<Result<Vec<_>, _>>()?;
            for (seq, text) in seqs.iter().zip(self.records(run, &seqs).await?) {
                let text = text.ok_or_else(|| corrupt(run, *seq, "it is not there".into()))?;
                let record = Record::cut(&text);
                let request = record.request().map_err(|flaw| corrupt(run, *seq, flaw))?;
                let of_line = record.duplicate_of().map_err(|flaw| corrupt(run, *seq, flaw))?;
                found.extend(of_line.map(|line| (request.line, request.user.as_str().to_owned(), line)));
            }
            if seqs.len() < CHUNK {
                return Ok(found);
            }
            from += CHUNK;
        }
    }
}

fn corrupt(run: &RunId, seq: u64, flaw: String) -> StoreError {
    StoreError::Corrupt(format!("job {run}/{seq}"), flaw)
}

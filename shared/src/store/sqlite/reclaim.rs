//! Taking jobs back from workers that died or were too slow.

use rusqlite::{Row, params};

use super::{
    errors::{StepResult, unreadable},
    flight,
    ledger::{End, end, enqueue, record},
    moves::Moves,
    runs::Run,
    schema::{Place, State},
    writer::Step,
};
use crate::{Attempt, Timestamp, Verdict, WorkerId};

/// A lease as the store keeps it.
pub(super) struct Kept {
    pub(super) token: u64,
    pub(super) run: i64,
    pub(super) worker: String,
    pub(super) granted_at: Timestamp,
    pub(super) until: Timestamp,
    pub(super) seqs: Vec<u64>,
}

impl Kept {
    /// The columns that [`Kept::read`] expects.
    pub(super) const COLUMNS: &'static str = "token, run, worker, granted_at, until, seqs";

    /// Reads a row of these columns.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<StepResult<Self>> {
        let seqs: String = row.get(5)?;
        let (token, run, worker) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (granted_at, until) = (Timestamp::from_millis(row.get(3)?), Timestamp::from_millis(row.get(4)?));
        Ok(serde_json::from_str(&seqs)
            .map(|seqs| Self { token, run, worker, granted_at, until, seqs })
            .map_err(|problem| unreadable("the jobs of a lease", problem)))
    }

    /// Forgets the lease.
    pub(super) fn delete(&self, step: &Step<'_>) -> StepResult<()> {
        step.conn.prepare_cached("DELETE FROM leases WHERE token = ?1")?.execute([self.token])?;
        Ok(())
    }
}

/// Which leases are taken back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    /// Those of an account that have lapsed.
    Lapsed(i64),
    /// All: their holder is known to be gone.
    All,
}

/// Takes leases back, some `limit` jobs at most (but one lease at least). Returns whether there were any.
pub(super) fn reclaim(step: &Step<'_>, moves: &mut Moves, whose: Whose, limit: usize) -> StepResult<bool> {
    let (filter, account, before) = match whose {
        Whose::Lapsed(account) => ("account = ?1 AND until <= ?2", account, step.now.as_millis()),
        Whose::All => ("?1 = 0 AND ?2 = 0", 0, 0),
    };
    let sql = format!("SELECT {} FROM leases WHERE {filter} ORDER BY until LIMIT ?3", Kept::COLUMNS);
    let lapsed: Vec<Kept> = step
        .conn
        .prepare_cached(&sql)?
        .query_and_then(params![account, before, limit], |row| Kept::read(row)?)?
        .collect::<StepResult<_>>()?;
    let mut taken = 0;
    for lease in &lapsed {
        if taken > 0 && taken + lease.seqs.len() > limit {
            break;
        }
        taken += lease.seqs.len();
        take_back(step, moves, lease)?;
    }
    Ok(taken > 0)
}

fn take_back(step: &Step<'_>, moves: &mut Moves, lease: &Kept) -> StepResult<()> {
    let run = Run::numbered(step.conn, lease.run)?;
    let lost = Attempt {
        began_at: lease.granted_at,
        ended_at: lease.until.min(step.now).max(lease.granted_at),
        calls: 0,
        http: None,
        verdict: Verdict::Lost,
        code: None,
        worker: WorkerId::new(&lease.worker),
    };
    let ending = run.ending()?;
    for seq in &lease.seqs {
        let place = Place::of(lease.run, *seq);
        record(step, moves, place, &lost, true)?;
        match &ending {
            Some(ending) => end(step, moves, place, State::Leased, End::with(ending))?,
            None => enqueue(step, moves, place, State::Leased, None)?,
        }
        flight::release(step, moves, run.account, place, None)?;
    }
    lease.delete(step)
}

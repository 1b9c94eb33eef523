//! Finding runs and accounts.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    errors::{StepResult, unreadable},
    schema::read_phase,
};
use crate::{
    AccountName, Ending, Hold, NewRun, Priority, RunId, RunNotes, RunPhase, Timestamp,
    store::{STANDS_STILL, StoreError},
};

/// What the steps need to know of a run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) key: i64,
    pub(super) id: RunId,
    pub(super) account: i64,
    pub(super) account_name: AccountName,
    pub(super) phase: RunPhase,
    pub(super) paused: bool,
    pub(super) cancelled: bool,
    pub(super) admission: Option<u64>,
    pub(super) total: u64,
    pub(super) pending: u64,
    pub(super) finished: u64,
    pub(super) unresolved: u64,
    pub(super) promoted: u64,
    pub(super) leased: u64,
    pub(super) fresh_at: Option<Timestamp>,
    pub(super) reopened: bool,
    notes: Option<String>,
}

const SELECT: &str = "
    SELECT r.key, r.id, r.account, a.name, r.phase, r.paused, r.cancelled, r.admission, r.total, r.pending, r.finished,
           r.unresolved, r.promoted, r.leased, r.fresh_at, r.reopened, r.notes
    FROM runs r JOIN accounts a ON a.key = r.account ";

fn read(row: &Row<'_>) -> rusqlite::Result<StepResult<Run>> {
    let (id, name, phase): (String, String, String) = (row.get(1)?, row.get(3)?, row.get(4)?);
    let (key, account) = (row.get(0)?, row.get(2)?);
    let (paused, cancelled, admission) = (row.get(5)?, row.get(6)?, row.get(7)?);
    let (total, pending, finished) = (row.get(8)?, row.get(9)?, row.get(10)?);
    let (unresolved, promoted, leased) = (row.get(11)?, row.get(12)?, row.get(13)?);
    let fresh_at = row.get::<_, Option<i64>>(14)?.map(Timestamp::from_millis);
    let (reopened, notes) = (row.get(15)?, row.get(16)?);
    Ok((|| {
        Ok(Run {
            key,
            account,
            id: read_id(&id)?,
            account_name: name.parse().map_err(|problem| unreadable("an account's name", problem))?,
            phase: phase_of(&phase)?,
            paused,
            cancelled,
            admission,
            total,
            pending,
            finished,
            unresolved,
            promoted,
            leased,
            fresh_at,
            reopened,
            notes,
        })
    })())
}

/// The number of the next run of an account.
pub(super) fn next_number(conn: &Connection, account: i64) -> StepResult<u64> {
    Ok(conn
        .prepare_cached(
            "UPDATE accounts SET admissions = admissions + 1 WHERE key = ?1 RETURNING admissions",
        )?
        .query_row([account], |row| row.get(0))?)
}

/// Reads a run's id.
pub(super) fn read_id(text: &str) -> StepResult<RunId> {
    text.parse().map_err(|problem| unreadable("a run's id", problem))
}

/// Reads a phase.
pub(super) fn phase_of(word: &str) -> StepResult<RunPhase> {
    read_phase(word).ok_or_else(|| unreadable("a run's phase", word))
}

/// Reads a priority from its rank.
pub(super) fn priority_of(rank: u8) -> StepResult<Priority> {
    Priority::ALL
        .into_iter()
        .find(|priority| priority.rank() == rank)
        .ok_or_else(|| unreadable("a run's priority", rank))
}

impl Run {
    /// The run with this id, in whatever phase.
    pub(super) fn find(conn: &Connection, id: &RunId) -> StepResult<Option<Self>> {
        conn.prepare_cached(&format!("{SELECT} WHERE r.id = ?1"))?
            .query_row([id.as_str()], read)
            .optional()?
            .transpose()
    }

    /// The run with this number.
    pub(super) fn numbered(conn: &Connection, key: i64) -> StepResult<Self> {
        conn.prepare_cached(&format!("{SELECT} WHERE r.key = ?1"))?.query_row([key], read)?
    }

    /// The run with this id, which must be known and may still be open.
    pub(super) fn known(conn: &Connection, id: &RunId) -> StepResult<Self> {
        Ok(Self::find(conn, id)?.ok_or_else(|| StoreError::NoSuchRun(id.clone()))?)
    }

    /// The run with this id, which must be sealed: open ones are seen by nobody but their producer.
    pub(super) fn visible(conn: &Connection, id: &RunId) -> StepResult<Self> {
        let run = Self::known(conn, id)?;
        if run.phase == RunPhase::Open {
            return Err(StoreError::NoSuchRun(id.clone()).into());
        }
        Ok(run)
    }

    /// The run as it was opened, but for its priority.
    pub(super) fn as_opened(&self, conn: &Connection) -> StepResult<NewRun> {
        let meta: String = conn
            .prepare_cached("SELECT meta FROM runs WHERE key = ?1")?
            .query_row([self.key], |row| row.get(0))?;
        read_meta(&meta)
    }

    /// Where its pending jobs are found, to be followed by what they have in common: those of a run that was opened again lie
    /// scattered among others.
    pub(super) fn pending_jobs(&self) -> &'static str {
        if self.reopened { "jobs INDEXED BY jobs_again WHERE again = 1 AND" } else { "jobs WHERE" }
    }

    /// What is noted on it.
    pub(super) fn notes(&self) -> StepResult<RunNotes> {
        read_notes(self.notes.as_deref())
    }

    /// How its rest is being ended; `None` where it is not.
    pub(super) fn ending(&self) -> StepResult<Option<Ending>> {
        ending_of(self.cancelled, self.notes.as_deref())
    }

    /// The refusal of something that the run can't do where it is.
    pub(super) fn refuse(&self, wanted: &'static str) -> StoreError {
        StoreError::WrongPhase { run: self.id.clone(), phase: self.phase, wanted }
    }

    /// Whether its users are to be resolved again before anything of it is leased.
    pub(super) fn stood_still(&self, now: Timestamp) -> bool {
        matches!(self.phase, RunPhase::Resolved | RunPhase::Admitted)
            && self.fresh_at.is_none_or(|fresh| now.since(fresh) > STANDS_STILL)
    }

    /// Refuses what can't be done to a run that stood still.
    pub(super) fn goes_on(&self, now: Timestamp) -> StepResult<()> {
        if self.stood_still(now) {
            return Err(self
                .refuse("it stood still, so its users are resolved again before it goes on")
                .into());
        }
        Ok(())
    }

    /// Refuses what can't be done to a run that is over.
    pub(super) fn not_over(self, wanted: &'static str) -> StepResult<Self> {
        if self.phase.is_over() { Err(self.refuse(wanted).into()) } else { Ok(self) }
    }
}

/// The number of an account; `None` where the store has never heard of it.
pub(super) fn account_key(conn: &Connection, account: &AccountName) -> StepResult<Option<i64>> {
    Ok(conn
        .prepare_cached("SELECT key FROM accounts WHERE name = ?1")?
        .query_row([account.as_str()], |row| row.get(0))
        .optional()?)
}

/// The number of an account, given one now where it has none.
pub(super) fn account_key_or_new(conn: &Connection, account: &AccountName) -> StepResult<i64> {
    if let Some(key) = account_key(conn, account)? {
        return Ok(key);
    }
    Ok(conn.prepare_cached("INSERT INTO accounts (name) VALUES (?1)")?.insert([account.as_str()])?)
}

/// Reads a hold; one whose time has passed is over.
pub(super) fn in_force(text: Option<&str>, now: Timestamp) -> StepResult<Option<Hold>> {
    let hold: Option<Hold> = text
        .map(serde_json::from_str)
        .transpose()
        .map_err(|problem| unreadable("the hold of an account", problem))?;
    Ok(hold.filter(|hold| hold.until.is_none_or(|until| until > now)))
}

/// Reads what is noted on a run.
pub(super) fn read_notes(text: Option<&str>) -> StepResult<RunNotes> {
    let notes = text.map(serde_json::from_str).transpose();
    Ok(notes.map_err(|problem| unreadable("the notes of a run", problem))?.unwrap_or_default())
}

/// Writes what is noted on a run.
pub(super) fn write_notes(conn: &Connection, run: i64, notes: &RunNotes) -> StepResult<()> {
    let text = serde_json::to_string(notes).map_err(|e| unreadable("notes to be stored", e))?;
    conn.prepare_cached("UPDATE runs SET notes = ?2 WHERE key = ?1")?.execute(params![run, text])?;
    Ok(())
}

/// How the rest of a run is being ended. Whoever cancelled it without a note was a person with an older usher.
pub(super) fn ending_of(cancelled: bool, notes: Option<&str>) -> StepResult<Option<Ending>> {
    if !cancelled {
        return Ok(None);
    }
    Ok(Some(read_notes(notes)?.ending.unwrap_or_else(Ending::cancelled)))
}

/// Reads a run as it was opened.
pub(super) fn read_meta(text: &str) -> StepResult<NewRun> {
    serde_json::from_str(text).map_err(|problem| unreadable("a run", problem))
}

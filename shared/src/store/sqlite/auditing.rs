//! The audit: appended to, sealed, read; nothing here changes or takes away an entry that is sealed.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    errors::{StepResult, unreadable},
    writer::Step,
};
use crate::{
    Timestamp,
    audit::{AuditEntry, AuditEvent, AuditHead},
};

pub(super) fn tell(step: &mut Step<'_>, event: &AuditEvent) -> StepResult<u64> {
    let event = serde_json::to_string(event).map_err(|e| unreadable("an event to be stored", e))?;
    Ok(step
        .conn
        .prepare_cached(
            "INSERT INTO audit (number, at, event) SELECT coalesce(max(number), 0) + 1, ?1, ?2 FROM audit
             RETURNING number",
        )?
        .query_row(params![step.now.as_millis(), event], |row| row.get(0))?)
}

pub(super) fn entries(conn: &Connection, from: u64, limit: usize) -> StepResult<Vec<AuditEntry>> {
    let entries = conn
        .prepare_cached(
            "SELECT number, at, event, seal FROM audit WHERE number >= ?1 ORDER BY number LIMIT ?2",
        )?
        .query_map(
            params![i64::try_from(from).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| {
                let at = Timestamp::from_millis(row.get(1)?);
                Ok(AuditEntry { number: row.get(0)?, at, event: row.get(2)?, seal: row.get(3)? })
            },
        )?
        .collect::<Result<_, _>>()?;
    Ok(entries)
}

/// The number of the last entry, sealed or not.
pub(super) fn last(conn: &Connection) -> StepResult<u64> {
    Ok(conn.prepare_cached("SELECT coalesce(max(number), 0) FROM audit")?.query_row([], |row| row.get(0))?)
}

pub(super) fn head(conn: &Connection) -> StepResult<Option<AuditHead>> {
    Ok(conn
        .prepare_cached(
            "SELECT number, seal FROM audit INDEXED BY audit_sealed WHERE seal IS NOT NULL
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row([], |row| Ok(AuditHead { number: row.get(0)?, seal: row.get(1)? }))
        .optional()?)
}

/// Seals what follows the head; `false`, and nothing is sealed, where that is another by now or too little follows it.
pub(super) fn seal(step: &mut Step<'_>, known: Option<&AuditHead>, seals: &[String]) -> StepResult<bool> {
    let head = head(step.conn)?;
    let last = last(step.conn)?;
    let sealed = head.as_ref().map_or(0, |head| head.number);
    if head.as_ref() != known || last.saturating_sub(sealed) < seals.len() as u64 {
        return Ok(false);
    }
    let mut write =
        step.conn.prepare_cached("UPDATE audit SET seal = ?2 WHERE number = ?1 AND seal IS NULL")?;
    for (number, seal) in (sealed + 1..).zip(seals) {
        write.execute(params![number, seal])?;
    }
    Ok(true)
}

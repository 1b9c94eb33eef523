//! A look at the database file itself.

use rusqlite::Connection;

use super::errors::StepResult;
use crate::store::Finding;

/// Whether the file is whole, and how it keeps what is being written. Reads all of it.
pub(super) fn examine(conn: &Connection) -> StepResult<Vec<Finding>> {
    // The first problem is enough to know what to do.
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let problem = (verdict != "ok").then_some(verdict);
    Ok(vec![Finding::Integrity(problem), Finding::Journal(mode.to_lowercase())])
}

//! The report for people.

use std::io::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

pub use usher_shared::view::text::printable;

use super::Rows;
use crate::exit::Failure;

/// An empty table in the house's style: as wide as the terminal, or as its content where there is none.
pub fn new<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// Aligns the numbers of a column to the right.
pub fn right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Writes the rows as tables of a page each.
pub async fn write(rows: &mut Rows, to: &mut (dyn Write + Send)) -> Result<u64, Failure> {
    let mut written = 0;
    while let Some(page) = rows.page().await? {
        if page.is_empty() {
            continue;
        }
        let mut table = new(["line", "user", "action", "outcome", "code", "message", "attempts"]);
        right(&mut table, 0);
        right(&mut table, 6);
        for row in &page {
            table.add_row([
                row.line.to_string(),
                printable(row.user.as_str()),
                row.action.to_string(),
                row.outcome.to_string(),
                printable(row.code.as_deref().unwrap_or_default()),
                printable(row.message.as_deref().unwrap_or_default()),
                row.attempts.to_string(),
            ]);
        }
        writeln!(to, "{}", table.trim_fmt())?;
        written += page.len() as u64;
    }
    if written == 0 {
        writeln!(to, "No users to show.")?;
    }
    to.flush()?;
    Ok(written)
}

//! The report for programs: exact, a row for each user.

use std::io::Write;

use usher_shared::view::OutcomeView;

use super::Rows;
use crate::exit::Failure;

/// Writes the rows as one JSON array, a row a line.
pub async fn write(rows: &mut Rows, to: &mut (dyn Write + Send)) -> Result<u64, Failure> {
    let mut written = 0_u64;
    while let Some(page) = rows.page().await? {
        for row in &page {
            to.write_all(if written == 0 { b"[\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *to, &OutcomeView::from(row)).map_err(std::io::Error::from)?;
            written += 1;
        }
    }
    to.write_all(if written == 0 { b"[]\n" } else { b"\n]\n" })?;
    to.flush()?;
    Ok(written)
}

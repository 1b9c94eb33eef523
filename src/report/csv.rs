//! The report for spreadsheets.

use std::io::Write;

use usher_shared::view::{COLUMNS, cells};

use super::Rows;
use crate::exit::Failure;

/// Writes the rows as CSV with a header.
pub async fn write(rows: &mut Rows, to: &mut (dyn Write + Send)) -> Result<u64, Failure> {
    let mut written = 0;
    let mut csv = ::csv::Writer::from_writer(to);
    csv.write_record(COLUMNS).map_err(failed)?;
    while let Some(page) = rows.page().await? {
        for row in &page {
            csv.write_record(cells(row)).map_err(failed)?;
        }
        written += page.len() as u64;
    }
    csv.flush()?;
    Ok(written)
}

fn failed(error: ::csv::Error) -> Failure {
    Failure { exit: crate::exit::Exit::Internal, error: error.into() }
}

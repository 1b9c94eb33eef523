//! The report for spreadsheets.

use std::io::Write;

use usher_shared::OutcomeRow;

use super::Rows;
use crate::exit::Failure;

/// The columns: an interface, never reordered.
pub const COLUMNS: [&str; 10] = [
    "line",
    "user",
    "action",
    "outcome",
    "code",
    "message",
    "attempts",
    "first_attempt_at",
    "last_attempt_at",
    "worker",
];

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

fn cells(row: &OutcomeRow) -> [String; 10] {
    let time = |at: Option<usher_shared::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    [
        row.line.to_string(),
        no_formula(row.user.as_str()),
        row.action.to_string(),
        row.outcome.to_string(),
        no_formula(row.code.as_deref().unwrap_or_default()),
        no_formula(row.message.as_deref().unwrap_or_default()),
        row.attempts.to_string(),
        time(row.first_attempt_at),
        time(row.last_attempt_at),
        no_formula(row.worker.as_ref().map(usher_shared::WorkerId::as_str).unwrap_or_default()),
    ]
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"). Line breaks
/// and other control characters become spaces, so that a row stays a row in every tool.
pub fn no_formula(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let first = text.chars().next();
    if matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')) {
        format!("'{clean}")
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_starts_a_formula() {
        let cases = [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "' =1"),
            ("\r\n=1", "'  =1"),
            ("ann@corp.example", "ann@corp.example"),
            ("two\nlines", "two lines"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(no_formula(text), expected);
        }
    }
}

//! Whatever the bytes, intake neither panics nor hangs; and what the `csv` crate writes, it reads back.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use usher_producer::intake::{Format, IntakeOptions, Row, parse};
use usher_shared::Action;

/// Bytes that matter to a parser, more often than chance would have them.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop::sample::select(b"\"\",;\t\r\n {}[]:\\@ax1\xef\xbb\xbf\xff\xfe\x00\xc3\xbc".to_vec());
    prop::collection::vec(prop_oneof![4 => telling, 1 => any::<u8>()], 0..400)
}

fn format() -> impl Strategy<Value = Option<Format>> {
    prop::option::of(prop::sample::select(Format::ALL.to_vec()))
}

proptest! {
    #[test]
    fn whatever_the_bytes_rows_end_and_lines_never_go_back(
        header in prop::sample::select(vec!["", "email,x\n", "id;action\n", "{\"email\":\"a@x\"}\n"]),
        bytes in bytes(),
        format in format(),
    ) {
        let text = [header.as_bytes(), &bytes].concat();
        let breaks = text.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count() as u64;
        let options = IntakeOptions { format, action: Some(Action::Activate) };
        if let Ok(intake) = parse("any", std::io::Cursor::new(text), options) {
            let mut last = 0;
            for row in intake {
                let line = match row {
                    Ok(Row::Request(request)) => request.line,
                    Ok(Row::Duplicate(duplicate)) => { prop_assert!(duplicate.first_line < duplicate.line); duplicate.line }
                    Ok(Row::Bad(bad)) => bad.line,
                    Err(error) => { prop_assert!(error.to_string().starts_with("any")); break; }
                };
                prop_assert!(line > last, "line {} after {}", line, last);
                last = line;
            }
            prop_assert!(last <= breaks + 1);
        }
    }

    #[test]
    fn what_the_csv_crate_writes_is_read_back(
        rows in prop::collection::vec(("[a-z\"\n\r,;\t ü]{0,12}", "[a-z ,;\"\n]{0,8}"), 1..30),
        delimiter in prop::sample::select(vec![(b',', Format::Csv), (b';', Format::Semicolon), (b'\t', Format::Tsv)]),
        style in prop::sample::select(vec![csv::QuoteStyle::Always, csv::QuoteStyle::Necessary, csv::QuoteStyle::NonNumeric]),
        crlf in any::<bool>(),
    ) {
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter.0)
            .quote_style(style)
            .terminator(terminator)
            .from_writer(Vec::new());
        writer.write_record(["name", "email", "reason"]).unwrap();
        for (index, (name, reason)) in rows.iter().enumerate() {
            writer.write_record([name.as_str(), &format!("u{index}@x"), reason]).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let options = IntakeOptions { format: None, action: Some(Action::Deactivate) };
        let intake = parse("written", std::io::Cursor::new(text), options).unwrap();
        prop_assert_eq!(intake.format(), delimiter.1);
        let read: Vec<Row> = intake.map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), rows.len());
        let mut line = 2;
        for (index, (row, (name, reason))) in read.iter().zip(&rows).enumerate() {
            let Row::Request(request) = row else { return Err(TestCaseError::fail(format!("{row:?}"))) };
            prop_assert_eq!(request.user.as_str(), format!("u{index}@x"));
            let said = reason.trim();
            prop_assert_eq!(request.reason.as_deref(), (!said.is_empty()).then_some(said));
            prop_assert_eq!(request.line, line);
            line += 1 + breaks(name) + breaks(reason);
        }
    }
}

/// Line breaks as an editor counts them.
fn breaks(text: &str) -> u64 {
    let plain = text.replace("\r\n", "\n").replace('\r', "\n");
    plain.matches('\n').count() as u64
}

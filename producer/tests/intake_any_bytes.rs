//! Whatever the bytes, intake neither panics nor hangs; and what the `csv` crate writes, it reads back.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::HashMap,
    io::{self, Read},
};

use proptest::prelude::*;
use usher_producer::intake::{Format, IntakeOptions, Row, parse};
use usher_shared::{Action, UserRef};

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

/// Yields a few bytes at a time, as a slow pipe does, and is interrupted now and then.
struct Trickle {
    bytes: io::Cursor<Vec<u8>>,
    most: usize,
    reads: usize,
}

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        if self.reads % 5 == 3 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = (1 + self.reads % self.most).min(into.len());
        self.bytes.read(&mut into[..most])
    }
}

/// Everything that is read of a file, and the error at its end in its words.
fn read_all(
    reader: impl Read + Send + 'static,
    options: IntakeOptions,
) -> (Option<Format>, Vec<Row>, Option<String>) {
    let intake = match parse("any", reader, options) {
        Ok(intake) => intake,
        Err(error) => return (None, vec![], Some(error.to_string())),
    };
    let format = intake.format();
    let (mut rows, mut failed) = (Vec::new(), None);
    for row in intake {
        assert!(failed.is_none(), "nothing comes after an error");
        match row {
            Ok(row) => rows.push(row),
            Err(error) => failed = Some(error.to_string()),
        }
    }
    (Some(format), rows, failed)
}

fn line_of(row: &Row) -> u64 {
    match row {
        Row::Request(request) => request.line,
        Row::Duplicate(duplicate) => duplicate.line,
        Row::Bad(bad) => bad.line,
    }
}

/// The file's lines as an editor shows them, whatever its encoding.
fn lines(bytes: &[u8]) -> Vec<String> {
    let (encoding, mark) = encoding_rs::Encoding::for_bom(bytes).unwrap_or((encoding_rs::UTF_8, 0));
    let (text, _) = encoding.decode_without_bom_handling(&bytes[mark..]);
    text.replace("\r\n", "\n").replace('\r', "\n").split('\n').map(str::to_owned).collect()
}

fn check_request(request: &usher_shared::Request, given: Option<Action>) {
    let user = request.user.as_str();
    assert_eq!(user.parse::<UserRef>().as_ref(), Ok(&request.user));
    assert!(!matches!(user.to_lowercase().as_str(), "" | "me" | "." | ".."), "{user:?}");
    let no_user_has =
        |c: char| c.is_control() || c.is_whitespace() || "/\\,;\"<>\u{fffd}\u{200b}".contains(c);
    assert!(!user.contains(no_user_has), "{user:?}");
    assert!(given.is_none_or(|given| given == request.action));
    assert!(request.reason.as_ref().is_none_or(|reason| {
        !reason.is_empty() && reason.trim() == reason && reason.chars().count() <= 1_000
    }));
}

/// An input is a letter for the options, one for how the bytes come, and a file's bytes.
#[test]
fn any_file_is_read_by_the_rules_however_its_bytes_come() {
    bolero::check!(name = "intake").with_iterations(2_000).for_each(|input: &[u8]| {
        let [options, pieces, bytes @ ..] = input else { return };
        let format = Format::ALL.get(usize::from(options % 6)).copied();
        let action = Action::ALL.get(usize::from(options / 6 % 3)).copied();
        let options = IntakeOptions { format, action };
        let whole = read_all(io::Cursor::new(bytes.to_vec()), options);
        let most = 1 + usize::from(*pieces);
        let in_pieces = read_all(Trickle { bytes: io::Cursor::new(bytes.to_vec()), most, reads: 0 }, options);
        assert_eq!(whole, in_pieces, "read alike, however it comes");

        let (found, rows, error) = whole;
        assert!(format.is_none() || found.is_none() || found == format);
        assert!(
            error.as_ref().is_none_or(|error| error.contains("any") && error.chars().count() <= 2_000),
            "{error:?}"
        );
        let lines = lines(bytes);
        let mut first_of: HashMap<String, (u64, Action)> = HashMap::new();
        for (row, next) in rows.iter().zip(rows.iter().skip(1).map(Some).chain([None])) {
            let line = line_of(row);
            let end = next.map_or(lines.len() as u64 + 1, line_of);
            assert!(line >= 1 && line < end && end <= lines.len() as u64 + 1, "{row:?}, then {next:?}");
            let text = lines[line as usize - 1..end as usize - 1].join("\n");
            // JSON may write any character as an escape.
            let stands = |user: &UserRef| text.contains(user.as_str()) || text.contains('\\');
            match row {
                Row::Request(request) => {
                    check_request(request, action);
                    assert!(stands(&request.user), "{request:?} is not on its line: {text:?}");
                    let again = first_of.insert(request.user.key(), (line, request.action));
                    assert_eq!(again, None, "nobody is asked for twice");
                }
                Row::Duplicate(duplicate) => {
                    assert!(stands(&duplicate.user), "{duplicate:?} is not on its line: {text:?}");
                    assert_eq!(first_of[&duplicate.user.key()].0, duplicate.first_line);
                }
                Row::Bad(bad) => {
                    let said = bad.to_string();
                    assert!(said.starts_with(&format!("line {line}")), "{said}");
                    assert!(said.chars().count() <= 2_000, "{} characters", said.chars().count());
                }
            }
        }
    });
}

//! Intake reads what systems really export, names every bad row by its true line, and refuses files that are none.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{io::Write, path::Path};

use usher_producer::intake::{Format, Intake, IntakeError, IntakeOptions, Row, parse, parse_file};
use usher_shared::Action;

const DEACTIVATE: IntakeOptions = IntakeOptions { format: None, action: Some(Action::Deactivate) };

fn open(bytes: &[u8], options: IntakeOptions) -> Result<Intake, IntakeError> {
    parse("leavers.csv", std::io::Cursor::new(bytes.to_vec()), options)
}

/// Rows in short: `2 ann@x` for a request, `3 =2` for a duplicate, the message of a bad one.
fn rows(bytes: &[u8], options: IntakeOptions) -> Vec<String> {
    let short = |row| match row {
        Ok(Row::Request(request)) => format!("{} {}", request.line, request.user),
        Ok(Row::Duplicate(duplicate)) => format!("{} ={}", duplicate.line, duplicate.first_line),
        Ok(Row::Bad(bad)) => bad.to_string(),
        Err(error) => panic!("{error}"),
    };
    match open(bytes, options) {
        Ok(intake) => intake.map(short).collect(),
        Err(error) => panic!("{error}"),
    }
}

fn refused(bytes: &[u8], options: IntakeOptions) -> String {
    let found = open(bytes, options).and_then(|mut intake| intake.try_for_each(|row| row.map(drop)));
    found.expect_err("usable").to_string()
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
}

#[test]
fn one_list_of_leavers_reads_the_same_in_every_dialect() {
    let table =
        "Name,E-Mail Address,Dept\r\n\"Lee, Ann\", Ann@X ,HR\r\n\r\nBob,bob@x\r\n,,\r\nAnn,ANN@x,HR\r\n";
    let semicolon = table.replace("\"Lee, Ann\"", "Ann Lee").replace(',', ";");
    let dialects: [(Vec<u8>, Format); 8] = [
        (table.into(), Format::Csv),
        ([b"\xef\xbb\xbf", table.as_bytes()].concat(), Format::Csv),
        (table.replace("\r\n", "\n").into(), Format::Csv),
        (table.replace("\r\n", "\r").into(), Format::Csv),
        (semicolon.clone().into(), Format::Semicolon),
        (semicolon.replace(';', "\t").into(), Format::Tsv),
        (utf16(&semicolon.replace(';', "\t"), u16::to_le_bytes), Format::Tsv),
        (utf16(table, u16::to_be_bytes), Format::Csv),
    ];
    for (bytes, format) in dialects {
        assert_eq!(open(&bytes, DEACTIVATE).unwrap().format(), format);
        assert_eq!(rows(&bytes, DEACTIVATE), ["2 Ann@X", "4 bob@x", "6 =2"], "{format}");
    }
    let json = "{\"name\":\"Ann\",\"E-Mail\":\" Ann@X \"}\n\n\"bob@x\"\n{\"userId\":\"ann@X\"}";
    assert_eq!(rows(json.as_bytes(), DEACTIVATE), ["1 Ann@X", "3 bob@x", "4 =1"]);
    assert_eq!(rows(b"\nAnn@X\n  bob@x  \n\nann@x", DEACTIVATE), ["2 Ann@X", "3 bob@x", "5 =2"]);
}

#[test]
fn a_row_behind_an_embedded_line_break_has_its_true_line() {
    let text = b"email,note\na@x,\"one\ntwo\r\nthree\"\nb@x,\nc@x,\"\n\"\nd,";
    let expected = ["2 a@x", "5 b@x", "6 c@x", "line 8, column email: \"d\" is not an e-mail address"];
    assert_eq!(rows(text, DEACTIVATE), expected);
}

#[test]
fn every_bad_row_is_found_and_good_ones_around_it_are_kept() {
    let text = "email,action,reason\nann,,\nb@x,delete,\nc@x,activate,\nd@x,,,,x\ne@x,deactivate,left\n\"f@x\ng@x,,\nh@x,,\"Bob\nx@x,\"y\"\ni@x,,\nme,,";
    let rows = rows(text.as_bytes(), DEACTIVATE);
    let expected = [
        "line 2, column email: \"ann\" is not an e-mail address",
        "line 3, column action: \"delete\" is not an action: use deactivate or activate",
        "line 4, column action: the row says activate, but deactivate was asked for all of them; correct the row, or leave that out to go by the rows",
        "line 5: 5 fields, but the header has 3; put a field that holds a delimiter in quotes",
        "6 e@x",
        "line 7: a quote is opened here and closed lines later, with text right behind it; one of the two is stray",
        "8 g@x",
        "line 9: a quote is opened here and closed lines later, with text right behind it; one of the two is stray",
        "line 10, column action: \"y\" is not an action: use deactivate or activate",
        "11 i@x",
        "line 12, column email: \"me\" does not name one user to a vendor's API",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn without_a_given_action_every_row_says_its_own() {
    let text = b"user,action,reason\na1,deactivate,left\nb2,Reactivate,\nc3,,\nA1,activate,\na1,activate,";
    let intake = open(text, IntakeOptions::default()).unwrap();
    let rows: Vec<Row> = intake.map(Result::unwrap).collect();
    let Row::Request(first) = &rows[0] else { panic!("{rows:?}") };
    assert_eq!((first.action, first.reason.as_deref()), (Action::Deactivate, Some("left")));
    assert!(matches!(&rows[1], Row::Request(request) if request.action == Action::Activate));
    assert!(matches!(&rows[2], Row::Bad(bad) if bad.to_string().contains("no action")));
    assert!(matches!(&rows[3], Row::Request(_)), "ids compare with case");
    let contradiction =
        "line 6, column action: this row says activate for a1, line 2 says deactivate; remove one of the two";
    assert!(matches!(&rows[4], Row::Bad(bad) if bad.to_string() == contradiction), "{:?}", rows[4]);
}

#[test]
fn a_list_has_one_user_a_line_and_a_heading_only_where_it_is_known() {
    assert_eq!(rows(b"KDcuGIm1Q\nann@x\n", DEACTIVATE), ["1 KDcuGIm1Q", "2 ann@x"]);
    assert_eq!(rows(b"\"E-Mail\"\n\"ann@x\"\n", DEACTIVATE), ["2 ann@x"]);
    assert_eq!(rows(b"alice\nbob", DEACTIVATE), ["1 alice", "2 bob"]);
    let error = refused(b"Leaver\nann@x\n", DEACTIVATE);
    assert!(
        error.contains("its header has \"Leaver\"") && error.contains("call the right one email"),
        "{error}"
    );
    let several = rows(b"ann@x\nbob@x;eve\ncarl@x,deactivate\n", DEACTIVATE);
    assert!(several[1].contains("';'") && several[2].contains("','"), "{several:?}");
}

#[test]
fn excels_delimiter_line_is_obeyed_and_a_forced_format_wins() {
    assert_eq!(rows(b"sep=;\r\nemail;x,y\r\na@x;1\r\n", DEACTIVATE), ["3 a@x"]);
    let list = IntakeOptions { format: Some(Format::List), ..DEACTIVATE };
    assert_eq!(
        open(b"email,id\na@x,1\n", list).unwrap_err().to_string().split(':').next(),
        Some("leavers.csv has no column that names users")
    );
    let json = IntakeOptions { format: Some(Format::JsonLines), ..DEACTIVATE };
    assert_eq!(rows(b"\"a@x\"\n\"b\\u0040x\"", json), ["1 a@x", "2 b@x"]);
}

#[test]
fn the_columns_that_were_not_chosen_can_be_told() {
    let intake = open(b"ID;Name;Work E-Mail\n1;Ann;ann@x\n", DEACTIVATE).unwrap();
    assert_eq!(intake.user_column(), "Work E-Mail");
    assert_eq!(intake.columns_passed_over().collect::<Vec<_>>(), ["ID"]);
}

#[test]
fn a_file_that_is_none_is_refused_with_its_name_and_the_cure() {
    let latin1 = b"email,name\na@x,Ann\nb@x,M\xfcller\n";
    let long_header = vec![b'x'; 100_000];
    let cases: [(&[u8], &str); 16] = [
        (b"", "is empty; it needs"),
        (b"\xef\xbb\xbf \r\n\n", "is empty; it needs"),
        (b"email,name\r\n\r\n", "has a header but no rows; export it again"),
        (b"email", "has a header but no rows"),
        (
            b"Name,Dept\nAnn,HR\n",
            "its header has \"Name\", \"Dept\"; call the right one email, user, user_id",
        ),
        (b"ann@x,Ann\nbob@x,Bob\n", "has 2 columns and no header"),
        (b"email,e-mail\na@x,b@x\n", "two columns called \"e-mail\""),
        (b"PK\x03\x04\x14\x00", "save the sheet as CSV"),
        (b"%PDF-1.4\n", "export the list as CSV"),
        (b"email\0\n", "NUL bytes"),
        (latin1, "line 3: not UTF-8 text; save the file again as UTF-8"),
        (b"[{\"email\":\"a@x\"}]", "is JSON, but not one object a line"),
        (b"{\n \"email\": \"a@x\"\n}", "is JSON, but not one object a line"),
        (b"\"email,name\na@x,b\n", "line 1: the first row can't be read: a quote is opened"),
        (&long_header, "line 1: the first row can't be read: longer than 64 KiB"),
        (b"email,note\n\"a@x\",\"\n\xff\"\n", "line 3: not UTF-8"),
    ];
    for (bytes, expected) in cases {
        let error = refused(bytes, DEACTIVATE);
        assert!(error.starts_with("leavers.csv") && error.contains(expected), "{error}");
    }
}

#[test]
fn missing_files_directories_and_devices_that_fail_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let of = |path: &Path| parse_file(path, DEACTIVATE).unwrap_err();
    assert!(matches!(of(directory.path()), IntakeError::Directory { .. }));
    let missing = of(&directory.path().join("gone.csv"));
    assert!(matches!(&missing, IntakeError::Missing { name } if name.ends_with("gone.csv")), "{missing}");

    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the medium fails"))
        }
    }
    let broken = parse("tape", Broken, DEACTIVATE).unwrap_err().to_string();
    assert!(broken.contains("tape can't be read: the medium fails"), "{broken}");

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"email\nann@x\n").unwrap();
    assert_eq!(parse_file(file.path(), DEACTIVATE).unwrap().count(), 1);
}

#[test]
fn an_error_in_the_middle_ends_the_rows() {
    let mut text = b"email\na@x\n".to_vec();
    text.extend(b"\xff\nb@x\n");
    let mut intake = open(&text, DEACTIVATE).unwrap();
    assert!(matches!(intake.next(), Some(Ok(Row::Request(_)))));
    assert!(matches!(intake.next(), Some(Err(IntakeError::NotUtf8 { line: 3, .. }))));
    assert!(intake.next().is_none());
}

#[test]
fn a_row_without_end_is_bad_and_those_behind_it_are_read() {
    let mut text = b"email,note\na@x,1\nb@x,".to_vec();
    text.extend(vec![b'x'; 1_000_000]);
    text.extend(b"\nc@x,3\nd@x,\"");
    text.extend(b"open\n".repeat(100_000));
    text.extend(b"e@x,5\n");
    let rows = rows(&text, DEACTIVATE);
    assert_eq!(&rows[..3], ["2 a@x", "line 3: longer than 64 KiB, which is no row", "4 c@x"]);
    assert!(rows[3].starts_with("line 5: a quote is opened here and not closed"), "{}", rows[3]);
    assert_eq!(rows.last().unwrap(), "100005 e@x");
}

#[test]
fn rows_and_line_breaks_that_lie_across_blocks_are_whole() {
    // Notes of every length up to a row's, so that blocks end at every kind of place, within CR LF included.
    for ending in ["\r\n", "\r", "\n"] {
        let mut text = format!("email,note{ending}");
        for row in 0..3_000 {
            text += &format!("u{row}@x,\"{}{ending}\"{ending}", "é".repeat(row * 7 % 1_201));
        }
        let rows = rows(text.as_bytes(), DEACTIVATE);
        let expected = (0..3_000).map(|row| format!("{} u{row}@x", 2 + 2 * row));
        assert!(rows.into_iter().eq(expected), "{ending:?}");
    }
}

#[test]
fn a_line_of_64_mib_is_one_bad_row_and_the_rows_around_it_are_read() {
    use std::io::Read;
    for (head, kind) in [("email\na@x\n", "longer than 64 KiB"), ("email\na@x\n\"", "quote is opened")] {
        let long = std::io::repeat(b'x').take(64 << 20);
        let text = head.as_bytes().chain(long).chain(&b"\nb@x\n"[..]);
        let rows: Vec<Row> = parse("leavers.csv", text, DEACTIVATE).unwrap().map(Result::unwrap).collect();
        let [Row::Request(a), Row::Bad(long), Row::Request(b)] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((a.line, long.line, b.line), (2, 3, 4));
        assert!(long.to_string().contains(kind) && long.to_string().len() < 200, "{long}");
    }
}

#[cfg(unix)]
#[test]
fn what_never_ends_is_refused_at_its_first_block_and_a_pipe_is_read_as_it_comes() {
    let error = parse_file(Path::new("/dev/zero"), DEACTIVATE).unwrap_err().to_string();
    assert!(error.contains("/dev/zero is binary") && error.contains("CSV"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("leavers");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut pipe = std::fs::OpenOptions::new().write(true).open(pipe).unwrap();
            for part in ["ema", "il\na@", "x\nb@x"] {
                pipe.write_all(part.as_bytes()).unwrap();
            }
        }
    });
    let rows = parse_file(&pipe, DEACTIVATE).unwrap().map(Result::unwrap).count();
    writer.join().unwrap();
    assert_eq!(rows, 2);
}

#[test]
fn utf16_that_was_cut_is_refused_however_it_comes() {
    let whole = utf16("email\na@x\nb@x.com", u16::to_le_bytes);
    assert_eq!(rows(&whole, DEACTIVATE), ["2 a@x", "3 b@x.com"]);
    let pair = utf16("email\na@x\nb@\u{1f600}", u16::to_be_bytes);
    for cut in [&whole[..whole.len() - 1], &pair[..pair.len() - 2], &pair[..pair.len() - 1]] {
        assert!(refused(cut, DEACTIVATE).contains("not the whole file"), "{cut:?}");
    }
}

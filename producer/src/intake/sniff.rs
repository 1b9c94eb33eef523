//! Tells what a file is from its first block.

use super::{
    columns::{Meaning, meaning},
    error::IntakeError,
    format::Format,
    table::{Field, Scan, scan},
};

/// Refuses what is no text: the usual files that are taken for a CSV, by their first bytes, and whatever has a NUL.
pub(super) fn refuse_binary(file: &str, block: &[u8]) -> Result<(), IntakeError> {
    const WORKBOOK: &str = "open it and save the sheet as CSV (Excel: \"CSV UTF-8\")";
    const UNPACK: &str = "unpack it and name the file inside";
    const EXPORT: &str = "export the list as CSV instead";
    let kinds: [(&[u8], &str, &str); 7] = [
        (b"PK\x03\x04", "a workbook (xlsx, ods) or another zip archive", WORKBOOK),
        (b"\xd0\xcf\x11\xe0", "an old Office document (xls)", WORKBOOK),
        (b"%PDF-", "a PDF", EXPORT),
        (b"\x1f\x8b", "compressed with gzip", UNPACK),
        (b"{\\rtf", "an RTF document", EXPORT),
        (b"\x89PNG", "a picture", EXPORT),
        (b"SQLite format 3", "a database", EXPORT),
    ];
    let not_text = |what, cure| Err(IntakeError::NotText { name: file.to_owned(), what, cure });
    if let Some((_, what, cure)) = kinds.into_iter().find(|(magic, ..)| block.starts_with(magic)) {
        return not_text(what, cure);
    }
    if block.contains(&0) {
        return not_text("binary (it has NUL bytes)", "save it as CSV in UTF-8 (Excel: \"CSV UTF-8\")");
    }
    if block.trim_ascii_start().first() == Some(&b'<') {
        return not_text("a web page or XML", "open it and save the table as CSV (Excel: \"CSV UTF-8\")");
    }
    Ok(())
}

/// The delimiter that Excel's own first line names: `sep=;`. `None` where there is no such line.
pub(super) fn excel_hint(line: &[u8]) -> Option<Format> {
    let line = line.trim_ascii_end();
    let (word, delimiter) = line.split_at_checked(4)?;
    let delimiter = match delimiter {
        // A tab is white space, and gone with what was trimmed.
        [] => b'\t',
        [delimiter] => *delimiter,
        _ => return None,
    };
    word.eq_ignore_ascii_case(b"sep=").then(|| {
        [Format::Csv, Format::Semicolon, Format::Tsv].into_iter().find(|f| f.delimiter() == Some(delimiter))
    })?
}

/// The form of the text that begins with `block`, white space left out before it.
///
/// An object on the first line means JSON Lines. Else the delimiter is that by which the first row has a column that
/// names users, or, where none does, that by which it has the most fields; none at all means a list.
pub(super) fn format(block: &[u8]) -> Format {
    if block.first() == Some(&b'{') {
        return Format::JsonLines;
    }
    let mut fields: Vec<Field> = Vec::new();
    let mut best = (Format::List, (false, 1));
    for format in [Format::Csv, Format::Semicolon, Format::Tsv] {
        let Scan::Row { content, .. } = scan(block, format.delimiter(), &mut fields) else { continue };
        let row = String::from_utf8_lossy(&block[..content]);
        let names_users = fields.len() > 1
            && fields.iter().any(|field| matches!(meaning(&field.of(&row)), Meaning::User { .. }));
        if (names_users, fields.len()) > best.1 {
            best = (format, (names_users, fields.len()));
        }
    }
    best.0
}

/// Whether the text is JSON of another kind than an object a line: a list, or one object over many lines.
pub(super) fn is_other_json(block: &[u8]) -> bool {
    let line = block.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    // Some databases write a header as `[email],[name]`.
    let list = block.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    list.is_some_and(|rest| matches!(rest.first(), None | Some(b'{' | b'"' | b'[' | b']')))
        || line.trim_ascii() == b"{"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_finds_a_column_of_users() {
        for (text, expected) in [
            ("email,action\n", Format::Csv),
            ("Name, first;E-Mail;Abteilung, Ort, Land\n", Format::Semicolon),
            ("\"Last, first\"\temail\n", Format::Tsv),
            ("a,b;c,d\n", Format::Csv),
            ("email\n", Format::List),
            ("\"a,b;c@x\"\n", Format::List),
            ("ann@x", Format::List),
            ("{\"email\":\"a@x\"}\n", Format::JsonLines),
        ] {
            assert_eq!(format(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn json_of_another_kind_is_told_from_a_header_in_brackets() {
        for text in ["[{\"email\":1}]", "[\n  \"a@x\"\n]", "{\n  \"email\": 1\n}", "["] {
            assert!(is_other_json(text.as_bytes()), "{text}");
        }
        for text in ["[email],[name]\n", "{\"email\":1}\n", "email\n"] {
            assert!(!is_other_json(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn excels_hint_is_known_by_its_word_alone() {
        assert_eq!(excel_hint(b"sep=;"), Some(Format::Semicolon));
        assert_eq!(excel_hint(b"SEP=\t"), Some(Format::Tsv));
        for other in [&b"sep=x"[..], b"sep=;;", b"separator", b"se"] {
            assert_eq!(excel_hint(other), None);
        }
    }

    #[test]
    fn what_is_no_text_is_named_with_its_cure() {
        for (bytes, what) in [
            (&b"PK\x03\x04..."[..], "xlsx"),
            (b"\xd0\xcf\x11\xe0", "xls"),
            (b"%PDF-1.7", "PDF"),
            (b"email\0", "NUL"),
            (b"\r\n <html>", "web page"),
        ] {
            let error = refuse_binary("x.csv", bytes).unwrap_err().to_string();
            assert!(
                error.starts_with("x.csv is ") && error.contains(what) && error.contains("CSV"),
                "{error}"
            );
        }
    }
}

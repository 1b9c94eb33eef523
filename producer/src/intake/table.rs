//! One row of a table: fields between delimiters, some of them quoted.

use std::borrow::Cow;

use super::window::{MAX_ROW, line_break};

/// Where one field of a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    start: usize,
    end: usize,
    /// Whether it has doubled quotes, each of which stands for one.
    doubled: bool,
}

impl Field {
    /// The field's text within its row, without the white space around it.
    pub(super) fn of(self, row: &str) -> Cow<'_, str> {
        // Fields begin and end beside ASCII bytes, so these are always places between characters.
        let text = row.get(self.start..self.end).unwrap_or_default();
        if self.doubled {
            Cow::Owned(text.replace("\"\"", "\"").trim().to_owned())
        } else {
            Cow::Borrowed(text.trim())
        }
    }
}

/// What the first row of some bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// A row: its length without and with the line break that ends it, and how many lines end within all that.
    Row { content: usize, next: usize, lines: u64 },
    /// A quoted field that does not end before the text or the longest row does.
    Unclosed,
    /// A quoted field over several lines, with text behind its closing quote: two stray quotes, far apart, that
    /// would swallow the rows between them.
    Swallowing,
    /// No end within the longest row.
    TooLong,
}

/// Finds the fields of the first row of `bytes`, which begin with it and show all of it, or more than [`MAX_ROW`].
///
/// A field is quoted where a quote is its first character (spaces before it don't count), as in RFC 4180; a quote
/// further in stands for itself. Text behind a closing quote on the same line makes the quotes part of the text.
pub(super) fn scan(bytes: &[u8], delimiter: Option<u8>, fields: &mut Vec<Field>) -> Scan {
    fields.clear();
    let mut lines = 0;
    let mut at = 0;
    loop {
        let field = at;
        let mut place = field;
        while bytes.get(place) == Some(&b' ') {
            place += 1;
        }
        let mut end = None;
        if bytes.get(place) == Some(&b'"') {
            match quoted(bytes, place, delimiter) {
                Quoted::Closed { field, after, breaks } => {
                    fields.push(field);
                    lines += breaks;
                    end = Some(after);
                }
                Quoted::WithText { breaks: 0 } => {}
                Quoted::WithText { .. } => return Scan::Swallowing,
                Quoted::Open => return Scan::Unclosed,
            }
        }
        let after = match end {
            Some(after) => after,
            None => {
                let rest = &bytes[field..];
                let length = rest
                    .iter()
                    .position(|byte| matches!(byte, b'\n' | b'\r') || Some(*byte) == delimiter)
                    .unwrap_or(rest.len());
                fields.push(Field { start: field, end: field + length, doubled: false });
                field + length
            }
        };
        if after > MAX_ROW {
            return Scan::TooLong;
        }
        if after < bytes.len() && Some(bytes[after]) == delimiter {
            at = after + 1;
            continue;
        }
        let length = line_break(bytes, after);
        return Scan::Row { content: after, next: after + length, lines: lines + u64::from(length > 0) };
    }
}

enum Quoted {
    /// A field, the place of the delimiter, line break or end behind it, and how many lines end within it.
    Closed {
        field: Field,
        after: usize,
        breaks: u64,
    },
    /// There is text behind the closing quote.
    WithText {
        breaks: u64,
    },
    Open,
}

/// Reads the quoted field whose opening quote is at `opening`.
fn quoted(bytes: &[u8], opening: usize, delimiter: Option<u8>) -> Quoted {
    let start = opening + 1;
    let mut at = start;
    let mut doubled = false;
    let mut breaks = 0;
    loop {
        match bytes.get(at) {
            None => return Quoted::Open,
            Some(_) if at > MAX_ROW => return Quoted::Open,
            Some(b'"') if bytes.get(at + 1) == Some(&b'"') => {
                doubled = true;
                at += 2;
            }
            Some(b'"') => break,
            Some(b'\n' | b'\r') => {
                breaks += 1;
                at += line_break(bytes, at);
            }
            Some(_) => at += 1,
        }
    }
    let mut after = at + 1;
    while bytes.get(after) == Some(&b' ') {
        after += 1;
    }
    let ends = bytes.get(after).is_none_or(|byte| matches!(byte, b'\n' | b'\r') || Some(*byte) == delimiter);
    if ends {
        Quoted::Closed { field: Field { start, end: at, doubled }, after, breaks }
    } else {
        Quoted::WithText { breaks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str, delimiter: Option<u8>) -> (Vec<String>, Scan) {
        let mut fields = Vec::new();
        let scan = scan(text.as_bytes(), delimiter, &mut fields);
        (fields.iter().map(|field| field.of(text).into_owned()).collect(), scan)
    }

    #[test]
    fn fields_are_what_a_spreadsheet_would_show() {
        let cases: [(&str, &[&str]); 10] = [
            ("a,b\nc", &["a", "b"]),
            (" a , \"b, c\" ,d\r\n", &["a", "b, c", "d"]),
            ("\"a\"\"b\",\"\"", &["a\"b", ""]),
            ("\"a\nb\",c", &["a\nb", "c"]),
            ("\"Bob\" Smith,x", &["\"Bob\" Smith", "x"]),
            ("5\" pipe,x", &["5\" pipe", "x"]),
            (",,", &["", "", ""]),
            ("", &[""]),
            ("a,", &["a", ""]),
            ("Mü,ß", &["Mü", "ß"]),
        ];
        for (text, expected) in cases {
            assert_eq!(fields(text, Some(b',')).0, expected, "{text:?}");
        }
        assert_eq!(fields("a,b;c\td", None).0, ["a,b;c\td"]);
    }

    #[test]
    fn lines_within_quotes_are_counted_and_belong_to_the_row() {
        let scan = fields("\"a\r\nb\rc\nd\",x\r\nnext", Some(b',')).1;
        assert_eq!(scan, Scan::Row { content: 12, next: 14, lines: 4 });
    }

    #[test]
    fn a_stray_quote_never_swallows_the_rows_behind_it() {
        assert_eq!(fields("a,\"Smith\nb,Bob\n", Some(b',')).1, Scan::Unclosed);
        assert_eq!(fields("a,\"Smith\nb,\"Bob\"\nc,d\n", Some(b',')).1, Scan::Swallowing);
    }

    #[test]
    fn a_row_longer_than_the_limit_is_told_from_one_that_just_fits() {
        let long = "x".repeat(MAX_ROW + 1);
        assert_eq!(fields(&long, Some(b',')).1, Scan::TooLong);
        let fits = Scan::Row { content: MAX_ROW, next: MAX_ROW, lines: 0 };
        assert_eq!(fields(&long[1..], Some(b',')).1, fits);
        assert_eq!(fields(&format!("\"{long}"), Some(b',')).1, Scan::Unclosed);
    }
}

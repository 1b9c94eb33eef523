//! From bytes to rows, one at a time.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use encoding_rs_io::DecodeReaderBytesBuilder;
use usher_shared::{Action, Request};

use super::{
    columns::Columns,
    error::IntakeError,
    format::Format,
    jsonl,
    row::{BadRow, Row, RowProblem},
    seen::Seen,
    sniff,
    table::{Field, Scan, scan},
    whole::Whole,
    window::{MAX_ROW, Window, line_end, lines_in},
};

/// How rows are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntakeOptions {
    /// The form of the rows; `None` tells it by the content.
    pub format: Option<Format>,
    /// The action for every row. `None` goes by the rows, each of which must then name one.
    pub action: Option<Action>,
}

/// Rows of one file, as they are asked for. Reading blocks: keep it off an async runtime's threads.
///
/// After an error, and after the last row, there is nothing more.
pub struct Intake {
    name: String,
    window: Window<Box<dyn Read + Send>>,
    format: Format,
    given: Option<Action>,
    columns: Columns,
    fields: Vec<Field>,
    seen: Seen,
    any: bool,
    over: bool,
}

/// Opens a file, or standard input for `-`, and looks at its first block.
///
/// # Errors
/// [`IntakeError`], where nothing of the file can be used.
pub fn parse_file(path: &Path, options: IntakeOptions) -> Result<Intake, IntakeError> {
    if path.as_os_str() == "-" {
        return parse("standard input", io::stdin(), options);
    }
    let name = path.display().to_string();
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => IntakeError::Missing { name: name.clone() },
        io::ErrorKind::IsADirectory => IntakeError::Directory { name: name.clone() },
        _ => IntakeError::Unreadable { name: name.clone(), source },
    };
    // Asked before it is opened: some systems refuse to open a directory as if leave were missing.
    if std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Err(IntakeError::Directory { name });
    }
    let file = File::open(path).map_err(unreadable)?;
    parse(&name, file, options)
}

/// Looks at the first block of what a reader yields. `name` is what errors call it.
///
/// # Errors
/// [`IntakeError`], where nothing of it can be used.
pub fn parse(
    name: &str,
    reader: impl Read + Send + 'static,
    options: IntakeOptions,
) -> Result<Intake, IntakeError> {
    let decoded = DecodeReaderBytesBuilder::new()
        .bom_override(true)
        .strip_bom(true)
        .utf8_passthru(true)
        .build(Whole::new(reader));
    let mut intake = Intake {
        name: name.to_owned(),
        window: Window::new(Box::new(decoded)),
        format: options.format.unwrap_or(Format::List),
        given: options.action,
        columns: Columns::list(),
        fields: Vec::new(),
        seen: Seen::new(),
        any: false,
        over: false,
    };
    intake.top_up()?;
    sniff::refuse_binary(name, intake.window.bytes())?;
    intake.skip_white_lines()?;
    let block = intake.window.bytes();
    if block.is_empty() {
        return Err(IntakeError::Empty { name: intake.name });
    }
    if options.format.is_none_or(|format| format == Format::JsonLines) && sniff::is_other_json(block) {
        return Err(IntakeError::NotJsonLines { name: intake.name });
    }
    let hint = line_end(block, true).and_then(|end| Some((sniff::excel_hint(&block[..end.content])?, end)));
    if let Some((hinted, end)) = hint {
        intake.window.advance(end.next, u64::from(end.next > end.content));
        intake.format = options.format.unwrap_or(hinted);
        intake.skip_white_lines()?;
    } else if options.format.is_none() {
        intake.format = sniff::format(block);
    }
    if intake.format != Format::JsonLines {
        intake.read_header()?;
    }
    Ok(intake)
}

impl Intake {
    /// What errors call the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The form of the rows, as forced or as found.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The column that users are taken from, as the header has it; `user` where there is no header. JSON Lines have a key
    /// for each line.
    #[must_use]
    pub fn user_column(&self) -> &str {
        &self.columns.user.label
    }

    /// Columns that could name users too and are not read, as the header has them: worth a word to the submitter.
    pub fn columns_passed_over(&self) -> impl Iterator<Item = &str> {
        self.columns.passed_over.iter().map(AsRef::as_ref)
    }

    fn top_up(&mut self) -> Result<(), IntakeError> {
        self.window.top_up().map_err(|source| IntakeError::Unreadable { name: self.name.clone(), source })
    }

    fn skip_line(&mut self) -> Result<(), IntakeError> {
        self.window.skip_line().map_err(|source| IntakeError::Unreadable { name: self.name.clone(), source })
    }

    /// Moves to the first thing that is not white space: whole lines of it, and what stands before a first value. Tabs
    /// stay, because they may delimit blank fields.
    fn skip_white_lines(&mut self) -> Result<(), IntakeError> {
        loop {
            self.top_up()?;
            let bytes = self.window.bytes();
            let white = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | 0x0c)).count();
            // A carriage return in last place may have its line feed yet to come.
            let passed = if white == bytes.len() && bytes.len() > MAX_ROW { white - 1 } else { white };
            if passed == 0 {
                return Ok(());
            }
            let lines = lines_in(&bytes[..passed]);
            self.window.advance(passed, lines);
        }
    }

    fn read_header(&mut self) -> Result<(), IntakeError> {
        let line = self.window.line();
        let header = |problem| IntakeError::Header { name: self.name.clone(), line, problem };
        let (content, next, lines) =
            match scan(self.window.bytes(), self.format.delimiter(), &mut self.fields) {
                Scan::Row { content, next, lines } => (content, next, lines),
                Scan::Unclosed => return Err(header(RowProblem::OpenQuote)),
                Scan::Swallowing => return Err(header(RowProblem::StrayQuote)),
                Scan::TooLong => return Err(header(RowProblem::TooLong)),
            };
        let bytes = self.window.bytes();
        let row = utf8(&bytes[..content], line, &self.name)?;
        let mut labels: Vec<_> = self.fields.iter().map(|field| field.of(row)).collect();
        while labels.len() > 1 && labels.last().is_some_and(|label| label.is_empty()) {
            labels.pop();
        }
        if let Some(columns) = Columns::of_header(&self.name, &labels)? {
            self.columns = columns;
            self.window.advance(next, lines);
            return Ok(());
        }
        let name = self.name.clone();
        let has_user = labels.iter().any(|label| label.contains('@'));
        match labels.as_slice() {
            [only] if !is_heading(only, &bytes[next..]) => Ok(()),
            [_, _, ..] if has_user => Err(IntakeError::NoHeader { name, columns: labels.len() }),
            _ => Err(IntakeError::NoUserColumn { name, found: listed(&labels) }),
        }
    }

    /// The row at the front of the window, which is then behind it.
    fn next_row(&mut self) -> Result<Option<Row>, IntakeError> {
        loop {
            self.top_up()?;
            if self.window.bytes().is_empty() {
                return Ok(None);
            }
            let row = if self.format == Format::JsonLines { self.json_row()? } else { self.table_row()? };
            if row.is_some() {
                return Ok(row);
            }
        }
    }

    /// One row of a table; `None` where it is blank.
    fn table_row(&mut self) -> Result<Option<Row>, IntakeError> {
        let line = self.window.line();
        let bytes = self.window.bytes();
        let (content, next, lines) = match scan(bytes, self.format.delimiter(), &mut self.fields) {
            Scan::Row { content, next, lines } => (content, next, lines),
            Scan::Unclosed => return self.unusable(line, RowProblem::OpenQuote),
            Scan::Swallowing => return self.unusable(line, RowProblem::StrayQuote),
            Scan::TooLong => return self.unusable(line, RowProblem::TooLong),
        };
        let row = utf8(&bytes[..content], line, &self.name)?;
        let last = self.fields.iter().rposition(|field| !field.of(row).is_empty());
        let read = last.map(|last| self.request(line, row, last + 1));
        let action = self.columns.action.as_ref().map(|column| &*column.label);
        let row = read.map(|read| match read {
            Ok(request) => self.seen.admit(request, action),
            Err(bad) => Row::Bad(bad),
        });
        self.window.advance(next, lines);
        Ok(row)
    }

    fn request(&self, line: u64, row: &str, found: usize) -> Result<Request, BadRow> {
        let expected = self.columns.count;
        if found > expected {
            return Err(BadRow { line, column: None, problem: RowProblem::Fields { found, expected } });
        }
        self.columns.cells(row, &self.fields).request(line, self.given)
    }

    /// One line of JSON; `None` where it is blank.
    fn json_row(&mut self) -> Result<Option<Row>, IntakeError> {
        let line = self.window.line();
        let bytes = self.window.bytes();
        let end = match line_end(bytes, bytes.len() <= MAX_ROW) {
            Some(end) if end.content <= MAX_ROW => end,
            _ => return self.unusable(line, RowProblem::TooLong),
        };
        let text = utf8(&bytes[..end.content], line, &self.name)?.trim();
        let row = (!text.is_empty()).then(|| {
            let read = jsonl::cells(text, line).and_then(|parsed| {
                let request = parsed.cells().request(line, self.given)?;
                Ok(self.seen.admit(request, parsed.action_key()))
            });
            read.unwrap_or_else(Row::Bad)
        });
        self.window.advance(end.next, u64::from(end.next > end.content));
        Ok(row)
    }

    /// A bad row of which only the line it begins on is left behind: what follows may be good.
    fn unusable(&mut self, line: u64, problem: RowProblem) -> Result<Option<Row>, IntakeError> {
        self.skip_line()?;
        Ok(Some(Row::Bad(BadRow { line, column: None, problem })))
    }
}

impl Iterator for Intake {
    type Item = Result<Row, IntakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = match self.next_row() {
            Ok(None) if !self.any => Some(Err(IntakeError::NoRows { name: self.name.clone() })),
            next => next.transpose(),
        };
        self.any = true;
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("name", &self.name)
            .field("format", &self.format)
            .field("line", &self.window.line())
            .finish_non_exhaustive()
    }
}

/// The row as text; an error with the line on which it stops to be UTF-8.
fn utf8<'a>(row: &'a [u8], line: u64, name: &str) -> Result<&'a str, IntakeError> {
    std::str::from_utf8(row).map_err(|error| {
        let line = line + lines_in(&row[..error.valid_up_to()]);
        IntakeError::NotUtf8 { name: name.to_owned(), line }
    })
}

/// Whether the first line of a one-column file is a heading that is not known, rather than a user: it has neither @ nor
/// digit, as an address or a vendor's id has, and the line below it has one.
fn is_heading(first: &str, rest: &[u8]) -> bool {
    let marked = |text: &[u8]| text.iter().any(|byte| *byte == b'@' || byte.is_ascii_digit());
    let below = rest.split(|byte| matches!(byte, b'\n' | b'\r')).find(|line| !line.trim_ascii().is_empty());
    !marked(first.as_bytes()) && below.is_some_and(marked)
}

/// Column names for an error message: all of a usual header, the beginning of an endless one.
fn listed(labels: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 20;
    let mut text = String::new();
    for label in labels.iter().take(SHOWN) {
        let label: String = label.as_ref().chars().take(40).collect();
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(&format!("{label:?}"));
    }
    if labels.len() > SHOWN {
        text.push_str(&format!(" and {} more", labels.len() - SHOWN));
    }
    text
}

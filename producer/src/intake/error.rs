//! What makes a whole file unusable.

use std::io;

use super::{columns::ACCEPTED, row::RowProblem};

/// What makes a whole file unusable: nothing of it is submitted. Never retried; each message names the file and
/// says what its user does about it.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// No such file. The user corrects the path.
    #[error("{name} does not exist; check the path (`-` reads standard input)")]
    Missing {
        /// The file.
        name: String,
    },
    /// A directory. The user names a file in it.
    #[error("{name} is a directory; name one file in it")]
    Directory {
        /// The directory.
        name: String,
    },
    /// The operating system refuses, or the medium fails. The user gets the permission, or a good copy.
    #[error("{name} can't be read: {source}; get leave to read it, or a copy that can be read")]
    Unreadable {
        /// The file.
        name: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// Nothing but white space. The user exports it again.
    #[error("{name} is empty; it needs a header such as `email` and a row for each user, or one user a line")]
    Empty {
        /// The file.
        name: String,
    },
    /// A header and nothing below it. The user exports it again.
    #[error("{name} has a header but no rows; export it again with a row for each user")]
    NoRows {
        /// The file.
        name: String,
    },
    /// A header in which no column names users. The user renames one.
    #[error("{name} has no column that names users: its header has {found}; call the right one {ACCEPTED}")]
    NoUserColumn {
        /// The file.
        name: String,
        /// The columns that there are, as written.
        found: String,
    },
    /// Several columns, and the first row is already a user's. The user puts a header on top.
    #[error(
        "{name} has {columns} columns and no header, so that the one that names users would be a guess; put a line such as `email,action` on top, with a name for each column"
    )]
    NoHeader {
        /// The file.
        name: String,
        /// Fields in its first row.
        columns: usize,
    },
    /// Two columns of one name, where one is needed. The user renames or removes one.
    #[error("{name} has two columns called {column:?}; remove one of them, or rename it")]
    AmbiguousColumn {
        /// The file.
        name: String,
        /// The name, as written the second time.
        column: String,
    },
    /// The first row can't be read, so that no column is known. The user corrects that line.
    #[error("{name}, line {line}: the first row can't be read: {problem}")]
    Header {
        /// The file.
        name: String,
        /// Its line.
        line: u64,
        /// What is wrong with it.
        problem: RowProblem,
    },
    /// Not text: a workbook, an archive, a picture. The user saves it as text.
    #[error("{name} is {what}, not text; {cure}")]
    NotText {
        /// The file.
        name: String,
        /// What it looks like, with its article.
        what: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// Text in another encoding. The user saves it as UTF-8.
    #[error("{name}, line {line}: not UTF-8 text; save the file again as UTF-8 (Excel: \"CSV UTF-8\")")]
    NotUtf8 {
        /// The file.
        name: String,
        /// The first line that is not UTF-8.
        line: u64,
    },
    /// JSON, but not a value a line. The user converts it.
    #[error(
        "{name} is JSON, but not one object a line; convert it (`jq -c '.[]'` does for a list), or save it as CSV"
    )]
    NotJsonLines {
        /// The file.
        name: String,
    },
}

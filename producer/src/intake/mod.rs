//! Rows in: CSV, TSV, semicolons, JSON Lines, or a plain list of users, told apart by content.
//!
//! [`parse()`] and [`parse_file`] look at the first block and give an [`Intake`], an iterator over [`Row`]s that reads on
//! as it is asked: a file of any length takes the same memory, but for 30 to 55 bytes for each user that was seen.
//!
//! **Text** is UTF-8, with or without a BOM, or UTF-16 with one (what Excel calls Unicode Text). Lines end with LF,
//! CR LF or CR. Blank lines, and rows of blank cells alone, are passed over. White space around a cell does not count.
//! A row of more than 64 KiB is a bad row.
//!
//! **Tables** have a header. Its names are read in any case and punctuation (`E-Mail Address`, `userId`); other columns
//! are passed over. The user is taken from one column for the whole file, the first that is there of: an address
//! (`email`, `mail`, `work email`, ...), `user`, `user_id`, `userPrincipalName`, `upn`, `username`, `login`, `id`. So where
//! both an address and an id are there, the address counts, and a row whose address is blank is a bad row rather than
//! one that goes by its id: in an export from an HR system, `id` is a number that the vendor does not know. `action` and
//! `reason` are optional. A file of one column needs no header: each line is then a user. A first line such as `sep=;`
//! (Excel's) is obeyed.
//!
//! **JSON Lines** have objects with the same names as keys, or plain strings. Other keys are passed over.
//!
//! Nothing is guessed that could change the wrong person: a row with more fields than the header, a quote that swallows
//! the rows behind it, two columns of one name, a character that was lost in a conversion are errors.

mod columns;
mod error;
mod format;
mod jsonl;
mod parse;
mod row;
mod seen;
mod sniff;
mod stated;
mod table;
mod whole;
mod window;

pub use error::IntakeError;
pub use format::Format;
pub use parse::{Intake, IntakeOptions, parse, parse_file};
pub use row::{BadRow, Duplicate, Row, RowProblem};
pub use stated::{Stated, Statements, stated};

pub(crate) use seen::Seen;

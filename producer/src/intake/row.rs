//! One row: what is read of it, and what can be wrong with it.

use std::{borrow::Cow, fmt};

use usher_shared::{Action, Request, UnknownWord, UserRef, UserRefError};

use super::columns::Names;

/// The longest reason a row may give, in characters: a sentence or two, kept with every outcome.
const MAX_REASON: usize = 1_000;

/// One row, as far as it concerns a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A user and an action.
    Request(Request),
    /// The same user and action as an earlier row: left out.
    Duplicate(Duplicate),
    /// Can't be read: nothing is submitted unless the caller skips such rows.
    Bad(BadRow),
}

/// A row that repeats an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its line, from 1.
    pub line: u64,
    /// The user, as written here.
    pub user: UserRef,
    /// The line of the row that is kept.
    pub first_line: u64,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} stands on line {} already", self.line, self.user, self.first_line)
    }
}

/// A row that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its line, from 1; where a row has several lines, the first.
    pub line: u64,
    /// The column, as the header has it; `None` where the row as a whole is wrong.
    pub column: Option<String>,
    /// What is wrong, and what to do about it.
    pub problem: RowProblem,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "line {}, column {column}: {}", self.line, self.problem),
            None => write!(f, "line {}: {}", self.line, self.problem),
        }
    }
}

/// What is wrong with a row. Never retried; the user corrects the row, or skips such rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// The user's name can't be one.
    #[error(transparent)]
    User(#[from] UserRefError),
    /// A column of addresses holds something else.
    #[error("{0:?} is not an e-mail address")]
    NotAnAddress(String),
    /// A character that comes of a lost encoding, of copying, or of several values in one cell.
    #[error("{text:?} has a character that no user has: {found:?}")]
    Stray {
        /// The text.
        text: String,
        /// The first such character.
        found: char,
    },
    /// Neither the row nor its submitter for all rows says what to do.
    #[error("no action; write deactivate or activate here, or give one action for all rows")]
    NoAction,
    /// A word that is no action.
    #[error(transparent)]
    UnknownAction(#[from] UnknownWord),
    /// The row and what was asked for all rows disagree.
    #[error(
        "the row says {row}, but {given} was asked for all of them; correct the row, or leave that out to go by the rows"
    )]
    OtherAction {
        /// What the row says.
        row: Action,
        /// What was asked for all rows.
        given: Action,
    },
    /// Two rows want different things of one user.
    #[error("this row says {here} for {user}, line {first_line} says {first}; remove one of the two")]
    Contradiction {
        /// The user, as written here.
        user: UserRef,
        /// What this row says.
        here: Action,
        /// What the earlier row says.
        first: Action,
        /// The line of the earlier row.
        first_line: u64,
    },
    /// A reason of more than 1,000 characters.
    #[error("the reason is {0} characters long; at most 1000")]
    LongReason(usize),
    /// A quote that is never closed.
    #[error(
        "a quote is opened here and not closed; close it, or write \"\" for a quote within a quoted field"
    )]
    OpenQuote,
    /// A quoted field that ends rows further on, with text behind its end.
    #[error(
        "a quote is opened here and closed lines later, with text right behind it; one of the two is stray"
    )]
    StrayQuote,
    /// More fields than the header.
    #[error("{found} fields, but the header has {expected}; put a field that holds a delimiter in quotes")]
    Fields {
        /// Fields in this row, up to the last that is not blank.
        found: usize,
        /// Fields in the header.
        expected: usize,
    },
    /// More than 64 KiB.
    #[error("longer than 64 KiB, which is no row")]
    TooLong,
    /// Not JSON.
    #[error("not a JSON object or string: {0}")]
    Json(String),
    /// JSON, but neither an object nor a string.
    #[error("{0}, where an object such as {{\"email\":\"ann@corp.example\"}} is expected")]
    JsonShape(&'static str),
    /// An object without a user.
    #[error("no key that names the user; call it email, user, user_id, username, login or id")]
    NoUserKey,
    /// The same key twice in one object.
    #[error("this key stands here twice; remove one")]
    KeyTwice,
    /// A value that is no text.
    #[error("{0}, where text is expected")]
    NotText(&'static str),
}

/// What is read of one row: each cell with its column's name.
pub(super) struct Cells<'a> {
    pub(super) user: (&'a str, Cow<'a, str>),
    pub(super) names: Names,
    pub(super) action: Option<(&'a str, Cow<'a, str>)>,
    pub(super) reason: Option<(&'a str, Cow<'a, str>)>,
}

impl Cells<'_> {
    /// The request that the row states, where this action was asked for all rows, or none.
    pub(super) fn request(self, line: u64, given: Option<Action>) -> Result<Request, BadRow> {
        let bad =
            |column: &str, problem: RowProblem| BadRow { line, column: Some(column.to_owned()), problem };
        let (label, text) = &self.user;
        let user = user(text, self.names).map_err(|problem| bad(label, problem))?;
        let (label, text) =
            self.action.as_ref().map_or(("action", ""), |(label, text)| (*label, text.as_ref()));
        let action = action(text, given).map_err(|problem| bad(label, problem))?;
        let reason = match &self.reason {
            Some((_, text)) if text.trim().is_empty() => None,
            Some((label, text)) => match text.chars().count() {
                length if length > MAX_REASON => return Err(bad(label, RowProblem::LongReason(length))),
                _ => Some(text.trim().to_owned()),
            },
            None => None,
        };
        Ok(Request { restore: None, line, user, action, reason })
    }
}

fn user(text: &str, names: Names) -> Result<UserRef, RowProblem> {
    let user: UserRef = text.parse()?;
    if let Some(found) = user.as_str().chars().find(|c| is_stray(*c)) {
        return Err(RowProblem::Stray { text: user.as_str().to_owned(), found });
    }
    if names == Names::Addresses && !user.is_email() {
        return Err(RowProblem::NotAnAddress(user.as_str().to_owned()));
    }
    Ok(user)
}

/// Delimiters and quotes (several values in one cell), the mark of a lost encoding, and the invisible characters that
/// come along when a cell is copied: no vendor knows a user by them, and the report would say that he does not exist.
fn is_stray(c: char) -> bool {
    matches!(
        c,
        ',' | ';' | '"' | '<' | '>' | '\u{fffd}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}' | '\u{feff}'
    )
}

fn action(text: &str, given: Option<Action>) -> Result<Action, RowProblem> {
    if text.trim().is_empty() {
        return given.ok_or(RowProblem::NoAction);
    }
    let row: Action = text.parse()?;
    match given {
        Some(given) if given != row => Err(RowProblem::OtherAction { row, given }),
        _ => Ok(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(user: &str, action: Option<&str>, given: Option<Action>) -> Result<Request, String> {
        let cells = Cells {
            user: ("Email", user.into()),
            names: Names::Addresses,
            action: action.map(|text| ("Action", text.into())),
            reason: Some(("reason", " left ".into())),
        };
        cells.request(7, given).map_err(|bad| bad.to_string())
    }

    #[test]
    fn a_row_becomes_a_request_with_what_it_says_itself() {
        let request = request(" Ann@Corp.Example ", Some("Reactivate"), None).unwrap();
        assert_eq!((request.line, request.user.as_str()), (7, "Ann@Corp.Example"));
        assert_eq!((request.action, request.reason.as_deref()), (Action::Activate, Some("left")));
    }

    #[test]
    fn the_commands_action_fills_blanks_and_contradicts_rows_that_say_otherwise() {
        let given = Some(Action::Deactivate);
        for cell in [None, Some(""), Some("DEACTIVATE")] {
            assert_eq!(request("a@x", cell, given).unwrap().action, Action::Deactivate);
        }
        assert_eq!(
            request("a@x", Some("activate"), given).unwrap_err(),
            "line 7, column Action: the row says activate, but deactivate was asked for all of them; correct the row, or leave that out to go by the rows"
        );
        assert!(request("a@x", Some(" "), None).unwrap_err().contains("no action"));
        assert!(request("a@x", Some("delete"), given).unwrap_err().contains("use deactivate or activate"));
    }

    #[test]
    fn what_no_vendor_knows_a_user_by_is_refused_with_the_character_named() {
        for (user, expected) in [
            ("ann", "\"ann\" is not an e-mail address"),
            ("", "the user is empty"),
            ("me", "does not name one user"),
            ("ann@x,bob", "','"),
            ("a\u{200b}nn@x", "'\\u{200b}'"),
            ("M\u{fffd}ller@x", "'\u{fffd}'"),
        ] {
            let error = request(user, None, Some(Action::Activate)).unwrap_err();
            assert!(error.starts_with("line 7, column Email: ") && error.contains(expected), "{error}");
        }
    }
}

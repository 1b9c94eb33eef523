//! How words and free text stand in records: a letter for each word, and no separator within a text.

use crate::{Action, Outcome, Status, Timestamp, Verdict};

/// Between the fields of a part.
pub(super) const FS: char = '\u{1f}';
/// Between the parts of a record.
pub(super) const RS: char = '\u{1e}';
/// Between the groups of a user, and before what scripts add to an outcome.
pub(super) const GS: char = '\u{1d}';
/// Between the parts of a lease as scripts reply it.
pub(super) const LS: char = '\u{1c}';

/// What is wrong with a stored record.
pub(super) type Flaw = String;

/// Outcomes by letter: all lower case, so that no outcome looks like a resolution.
pub(super) const OUTCOMES: [(char, Outcome); 12] = [
    ('a', Outcome::Applied),
    ('y', Outcome::AlreadyApplied),
    ('r', Outcome::Rejected),
    ('n', Outcome::NotFound),
    ('p', Outcome::Protected),
    ('d', Outcome::Drifted),
    ('u', Outcome::Superseded),
    ('s', Outcome::NoSeat),
    ('x', Outcome::Exhausted),
    ('e', Outcome::Expired),
    ('c', Outcome::Cancelled),
    ('k', Outcome::Poisoned),
];

pub(super) const VERDICTS: [(char, Verdict); 11] = [
    ('A', Verdict::Applied),
    ('Y', Verdict::AlreadyApplied),
    ('T', Verdict::Throttled),
    ('X', Verdict::Transient),
    ('R', Verdict::Rejected),
    ('S', Verdict::NoSeat),
    ('N', Verdict::NotFound),
    ('U', Verdict::Unauthorized),
    ('F', Verdict::Forbidden),
    ('K', Verdict::Unknown),
    ('L', Verdict::Lost),
];

pub(super) const ACTIONS: [(char, Action); 2] = [('d', Action::Deactivate), ('a', Action::Activate)];

pub(super) const STATUSES: [(char, Status); 3] =
    [('a', Status::Active), ('i', Status::Inactive), ('p', Status::Pending)];

/// The letter of a word. Every word of the tables has one, which the tests hold; `?` would be read as corrupt.
pub(super) fn letter<T: PartialEq>(table: &[(char, T)], word: &T) -> char {
    table.iter().find(|(_, known)| known == word).map_or('?', |(letter, _)| *letter)
}

pub(super) fn word<T: Copy>(table: &[(char, T)], text: &str, what: &str) -> Result<T, Flaw> {
    let found = text.chars().next().and_then(|first| table.iter().find(|(letter, _)| *letter == first));
    found.map(|(_, word)| *word).ok_or_else(|| format!("{text:?} is no {what}"))
}

/// The outcome that the counter `o:<letter>` counts.
pub(super) fn outcome_of_letter(text: &str) -> Result<Outcome, Flaw> {
    word(&OUTCOMES, text, "outcome")
}

/// Text with its separators and backslashes escaped; the empty text, which is not the same as none, becomes `\e`.
pub(super) fn escape(text: &str, to: &mut String) {
    if text.is_empty() {
        to.push_str("\\e");
        return;
    }
    if !text.bytes().any(|byte| matches!(byte, 0x1c..=0x1f | b'\\')) {
        to.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            FS => to.push_str("\\f"),
            RS => to.push_str("\\r"),
            GS => to.push_str("\\g"),
            LS => to.push_str("\\l"),
            '\\' => to.push_str("\\\\"),
            _ => to.push(c),
        }
    }
}

pub(super) fn unescape(text: &str) -> Result<String, Flaw> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (c, false) => plain.push(c),
            (_, true) => match chars.next() {
                Some('f') => plain.push(FS),
                Some('r') => plain.push(RS),
                Some('g') => plain.push(GS),
                Some('l') => plain.push(LS),
                Some('q') => plain.push('='),
                Some('\\') => plain.push('\\'),
                Some('e') => {}
                other => return Err(format!("unknown escape {other:?}")),
            },
        }
    }
    Ok(plain)
}

pub(super) fn optional(text: Option<&str>, to: &mut String) {
    if let Some(text) = text {
        escape(text, to);
    }
}

pub(super) fn some(text: &str) -> Result<Option<String>, Flaw> {
    if text.is_empty() { Ok(None) } else { unescape(text).map(Some) }
}

pub(super) fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Flaw> {
    text.parse().map_err(|_| format!("{text:?} is no {what}"))
}

pub(super) fn moment(text: &str, what: &str) -> Result<Timestamp, Flaw> {
    number(text, what).map(Timestamp::from_millis)
}

//! How a job is written down: one compact record whose parts are appended as they come to be known.
//!
//! `request RS resolution RS outcome`, fields parted by FS. Scripts cut on the separators and decode nothing, which is
//! why free text is escaped: it never holds a separator. The format belongs to [`super::FORMAT`]; a field may be
//! added at the end of a part without a new number.
//!
//! | Part | Fields |
//! |---|---|
//! | request | action's letter and line, user, reason, then where something is given back: licence, role, groups parted by GS |
//! | resolution, change | `C` and the user's key, user fields, resolved at (ms) |
//! | resolution, settled | `S` and the outcome's letter, code, message, then key and user fields where a user was found |
//! | resolution, duplicate | `D` and the line that is kept |
//! | outcome | letter, code, message, then the attempt that ended it, or an empty field and the worker that ended it without one; after a GS what the tries before it add: attempts, first begin, last end |
//! | user fields | `-` where the vendor gave no id, address (`=` as written), status, licence, role, groups parted by GS |
//! | attempt | begin (ms), duration (ms), calls, HTTP status, verdict's letter, code, worker |

use std::fmt::Write as _;

use super::lettering::{
    ACTIONS, GS, OUTCOMES, STATUSES, VERDICTS, escape, letter, moment, number, optional, some, unescape, word,
};
pub(super) use super::lettering::{FS, Flaw, LS, RS, outcome_of_letter};
use crate::{
    Attempt, Outcome, OutcomeRow, Request, ResolvedUser, Timestamp, UserState, WorkerId, plan::Planned,
    request::Restore, store::Resolution,
};

/// A worker's name, safe inside a record.
pub(super) fn write_worker(worker: &WorkerId, to: &mut String) {
    escape(worker.as_str(), to);
}

/// The request part.
pub(super) fn encode_request(request: &Request) -> String {
    let mut to = String::with_capacity(48);
    to.push(letter(&ACTIONS, &request.action));
    let _ = write!(to, "{}{FS}", request.line);
    escape(request.user.as_str(), &mut to);
    if request.reason.is_some() || request.restore.is_some() {
        to.push(FS);
        optional(request.reason.as_deref(), &mut to);
    }
    if let Some(restore) = &request.restore {
        to.push(FS);
        optional(restore.license.as_deref(), &mut to);
        to.push(FS);
        optional(restore.role.as_deref(), &mut to);
        to.push(FS);
        write_groups(&restore.groups, &mut to);
    }
    to
}

fn write_groups(groups: &[String], to: &mut String) {
    for (i, group) in groups.iter().enumerate() {
        if i > 0 {
            to.push(GS);
        }
        escape(group, to);
    }
}

fn read_groups(text: &str) -> Result<Vec<String>, Flaw> {
    if text.is_empty() { Ok(Vec::new()) } else { text.split(GS).map(unescape).collect() }
}

fn decode_restore<'a>(license: &str, fields: &mut impl Iterator<Item = &'a str>) -> Result<Restore, Flaw> {
    let mut next = || fields.next().unwrap_or_default();
    Ok(Restore { license: some(license)?, role: some(next())?, groups: read_groups(next())? })
}

fn decode_request(text: &str) -> Result<Request, Flaw> {
    let mut fields = text.split(FS);
    let head = fields.next().unwrap_or_default();
    let action = word(&ACTIONS, head, "action")?;
    let user = unescape(fields.next().unwrap_or_default())?;
    Ok(Request {
        line: number(head.get(1..).unwrap_or_default(), "line")?,
        user: user.parse().map_err(|error| format!("{error}"))?,
        action,
        reason: some(fields.next().unwrap_or_default())?,
        restore: fields.next().map(|license| decode_restore(license, &mut fields)).transpose()?,
    })
}

/// The resolution part, without the moment that the script adds to a change.
pub(super) fn encode_resolution(request: &str, resolution: &Resolution) -> String {
    let mut to = String::with_capacity(64);
    match resolution {
        Resolution::Change(user) => {
            to.push('C');
            encode_user(request, user, &mut to);
        }
        Resolution::Settled { outcome, code, message, user } => {
            to.push('S');
            write_head(*outcome, code.as_deref(), message.as_deref(), &mut to);
            if let Some(user) = user {
                to.push(FS);
                encode_user(request, user, &mut to);
            }
        }
        Resolution::Duplicate { of_line } => {
            let _ = write!(to, "D{of_line}");
        }
    }
    to
}

/// `request` is the user as written, which the address is as a rule.
fn encode_user(request: &str, user: &ResolvedUser, to: &mut String) {
    escape(&user.key(), to);
    to.push(FS);
    if user.id.is_empty() {
        to.push('-');
    }
    to.push(FS);
    match user.email.as_deref() {
        Some(email) if email == request => to.push('='),
        Some("=") => to.push_str("\\q"),
        email => optional(email, to),
    }
    to.push(FS);
    to.push(letter(&STATUSES, &user.before.status));
    to.push(FS);
    optional(user.before.license.as_deref(), to);
    to.push(FS);
    optional(user.before.role.as_deref(), to);
    to.push(FS);
    write_groups(&user.before.groups, to);
}

fn decode_user<'a>(request: &str, fields: &mut impl Iterator<Item = &'a str>) -> Result<ResolvedUser, Flaw> {
    let mut next = || fields.next().unwrap_or_default();
    let key = unescape(next())?;
    let id = if next() == "-" { String::new() } else { key };
    let email = match next() {
        "=" => Some(request.to_owned()),
        email => some(email)?,
    };
    let status = word(&STATUSES, next(), "status")?;
    let (license, role) = (some(next())?, some(next())?);
    let groups = read_groups(next())?;
    Ok(ResolvedUser { id, email, before: UserState { status, license, role, groups } })
}

/// An outcome with the vendor's words: the head of the outcome part.
pub(super) fn write_head(outcome: Outcome, code: Option<&str>, message: Option<&str>, to: &mut String) {
    to.push(letter(&OUTCOMES, &outcome));
    to.push(FS);
    optional(code, to);
    to.push(FS);
    optional(message, to);
}

/// An attempt's fields.
pub(super) fn write_attempt(attempt: &Attempt, to: &mut String) {
    let (began, ended) = (attempt.began_at.as_millis(), attempt.ended_at.as_millis());
    let _ = write!(to, "{began}{FS}{}{FS}{}{FS}", ended.saturating_sub(began), attempt.calls);
    if let Some(http) = attempt.http {
        let _ = write!(to, "{http}");
    }
    to.push(FS);
    to.push(letter(&VERDICTS, &attempt.verdict));
    to.push(FS);
    optional(attempt.code.as_deref(), to);
    to.push(FS);
    escape(attempt.worker.as_str(), to);
}

fn decode_attempt<'a>(began: &str, fields: &mut impl Iterator<Item = &'a str>) -> Result<Attempt, Flaw> {
    let mut next = || fields.next().unwrap_or_default();
    let began_at = moment(began, "begin")?;
    let duration: i64 = number(next(), "duration")?;
    Ok(Attempt {
        began_at,
        ended_at: Timestamp::from_millis(began_at.as_millis().saturating_add(duration)),
        calls: number(next(), "number of calls")?,
        http: match next() {
            "" => None,
            status => Some(number(status, "HTTP status")?),
        },
        verdict: word(&VERDICTS, next(), "verdict")?,
        code: some(next())?,
        worker: WorkerId::new(&unescape(next())?),
    })
}

/// What a job's tries say of it before the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tries {
    /// Attempts spent.
    pub spent: u32,
    /// How many workers died while they held it.
    pub deaths: u32,
    /// Whether one may have reached the vendor.
    pub maybe: bool,
    /// When the first began.
    pub first: Option<Timestamp>,
}

/// Reads the head of a job's tries.
pub(super) fn decode_tries(text: &str) -> Result<Tries, Flaw> {
    if text.is_empty() {
        return Ok(Tries::default());
    }
    let mut fields = text.split([',', RS]);
    let mut next = || fields.next().unwrap_or_default();
    let (spent, deaths) = (number(next(), "number of attempts")?, number(next(), "number of deaths")?);
    let (maybe, first, _last) = (next() == "1", moment(next(), "begin")?, next());
    let none_listed = next() == "0";
    Ok(Tries { spent, deaths, maybe, first: (!none_listed).then_some(first) })
}

/// Every attempt in a job's tries, in order.
pub(super) fn decode_ledger(text: &str) -> Result<Vec<Attempt>, Flaw> {
    let entry = |text: &str| {
        let mut fields = text.split(FS);
        decode_attempt(fields.next().unwrap_or_default(), &mut fields)
    };
    text.split(RS).skip(1).map(entry).collect()
}

/// A record cut into its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    request: &'a str,
    resolution: &'a str,
    outcome: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// Cuts a record.
    pub(super) fn cut(text: &'a str) -> Self {
        let mut parts = text.splitn(3, RS);
        Self {
            request: parts.next().unwrap_or_default(),
            resolution: parts.next().unwrap_or_default(),
            outcome: parts.next(),
        }
    }

    /// The request.
    pub(super) fn request(&self) -> Result<Request, Flaw> {
        decode_request(self.request)
    }

    /// Whether it was resolved to a user and has no outcome.
    pub(super) fn is_to_be_changed(&self) -> bool {
        self.outcome.is_none() && self.resolution.starts_with('C')
    }

    /// The user to be changed, and when it was resolved.
    pub(super) fn change(&self, request: &Request) -> Result<(ResolvedUser, Timestamp), Flaw> {
        let text = self.resolution.strip_prefix('C').ok_or("a queued job has no resolved user")?;
        let mut fields = text.split(FS);
        let user = decode_user(request.user.as_str(), &mut fields)?;
        Ok((user, moment(fields.next().unwrap_or_default(), "moment of resolution")?))
    }

    /// The line of which this is a duplicate.
    pub(super) fn duplicate_of(&self) -> Result<Option<u64>, Flaw> {
        self.resolution.strip_prefix('D').map(|line| number(line, "line")).transpose()
    }

    fn resolved(&self, user: &str) -> Result<Option<ResolvedUser>, Flaw> {
        let mut fields = self.resolution.split(FS);
        if let Some(text) = self.resolution.strip_prefix('C') {
            return decode_user(user, &mut text.split(FS)).map(Some);
        }
        if self.resolution.starts_with('S') && fields.by_ref().nth(2).is_some() {
            let mut fields = fields.peekable();
            if fields.peek().is_some() {
                return decode_user(user, &mut fields).map(Some);
            }
        }
        Ok(None)
    }

    /// What the request came to; `None` where it is not resolved.
    pub(super) fn planned(&self, seq: u64) -> Result<Option<Planned>, Flaw> {
        if self.resolution.is_empty() {
            return Ok(None);
        }
        let request = self.request()?;
        let resolution = if let Some(of_line) = self.duplicate_of()? {
            Resolution::Duplicate { of_line }
        } else if let Some(text) = self.resolution.strip_prefix('S') {
            let mut fields = text.split(FS);
            let outcome = word(&OUTCOMES, fields.next().unwrap_or_default(), "outcome")?;
            let (code, message) =
                (some(fields.next().unwrap_or_default())?, some(fields.next().unwrap_or_default())?);
            Resolution::Settled { outcome, code, message, user: self.resolved(request.user.as_str())? }
        } else {
            Resolution::Change(self.change(&request)?.0)
        };
        Ok(Some(Planned { seq, request, resolution }))
    }

    /// The finished job, or `None` where it has no outcome yet.
    pub(super) fn row(&self, seq: u64) -> Result<Option<OutcomeRow>, Flaw> {
        let Some(text) = self.outcome else { return Ok(None) };
        let request = self.request()?;
        let (text, before) = text.split_once(GS).map_or((text, None), |(text, tail)| (text, Some(tail)));
        let mut fields = text.split(FS);
        let mut next = || fields.next().unwrap_or_default();
        let outcome = word(&OUTCOMES, next(), "outcome")?;
        let (code, message) = (some(next())?, some(next())?);
        let (last, mut worker) = match fields.next() {
            Some("") => (None, some(fields.next().unwrap_or_default())?.map(WorkerId::from)),
            Some(began) => (Some(decode_attempt(began, &mut fields)?), None),
            None => (None, None),
        };
        // These are the store's own doing, whoever tried before.
        if !matches!(outcome, Outcome::Cancelled | Outcome::Expired | Outcome::Superseded) {
            worker = worker.or_else(|| last.as_ref().map(|attempt| attempt.worker.clone()));
        }
        let mut row = OutcomeRow {
            seq,
            line: request.line,
            resolved: self.resolved(request.user.as_str())?,
            user: request.user,
            action: request.action,
            reason: request.reason,
            outcome,
            code,
            message,
            attempts: u32::from(last.is_some()),
            first_attempt_at: last.as_ref().map(|attempt| attempt.began_at),
            last_attempt_at: last.as_ref().map(|attempt| attempt.ended_at),
            worker,
        };
        if let Some(before) = before {
            let mut fields = before.split(',');
            row.attempts = number(fields.next().unwrap_or_default(), "number of attempts")?;
            row.first_attempt_at = Some(moment(fields.next().unwrap_or_default(), "begin")?);
            row.last_attempt_at = Some(moment(fields.next().unwrap_or_default(), "end")?);
        }
        Ok(Some(row))
    }

    /// The attempt that ended the job, where one did.
    pub(super) fn last_attempt(&self) -> Result<Option<Attempt>, Flaw> {
        let Some(text) = self.outcome else { return Ok(None) };
        let text = text.split_once(GS).map_or(text, |(text, _)| text);
        let mut fields = text.split(FS).skip(3);
        match fields.next() {
            Some("") | None => Ok(None),
            Some(began) => decode_attempt(began, &mut fields).map(Some),
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;

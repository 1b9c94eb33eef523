//! The reading side of a submission: rows to chunks, with their digest and their figures. It may block.

use usher_shared::{AccountName, Request, store::CHUNK};

use super::{Contents, digest::Digest};
use crate::intake::{IntakeError, Row, Seen};

/// Told of every duplicate and every bad row, as they are found, on the thread that reads.
pub type Notice = Box<dyn FnMut(&Row) + Send>;

/// Requests that are appended in one call.
pub(super) struct Chunk {
    pub(super) first_seq: u64,
    pub(super) requests: Vec<Request>,
    /// Rows read when it was complete.
    pub(super) read: u64,
    /// Bad rows among them.
    pub(super) bad: u64,
}

/// Reads every row and sends the requests on in chunks. `None` where `send` says that nobody takes them any more.
pub(super) fn gather(
    account: &AccountName,
    rows: impl Iterator<Item = Result<Row, IntakeError>>,
    mut notice: Option<Notice>,
    mut send: impl FnMut(Chunk) -> bool,
) -> Result<Option<Contents>, IntakeError> {
    let mut contents = Contents::default();
    let mut digest = Digest::new(account);
    let mut requests = Vec::new();
    let mut read = 0;
    let mut send = |requests: &mut Vec<Request>, contents: &Contents, read| {
        let requests = std::mem::replace(requests, Vec::with_capacity(CHUNK));
        let first_seq = contents.requests - requests.len() as u64;
        send(Chunk { first_seq, requests, read, bad: contents.bad.total })
    };
    for row in rows {
        read += 1;
        let row = row?;
        if let (Some(notice), Row::Duplicate(_) | Row::Bad(_)) = (&mut notice, &row) {
            notice(&row);
        }
        match row {
            Row::Request(request) => {
                digest.add(&request);
                contents.requests += 1;
                *contents.by_action.entry(request.action).or_default() += 1;
                requests.push(request);
                if requests.len() == CHUNK && !send(&mut requests, &contents, read) {
                    return Ok(None);
                }
            }
            Row::Duplicate(duplicate) => contents.duplicates.push(duplicate),
            Row::Bad(bad) => contents.bad.push(bad),
        }
    }
    if !requests.is_empty() && !send(&mut requests, &contents, read) {
        return Ok(None);
    }
    contents.digest = digest.finish();
    Ok(Some(contents))
}

/// Requests as rows: a user who stands twice is kept once, and a contradiction is a bad row, as in a file.
pub fn distinct<I: IntoIterator<Item = Request>>(requests: I) -> Distinct<I::IntoIter> {
    Distinct { requests: requests.into_iter(), seen: Seen::new() }
}

/// What [`distinct`] makes of requests.
#[derive(Debug)]
pub struct Distinct<I> {
    requests: I,
    seen: Seen,
}

impl<I: Iterator<Item = Request>> Iterator for Distinct<I> {
    type Item = Result<Row, IntakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.requests.next().map(|request| Ok(self.seen.admit(request, None)))
    }
}

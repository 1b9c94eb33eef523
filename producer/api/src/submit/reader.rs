//! A body as it comes in, read from a thread that may block: it is never held as a whole.

use std::io;

use axum::body::Body;
use futures::TryStreamExt;
use http_body_util::{BodyExt, Limited};
use tokio_util::io::{StreamReader, SyncIoBridge};
use usher_producer::intake::{Intake, IntakeError, IntakeOptions, Row, parse};

/// What errors call the body.
const NAME: &str = "the body";

/// The rows of a body of at most so many bytes. Its first block is looked at when the first row is asked for, which must be on
/// a thread that may block.
pub fn rows(
    body: Body,
    longest: usize,
    options: IntakeOptions,
) -> impl Iterator<Item = Result<Row, IntakeError>> + Send + 'static {
    let body = Limited::new(body, longest).into_data_stream().map_err(io::Error::other);
    let reader = SyncIoBridge::new(StreamReader::new(body));
    Rows::Unread(Box::new(move || parse(NAME, reader, options)))
}

enum Rows {
    Unread(Box<dyn FnOnce() -> Result<Intake, IntakeError> + Send>),
    Read(Box<Intake>),
    Over,
}

impl Iterator for Rows {
    type Item = Result<Row, IntakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Self::Unread(_) = self
            && let Self::Unread(begin) = std::mem::replace(self, Self::Over)
        {
            match begin() {
                Ok(intake) => *self = Self::Read(Box::new(intake)),
                Err(error) => return Some(Err(error)),
            }
        }
        match self {
            Self::Read(intake) => intake.next(),
            Self::Unread(_) | Self::Over => None,
        }
    }
}

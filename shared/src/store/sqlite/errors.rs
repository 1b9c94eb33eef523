//! What SQLite says, in the store's words.

use std::{fmt, path::Path};

use rusqlite::{ErrorCode, ffi};

use crate::store::StoreError;

/// Why a step did not go through.
#[derive(Debug)]
pub(super) enum StepError {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// The store's own answer.
    Store(StoreError),
    /// A stored value that means nothing.
    Unreadable(String),
}

/// What a step comes to.
pub(super) type StepResult<T> = Result<T, StepError>;

impl From<rusqlite::Error> for StepError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Names a stored value that means nothing.
pub(super) fn unreadable(what: &str, problem: impl fmt::Display) -> StepError {
    StepError::Unreadable(format!("{what}: {problem}"))
}

/// The error as callers of the store see it.
pub(super) fn translate(path: &Path, error: StepError) -> StoreError {
    match error {
        StepError::Sqlite(error) => from_sqlite(path, error),
        StepError::Store(error) => error,
        StepError::Unreadable(problem) => StoreError::Corrupt(path.display().to_string(), problem),
    }
}

/// The same failure for another caller: SQLite's errors can't be cloned, but their code and message can.
pub(super) fn again(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            rusqlite::Error::SqliteFailure(*code, message.clone())
        }
        other => rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(other.to_string())),
    }
}

/// Why a whole group failed, as SQLite would say it.
pub(super) fn of_the_group(error: StepError) -> rusqlite::Error {
    let corrupt =
        |message| rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(message));
    match error {
        StepError::Sqlite(error) => error,
        StepError::Store(error) => corrupt(error.to_string()),
        StepError::Unreadable(problem) => corrupt(problem),
    }
}

/// A refusal with the file's name and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {advice}")]
struct Refusal {
    path: String,
    advice: &'static str,
    #[source]
    source: rusqlite::Error,
}

fn from_sqlite(path: &Path, error: rusqlite::Error) -> StoreError {
    let shown = path.display().to_string();
    let refuse =
        |advice, source| StoreError::Refused(Box::new(Refusal { path: shown.clone(), advice, source }));
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            StoreError::Unavailable(Box::new(error))
        }
        Some(ErrorCode::DiskFull) => refuse("the disk is full; make room", error),
        Some(ErrorCode::ReadOnly) => refuse(
            "the file is read-only; check its permissions, and that its file system is writable",
            error,
        ),
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            refuse("no permission; check that the file and its folder are yours", error)
        }
        Some(ErrorCode::CannotOpen) => {
            refuse("the file can't be opened; check that its folder is there and yours", error)
        }
        Some(ErrorCode::OutOfMemory) => refuse("no memory is left", error),
        Some(ErrorCode::SystemIoFailure) => refuse("the disk reports an error", error),
        Some(ErrorCode::NotADatabase) => {
            StoreError::Address { address: shown, problem: "it is not a SQLite file".into() }
        }
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt(shown, error.to_string()),
        _ => match error {
            // A column that does not hold what the schema says, or a schema that is not the one expected.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => StoreError::Corrupt(shown, error.to_string()),
            other => StoreError::Corrupt(shown, format!("an unexpected answer of SQLite: {other}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_sqlite_has_its_retry_rule() {
        let path = Path::new("usher.db");
        let cases = [
            (ffi::SQLITE_BUSY, true, "does not answer"),
            (ffi::SQLITE_LOCKED, true, "does not answer"),
            (ffi::SQLITE_FULL, true, "make room"),
            (ffi::SQLITE_READONLY, true, "check its permissions"),
            (ffi::SQLITE_PERM, true, "are yours"),
            (ffi::SQLITE_CANTOPEN, true, "folder is there"),
            (ffi::SQLITE_IOERR, true, "disk reports"),
            (ffi::SQLITE_NOTADB, false, "not a SQLite file"),
            (ffi::SQLITE_CORRUPT, false, "can't be read"),
            (ffi::SQLITE_CONSTRAINT, false, "can't be read"),
        ];
        for (code, retryable, words) in cases {
            let raw = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = translate(path, again(&raw).into());
            assert_eq!(error.is_retryable(), retryable, "{code}");
            assert!(error.to_string().contains(words), "{code}: {error}");
        }
    }
}

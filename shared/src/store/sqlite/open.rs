//! Opening the file: who may read it, whose it is, which format it has.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    errors::{StepResult, translate},
    schema::{APPLICATION_ID, FORMAT, STEPS},
};
use crate::store::StoreError;

/// How long a statement waits for another process to let go of the file.
const BUSY: Duration = Duration::from_secs(5);

/// Tries to turn the write-ahead log on; SQLite does not wait by itself where another process does the same just now.
const WAL_TRIES: u32 = 50;

/// A failure to make a file or folder, with its name and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{path} can't be opened or made: {source}{}", advice(source))]
pub(super) struct FileProblem {
    path: String,
    source: io::Error,
}

fn advice(problem: &io::Error) -> &'static str {
    match problem.kind() {
        io::ErrorKind::PermissionDenied => "; check that it and its folder are yours",
        io::ErrorKind::ReadOnlyFilesystem => {
            "; the file system is read-only: make it writable, or set data_dir in usher.toml to a folder elsewhere"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; the disk is full: make room",
        _ => "",
    }
}

/// Opens a file for reading and writing; a new one can be read by its owner alone.
pub(super) fn private_file(path: &Path) -> Result<File, FileProblem> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| FileProblem { path: path.display().to_string(), source })
}

fn private_folder(path: &Path) -> Result<(), FileProblem> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| FileProblem { path: path.display().to_string(), source })
}

/// Makes the file where there is none, and opens the connection that writes.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    if path.is_dir() {
        let problem = "it is a folder; name a file in it".to_owned();
        return Err(StoreError::Address { address: path.display().to_string(), problem });
    }
    let refused = |problem: FileProblem| StoreError::Refused(Box::new(problem));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_folder(folder).map_err(refused)?;
    }
    drop(private_file(path).map_err(refused)?);
    let mut conn = connect(path).map_err(|error| translate(path, error))?;
    check(&mut conn, path)?;
    Ok(conn)
}

/// Opens a connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> StepResult<Connection> {
        let conn = connect(path)?;
        conn.pragma_update(None, "query_only", true)?;
        Ok(conn)
    };
    open().map_err(|error| translate(path, error))
}

fn connect(path: &Path) -> StepResult<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY)?;
    // Without it SQLite compiles a prepared statement again whenever a bound value might change the plan: at every use.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(128);
    // What a commit says is on the disk when it returns: an outcome once told is never lost to a power failure.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cache_size", -24_000)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(conn)
}

fn check(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let found = inspect(conn).map_err(|error| translate(path, error))?;
    let address = || path.display().to_string();
    match found {
        Found::Newer(found) => return Err(StoreError::TooNew { found, supported: FORMAT }),
        Found::Foreign => {
            let problem = "the file belongs to another program; name another file".to_owned();
            return Err(StoreError::Address { address: address(), problem });
        }
        Found::Ours(_) => {}
    }
    write_ahead(conn).map_err(|error| translate(path, error))?;
    if found != Found::Ours(FORMAT) {
        bring_up_to_date(conn).map_err(|error| translate(path, error))?;
    }
    Ok(())
}

/// What kind of file this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// One of ours; an empty file has format 0.
    Ours(u64),
    Newer(u64),
    Foreign,
}

fn inspect(conn: &Connection) -> StepResult<Found> {
    let id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let format: u64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: u64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (id, format) {
        (APPLICATION_ID, format) if format > FORMAT => Found::Newer(format),
        (APPLICATION_ID, format @ 1..) => Found::Ours(format),
        (0, 0) if tables == 0 => Found::Ours(0),
        _ => Found::Foreign,
    })
}

fn write_ahead(conn: &Connection) -> StepResult<()> {
    let mut tries = 0;
    loop {
        let mode: rusqlite::Result<String> =
            conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        tries += 1;
        match mode {
            Ok(_) => break,
            Err(error)
                if tries < WAL_TRIES
                    && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
    // Fewer, larger checkpoints; and the log does not stay at its largest size for ever.
    conn.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    conn.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
    Ok(())
}

/// Takes the steps that the file lacks, all or none of them.
fn bring_up_to_date(conn: &mut Connection) -> StepResult<()> {
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    if let Found::Ours(format) = inspect(&transaction)? {
        for (step, makes) in STEPS.iter().zip(1..).filter(|(_, makes)| *makes > format) {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", makes)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.commit()?;
    Ok(())
}

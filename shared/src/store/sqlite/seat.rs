//! The one seat: a lock of the operating system on a file beside the store, gone with the process whatever ends it.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use super::open::private_file;
use crate::store::StoreError;

/// The lock file of a store.
pub(super) fn lock_path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Takes the lock, which lasts as long as the file stays open.
pub(super) fn take(store: &Path) -> Result<File, StoreError> {
    let path = lock_path(store);
    let file = private_file(&path).map_err(|error| StoreError::Refused(Box::new(error)))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::SeatTaken(store.display().to_string())),
        Err(TryLockError::Error(error)) => Err(StoreError::Refused(Box::new(error))),
    }
}

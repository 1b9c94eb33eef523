//! The key that the embedded store's worker makes for itself.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use ring::rand::{SecureRandom, SystemRandom};
use usher_shared::audit::AuditKey;

/// The file's name in the data directory.
const NAME: &str = "audit.key";
/// What a key has at least: a file that is shorter was cut off.
const SHORTEST: usize = 16;

/// Why there is no key. Never retried; the user does what the message says.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file can't be made or read.
    #[error("the audit's key {path} can't be made or read: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file holds no key.
    #[error(
        "the audit's key {0} is empty or cut off: put it back from a copy, for what was sealed can't be verified with \
         another one"
    )]
    CutOff(PathBuf),
    /// The operating system gives no randomness.
    #[error("the operating system gave no random numbers")]
    Random,
}

/// Reads `audit.key` in this directory, and makes it where it is not there yet, for its owner alone. Returns the key and the
/// file that the audit's head is noted in, beside it.
pub fn audit_key_file(directory: &Path) -> Result<(AuditKey, PathBuf), KeyFileError> {
    let path = directory.join(NAME);
    let failed = |source| KeyFileError::File { path: path.clone(), source };
    if !path.try_exists().map_err(failed)? {
        make(&path)?;
    }
    let text = fs::read_to_string(&path).map_err(failed)?;
    let secret = text.trim();
    if secret.len() < SHORTEST {
        return Err(KeyFileError::CutOff(path));
    }
    Ok((AuditKey::new(secret.as_bytes()), directory.join("audit.head")))
}

/// Writes a new key beside the file first, so that whoever reads it at the same time finds all of it; of two who make one,
/// one wins.
fn make(path: &Path) -> Result<(), KeyFileError> {
    let mut secret = [0; 32];
    SystemRandom::new().fill(&mut secret).map_err(|_| KeyFileError::Random)?;
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let new = path.with_extension(format!("key.{}", std::process::id()));
    let written =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new).and_then(
            |mut file| {
                file.write_all(text.as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            },
        );
    let placed = written.and_then(|()| match fs::hard_link(&new, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        placed => placed,
    });
    drop(fs::remove_file(&new));
    placed.map_err(|source| KeyFileError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use usher_shared::{
        Timestamp,
        audit::{AuditEntry, seal},
    };

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_read_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let entry = AuditEntry { number: 1, at: Timestamp::from_millis(1), event: "{}".into(), seal: None };
        let (key, head) = audit_key_file(folder.path()).unwrap();
        assert_eq!(head, folder.path().join("audit.head"));
        let path = folder.path().join(NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (again, _) = audit_key_file(folder.path()).unwrap();
        assert_eq!(seal(&key, "", &entry), seal(&again, "", &entry));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        fs::write(&path, "").unwrap();
        assert!(matches!(audit_key_file(folder.path()), Err(KeyFileError::CutOff(_))));
    }
}

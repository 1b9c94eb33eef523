//! The machine: the configuration, the data directory, the files with secrets.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use usher_shared::{
    Diagnosis,
    config::{Config, ConfigError, SecretSource, StoreAddress},
};

use super::Section;
use crate::{report::numbers::of, wiring};

/// Less free space than this is too little for a run of any size.
const NO_ROOM: u64 = 64 << 20;
/// Less than this is worth a word: a million users and their outcomes take about so much.
const LITTLE_ROOM: u64 = 1 << 30;
/// So many files are looked at: enough for years of reports.
const FILES: usize = 10_000;
/// Others may write; others may read; group or others may do anything.
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_READ: u32 = 0o004;
const NOT_PRIVATE: u32 = 0o077;

/// A configuration that can't be read.
pub fn unreadable(error: &ConfigError) -> Section {
    let mut section = Section::new("machine", wiring::host());
    section.add(Diagnosis::failure(
        "configuration",
        error.to_string(),
        "no other check can be made without it, and no command works",
        "correct what is named; the README's table has every key",
    ));
    section
}

/// Looks at everything that is of this machine.
pub fn look(config: &Config) -> Section {
    let mut section = Section::new("machine", wiring::host());
    configuration(config, &mut section);
    match config.data_dir() {
        Ok(dir) => data_dir(&dir, &mut section),
        Err(error) => section.add(Diagnosis::failure(
            "data directory",
            error.to_string(),
            "there is no place for the embedded store and for reports",
            "data_dir = \"/var/lib/usher\" in usher.toml, or USHER__DATA_DIR",
        )),
    }
    secrets(config, &mut section);
    section
}

fn configuration(config: &Config, section: &mut Section) {
    let accounts = of(config.accounts.len() as u64, "account");
    let found = match &config.file {
        Some(file) => format!("{}: {accounts}", file.display()),
        None => "no usher.toml here or in the user's configuration directory: the defaults".to_owned(),
    };
    section.add(if config.accounts.is_empty() {
        Diagnosis::warning(
            "configuration",
            found,
            "without accounts this machine can submit and look, and can't work",
            "add [accounts.NAME] to usher.toml, as the README shows",
        )
    } else {
        Diagnosis::ok("configuration", found)
    });
    let Some(file) = &config.file else { return };
    let Some(mode) = mode(file) else { return };
    let holds_password =
        matches!(&config.store, Some(StoreAddress::Redis(address)) if address.has_password());
    if mode & OTHERS_WRITE != 0 {
        section.add(Diagnosis::warning(
            "configuration",
            format!("others may write to {} (mode {:o})", file.display(), mode & 0o777),
            "whoever changes base_url or token_url is sent the account's secrets",
            format!("chmod go-w {}", file.display()),
        ));
    }
    if mode & OTHERS_READ != 0 && holds_password {
        section.add(Diagnosis::warning(
            "configuration",
            format!("everybody may read {}, and its store has a password in it", file.display()),
            "who has it can read and change every run",
            "take it out of the address: store_password = { file = \"...\" }",
        ));
    }
}

fn data_dir(dir: &Path, section: &mut Section) {
    const CHECK: &str = "data directory";
    let shown = dir.display();
    let there = dir.is_dir();
    let why = "the embedded store and the reports lie there: nothing could be submitted or reported";
    match probe(dir) {
        Ok(()) if there => section.add(Diagnosis::ok(CHECK, format!("{shown}: written to"))),
        Ok(()) => section.add(Diagnosis::ok(CHECK, format!("{shown}: made when it is needed"))),
        Err(error) => section.add(Diagnosis::failure(
            CHECK,
            format!("{shown} can't be written: {error}"),
            why,
            if there {
                format!(
                    "chown \"$USER\" {shown} && chmod 700 {shown}, or name another: data_dir in usher.toml"
                )
            } else {
                format!("mkdir -m 700 -p {shown}, or name another: data_dir in usher.toml")
            },
        )),
    }
    free_space(dir, section);
    if !there {
        return;
    }
    if let Some(mode) = mode(dir).filter(|mode| mode & NOT_PRIVATE != 0) {
        section.add(Diagnosis::warning(
            CHECK,
            format!("others may look into {shown} (mode {:o})", mode & 0o777),
            "it holds who was shown out, and when",
            format!("chmod 700 {shown}"),
        ));
    }
    let open: Vec<PathBuf> = files(dir)
        .into_iter()
        .filter(|file| mode(file).is_some_and(|mode| mode & NOT_PRIVATE != 0))
        .collect();
    match open.as_slice() {
        [] => section.add(Diagnosis::ok("files", "every file in it is its owner's alone")),
        [first, ..] => section.add(Diagnosis::warning(
            "files",
            format!("others may open {}, {} among them", of(open.len() as u64, "file"), first.display()),
            "they hold who was shown out, and when",
            format!("chmod -R go-rwx {shown}"),
        )),
    }
}

/// Writes a byte and takes it away; where the directory is not there yet, in the nearest one above it that is.
fn probe(dir: &Path) -> io::Result<()> {
    let Some(place) = dir.ancestors().find(|place| place.is_dir()) else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no directory above it is there"));
    };
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    let path = place.join(format!(".usher-doctor-{}", std::process::id()));
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&path).and_then(|mut file| {
        file.write_all(b"x")?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    written.and(removed)
}

fn free_space(dir: &Path, section: &mut Section) {
    let Some(place) = dir.ancestors().find(|place| place.is_dir()) else { return };
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    let Ok(disk) = rustix::fs::statvfs(place) else { return };
    section.add(room(disk.f_bavail.saturating_mul(disk.f_frsize), dir));
}

fn room(free: u64, dir: &Path) -> Diagnosis {
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let found = format!("{:.1} GiB free", free as f64 / f64::from(1 << 30));
    let why = "on a full disk outcomes can't be recorded, and work stops until there is room";
    let cure = format!("make room on the disk of {}, or set data_dir to another", dir.display());
    match free {
        0..NO_ROOM => Diagnosis::failure("disk", found, why, cure),
        NO_ROOM..LITTLE_ROOM => Diagnosis::warning("disk", found, why, cure),
        _ => Diagnosis::ok("disk", found),
    }
}

fn secrets(config: &Config, section: &mut Section) {
    let mut sources: Vec<(String, &SecretSource)> =
        config.store_password.iter().map(|source| ("store_password".to_owned(), source)).collect();
    for (name, account) in &config.accounts {
        sources.extend(
            account.secrets().into_iter().map(|(key, source)| (format!("accounts.{name}.{key}"), source)),
        );
    }
    if sources.is_empty() {
        return;
    }
    let before = section.diagnoses.len();
    for (key, source) in &sources {
        if let Err(error) = source.read() {
            section.add(Diagnosis::failure(
                "secrets",
                format!("{key}: {error}"),
                "the account, or the store, can't be reached without it",
                match source {
                    SecretSource::Env(name) => format!("export {name}=..."),
                    SecretSource::File(path) => {
                        format!("install -m 600 /dev/stdin {}, and paste the secret", path.display())
                    }
                },
            ));
        } else if let SecretSource::File(path) = source
            && let Some(mode) = mode(path).filter(|mode| mode & OTHERS_READ != 0)
        {
            section.add(Diagnosis::warning(
                "secrets",
                format!("everybody on this machine may read {} (mode {:o})", path.display(), mode & 0o777),
                format!("{key} is in it"),
                format!("chmod 600 {}", path.display()),
            ));
        }
    }
    if section.diagnoses.len() == before {
        let found =
            format!("{} read, and no file of them is everybody's", of(sources.len() as u64, "secret"));
        section.add(Diagnosis::ok("secrets", found));
    }
}

fn mode(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|meta| meta.permissions().mode())
}

/// The files of a directory and of those in it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut dirs) = (vec![], vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                Ok(kind) if kind.is_file() && found.len() < FILES => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use usher_shared::Level;

    use super::*;

    #[test]
    fn little_room_is_a_warning_and_none_a_failure() {
        let level = |free| room(free, Path::new("/data")).level;
        assert_eq!(
            [level(0), level(NO_ROOM), level(LITTLE_ROOM)],
            [Level::Failure, Level::Warning, Level::Ok]
        );
    }

    #[test]
    fn a_probe_leaves_nothing_behind_and_makes_no_directory() {
        let dir = tempfile::tempdir().unwrap();
        probe(dir.path()).unwrap();
        probe(&dir.path().join("not/yet/there")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

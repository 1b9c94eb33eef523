//! Python with packages that others wrote, installed once beside the build.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::fs::{FlockOperation, flock};

const MISSING: &str = "install Python 3.9 or later with its venv and pip modules \
                       (Debian: apt-get install python3 python3-venv), and reach PyPI";

/// A virtual environment in which the packages of `tests/clients/LIST` are installed; returns its directory of programs.
/// Tests that ask at once wait for each other, in one process or in several.
pub fn programs(list: &str) -> PathBuf {
    let list_path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(list);
    let wanted = fs::read_to_string(&list_path).unwrap_or_else(|error| panic!("{list}: {error}"));
    let name = list.trim_end_matches(".txt");
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    fs::create_dir_all(&parent).unwrap();
    // The lock goes with the process that holds it, whatever ends it.
    let lock = fs::File::create(parent.join(format!("{name}.lock"))).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let (dir, installed) = (parent.join(name), parent.join(format!("{name}.installed")));
    if !fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&dir));
        let mut pip = Command::new(dir.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
        run(pip.arg(&list_path));
        fs::write(&installed, wanted).unwrap();
    }
    dir.join("bin")
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; {MISSING}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{}{}\n{MISSING}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

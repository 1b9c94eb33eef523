//! A small file system of one's own, to be filled and to be made read-only.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// Set in a test that was started again where it may mount.
const AGAIN: &str = "USHER_FAULTS_MAY_MOUNT";

/// A file system in memory, mounted at a folder; gone when dropped.
#[derive(Debug)]
pub struct Volume {
    at: PathBuf,
}

impl Volume {
    fn mounted(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "usher-test"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self { at: at.to_owned() })
    }

    /// Writes until nothing more fits. Room that is made by others meanwhile is filled with the next call.
    pub fn fill(&self) {
        let file = fs::OpenOptions::new().create(true).append(true).open(self.ballast());
        let mut file = file.unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![b'x'; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Makes room again.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    /// Lets nobody write from now on, or everybody again.
    pub fn read_only(&self, read_only: bool) {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        // Whoever has a file open for writing keeps the file system writable: then this is refused.
        let output = Command::new("mount").args(["-o", options]).arg(&self.at).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        drop(Command::new("umount").args(["--lazy"]).arg(&self.at).status());
    }
}

/// Gives a test a volume of this size at a folder of a place that `make` makes. Who may not mount starts the test again in a
/// user namespace of its own, where everybody may; where that is forbidden, too, it says so and the test is not run.
pub fn with_volume<P>(
    test: &str,
    size: &str,
    make: impl FnOnce() -> (P, PathBuf),
    run: impl FnOnce(P, Volume),
) {
    let (place, at) = make();
    if let Some(volume) = Volume::mounted(&at, size) {
        return run(place, volume);
    }
    drop(place);
    let namespaces = Command::new("unshare").args(["-Urm", "true"]).output();
    if env::var_os(AGAIN).is_some() || !namespaces.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "{test}: NOT RUN: this user may mount nothing here, and make no user namespace (unshare -Urm)"
        );
        return;
    }
    let again = Command::new("unshare")
        .arg("-Urm")
        .arg(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(AGAIN, "1")
        .status();
    assert!(again.unwrap().success(), "{test}, in a user namespace");
}

//! A reader who types the page's examples one after the other into one shell.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{page::Block, support::wait_until};

/// No example takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// A shell: what one block assigns, the next ones know.
pub struct Shell {
    dir: PathBuf,
    path: std::ffi::OsString,
    url: String,
}

impl Shell {
    /// In this directory, with these programs before all others, and the address of a server as the page's readers have it.
    pub fn new(dir: PathBuf, programs: &[PathBuf], url: &str) -> Self {
        let system = std::env::var_os("PATH").unwrap_or_default();
        let all = programs.iter().cloned().chain(std::env::split_paths(&system));
        fs::write(dir.join(".known"), "").unwrap();
        Self { path: std::env::join_paths(all).unwrap(), dir, url: url.to_owned() }
    }

    /// Types a block as it stands; returns what it printed. It has to succeed.
    #[track_caller]
    pub fn types(&self, block: &Block) -> String {
        // Whatever is assigned is exported, and read again before the next block.
        let script = format!("set -aeuo pipefail\n. ./.known\n{}\nset +e\nexport -p >.known", block.text);
        self.runs(block, Command::new("bash").args(["--norc", "-c", &script]))
    }

    /// Runs a Python program as it stands, with what the shell has exported; returns what it printed.
    #[track_caller]
    pub fn runs_python(&self, block: &Block, arguments: &str) -> String {
        let file = format!("example_at_{}.py", block.line);
        fs::write(self.dir.join(&file), &block.text).unwrap();
        let script = format!("set -aeu\n. ./.known\nexec python3 {file} {arguments}");
        self.runs(block, Command::new("bash").args(["--norc", "-c", &script]))
    }

    #[track_caller]
    fn runs(&self, block: &Block, command: &mut Command) -> String {
        command.current_dir(&self.dir).env_clear().env("PATH", &self.path).env("HOME", &self.dir);
        command.env("USHER_URL", &self.url).env("PYTHONUNBUFFERED", "1");
        let (out, err) = (self.dir.join(".out"), self.dir.join(".err"));
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        let mut ended = None;
        wait_until("an example to end", || {
            ended = child.try_wait().unwrap();
            if ended.is_none() && begun.elapsed() > LONGEST {
                // With what it has started: a curl would go on.
                let group = format!("-{}", child.id());
                let _gone = Command::new("kill").args(["-KILL", "--", &group]).status();
            }
            ended.is_some()
        });
        let [out, err] = [out, err].map(|path| fs::read_to_string(path).unwrap());
        assert!(
            ended.is_some_and(|status| status.success()),
            "docs/api.md, line {}, under {:?}: {ended:?}\n{}\nprinted:\n{out}\n{err}",
            block.line,
            block.heading,
            block.text
        );
        out
    }
}

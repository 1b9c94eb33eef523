//! A redis-server of a test's own: a real process on a free port, in a temporary directory, ended by its own id.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "for tests alone: what fails here fails the test"
)]

mod certificates;

pub use certificates::Certificates;

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use tempfile::TempDir;

/// How often another port is tried, where somebody else took the one that was free a moment ago.
const TRIES: u32 = 20;

/// A running redis-server; killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    /// `--port` or `--tls-port`.
    speaks: &'static str,
    options: Vec<String>,
    dir: TempDir,
}

/// How the server keeps what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Not at all.
    Memory,
    /// An append-only file, flushed every second: a crash of the machine may lose the last one.
    EverySecond,
    /// An append-only file, flushed before each reply.
    Always,
}

impl Durability {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Memory => &["--appendonly", "no"],
            Self::EverySecond => &["--appendonly", "yes", "--appendfsync", "everysec"],
            Self::Always => &["--appendonly", "yes", "--appendfsync", "always"],
        }
    }
}

impl RedisServer {
    /// Starts a server that listens on loopback; `options` are more words of its command line, such as `--requirepass`.
    #[must_use]
    pub fn start(durability: Durability, options: &[&str]) -> Self {
        Self::start_on("--port", durability, options)
    }

    /// Starts a server that speaks TLS alone, with these certificates. It asks for no client's certificate unless `options`
    /// say `--tls-auth-clients yes`.
    #[must_use]
    pub fn start_tls(durability: Durability, certificates: &Certificates, options: &[&str]) -> Self {
        let certificates = certificates.options();
        let mut all = vec!["--port", "0", "--tls-auth-clients", "no"];
        all.extend(certificates.iter().map(String::as_str));
        all.extend(options);
        Self::start_on("--tls-port", durability, &all)
    }

    fn start_on(speaks: &'static str, durability: Durability, options: &[&str]) -> Self {
        let usual = ["--save", "", "--bind", "127.0.0.1", "--maxmemory-policy", "noeviction"];
        let all = usual.iter().chain(durability.options()).chain(options);
        let options: Vec<String> = all.map(ToString::to_string).collect();
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..TRIES {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(child) = spawn(speaks, port, dir.path(), &options) {
                return Self { child, port, speaks, options, dir };
            }
        }
        panic!("redis-server does not start; is it installed? tests/run installs it");
    }

    /// Ends the server with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again, on its port and with its files. Returns once it has loaded them.
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// The same with more words of its command line.
    pub fn start_again_with(&mut self, more: &[&str]) {
        let options: Vec<String> =
            self.options.iter().cloned().chain(more.iter().map(ToString::to_string)).collect();
        let child = spawn(self.speaks, self.port, self.dir.path(), &options);
        self.child = child.expect("redis-server starts again on its port");
    }

    /// Kills it, and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Sends the server's process a signal: `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
        assert!(status.success(), "kill -{name} {id}");
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_as("")
    }

    /// Its address with a login, such as `ann:password@`.
    #[must_use]
    pub fn url_as(&self, login: &str) -> String {
        let scheme = if self.speaks == "--tls-port" { "rediss" } else { "redis" };
        format!("{scheme}://{login}127.0.0.1:{}", self.port)
    }

    /// The address of database `db`.
    #[must_use]
    pub fn url_of(&self, db: u8) -> String {
        format!("{}/{db}", self.url())
    }
}

/// A number that no other test of this process has: tests that share a server take accounts or databases by it.
#[must_use]
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// `None` where the server ended before it was ready.
fn spawn(speaks: &str, port: u16, dir: &Path, options: &[String]) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.arg(speaks).arg(port.to_string()).arg("--dir").arg(dir).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("redis-server is installed; tests/run installs it");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    for line in lines.by_ref() {
        if line.is_ok_and(|line| line.contains("Ready to accept connections")) {
            // What it says later is read and dropped, so that its pipe does not fill up.
            std::thread::spawn(move || lines.for_each(drop));
            return Some(child);
        }
    }
    child.wait().unwrap();
    None
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // A test may have ended it already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

//! A redis-server of the test's own: on a free port, in a temporary directory, ended when dropped.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test program uses what it needs"
)]

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use tempfile::TempDir;

/// A running redis-server.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    options: Vec<String>,
    dir: TempDir,
}

/// How the server keeps what it is told.
#[derive(Clone, Copy, Debug)]
pub enum Durability {
    /// Not at all.
    Memory,
    /// An append-only file, flushed before each reply.
    AppendAlways,
}

impl RedisServer {
    /// Starts a server; `options` are those of its command line, such as `--requirepass`.
    pub fn start(durability: Durability, options: &[&str]) -> Self {
        let mut options: Vec<String> = options.iter().map(ToString::to_string).collect();
        options.extend(["--save", "", "--bind", "127.0.0.1"].map(String::from));
        options.extend(match durability {
            Durability::Memory => ["--appendonly", "no"].map(String::from).to_vec(),
            Durability::AppendAlways => {
                ["--appendonly", "yes", "--appendfsync", "always"].map(String::from).to_vec()
            }
        });
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            // Somebody else may take the port before the server does; then the server ends, and another is tried.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(child) = spawn(port, &dir, &options) {
                return Self { child, port, options, dir };
            }
        }
        panic!("redis-server did not start; is it installed?");
    }

    /// Ends the server with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again, on its port and with its files.
    pub fn start_again(&mut self) {
        self.child = spawn(self.port, &self.dir, &self.options).expect("the server starts again on its port");
    }

    /// Stops the server's process from running, or lets it go on.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of database `db`.
    pub fn url(&self, db: u8) -> String {
        format!("redis://127.0.0.1:{}/{db}", self.port)
    }
}

/// A number that no other test of this process has: tests that share a server take accounts or databases by it.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// `None` where the server ended before it was ready.
fn spawn(port: u16, dir: &TempDir, options: &[String]) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir.path()).args(options);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
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

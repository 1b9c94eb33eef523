//! A redis-server of a case's own: on a free port, in a temporary directory.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use redis::aio::MultiplexedConnection;
use tokio::process::Command;

use crate::process::{Process, free_port};

/// A running redis-server.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    port: u16,
    _dir: tempfile::TempDir,
}

impl RedisServer {
    /// Starts one, set up as the README tells services to: every write in the append-only file, flushed each second.
    pub async fn start() -> Result<Self> {
        // The port is free when it is chosen; should somebody take it before Redis does, another is tried.
        for _ in 0..10 {
            let (dir, port) = (tempfile::tempdir()?, free_port()?);
            let mut command = Command::new("redis-server");
            command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
                .args(["--appendonly", "yes", "--appendfsync", "everysec"])
                .args(["--maxmemory-policy", "noeviction", "--dir"])
                .arg(dir.path())
                .stdout(Stdio::null());
            let mut process = Process::start("redis-server", &mut command, dir.path())?;
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
            for _ in 0..250 {
                if client.get_multiplexed_async_connection().await.is_ok() {
                    return Ok(Self { process, port, _dir: dir });
                }
                if process.ended()?.is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        bail!("redis-server does not start")
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> String {
        self.port.to_string()
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        self.process.id().context("redis-server has ended")
    }

    /// A connection.
    pub async fn connect(&self) -> Result<MultiplexedConnection> {
        Ok(redis::Client::open(self.url())?.get_multiplexed_async_connection().await?)
    }

    /// `used_memory` of INFO memory.
    pub async fn used_memory(&self) -> Result<u64> {
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut self.connect().await?).await?;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.and_then(|bytes| bytes.trim().parse().ok()).context("INFO memory without used_memory")
    }
}

//! Processes that the bench starts, and ends by their ids.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// A process that is running; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose standard error goes to a file in `dir`.
    pub fn start(name: &str, command: &mut Command, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{}.err", name.replace(['/', ' '], "-")));
        let file = fs::File::create(&log).with_context(|| format!("{}", log.display()))?;
        let child = command.stdin(Stdio::null()).stderr(file).kill_on_drop(true).spawn();
        Ok(Self {
            child: child.with_context(|| format!("{name} does not start"))?,
            name: name.to_owned(),
            log,
        })
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its standard output, where that was piped.
    pub fn stdout(&mut self) -> Option<tokio::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until its log has this text.
    pub async fn says(&mut self, text: &str) -> Result<()> {
        for _ in 0..1_000 {
            if fs::read_to_string(&self.log).is_ok_and(|log| log.contains(text)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, self.tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{} never said {text:?}: {}", self.name, self.tail())
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end, which has to be a success.
    pub async fn success(&mut self) -> Result<()> {
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("{} ended with {status}: {}", self.name, self.tail());
        }
        Ok(())
    }

    /// Asks it to end, and kills it if it takes longer than 20 s.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended by itself in this moment.
            let _gone = kill_process(pid, Signal::TERM);
        }
        if timeout(Duration::from_secs(20), self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }

    /// All that it said on standard error.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())
    }

    /// The end of what it said on standard error.
    pub fn tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(4).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

/// Runs a program to its end, and returns what it printed.
pub async fn output(name: &str, command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("{name} does not start"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let lines: Vec<&str> = said.lines().rev().take(4).collect();
        bail!(
            "{name} ended with {}: {}",
            output.status,
            lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A free port of this moment.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Processor time that a process has used so far, in user and in kernel mode. Linux counts it in hundredths of a second.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).context("this system has no /proc/PID/stat")?;
    // The program's name, in brackets, may hold blanks; utime and stime are the 12th and 13th words after it.
    let (_, after) = stat.rsplit_once(')').context("/proc/PID/stat is of no form that is known")?;
    let words: Vec<&str> = after.split_whitespace().collect();
    let ticks = |place: usize| words.get(place).and_then(|word| word.parse::<u64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("/proc/PID/stat is of no form that is known")?;
    Ok(Duration::from_millis((user + system) * 10))
}

/// The ports of this machine from which a process is connected to another port of it, by IPv4.
pub fn ports_to(pid: u32, remote: u16) -> Result<Vec<u16>> {
    let mut sockets = HashSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).context("this system has no /proc/PID/fd")? {
        // A file that has been closed in this moment is none of its connections.
        let Ok(target) = fs::read_link(entry?.path()) else { continue };
        let inode = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']'));
        sockets.extend(inode.map(str::to_owned));
    }
    let table = fs::read_to_string("/proc/net/tcp").context("this system has no /proc/net/tcp")?;
    let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    let mut ports = vec![];
    for line in table.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, other, _, _, _, _, _, _, inode, ..] = words.as_slice() else { continue };
        if port(other) == Some(remote) && sockets.contains(*inode) {
            ports.extend(port(local));
        }
    }
    Ok(ports)
}

/// The most memory that a process has had so far, in MB; 0 where the system does not tell.
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

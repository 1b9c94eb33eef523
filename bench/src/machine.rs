//! What the figures were measured on.

use std::{fs, process::Command};

/// One line each: machine, programs, commit, load at the start.
pub fn description() -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu =
        info.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split_once(": "));
    let cpu = cpu.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned());
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let system = system.map_or_else(|| said("uname", &["-s"]), |name| name.trim_matches('"').to_owned());
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let memory =
        memory.map_or_else(String::new, |kb: u64| format!(", {} GB of memory", (kb + 524_288) / 1_048_576));
    let redis = said("redis-server", &["--version"]);
    let redis =
        redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("unknown").to_owned();
    let changes = if said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() {
        ""
    } else {
        ", with changes"
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    vec![
        format!("{cores} cores, {cpu}{memory}"),
        format!("{system}, Linux {}", said("uname", &["-r"])),
        format!("redis-server {redis}, Node {}", said("node", &["--version"])),
        format!("commit {}{changes}", said("git", &["rev-parse", "--short", "HEAD"])),
        format!(
            "{}, load before the start {}",
            jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
            load.split_whitespace().next().unwrap_or("unknown")
        ),
    ]
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

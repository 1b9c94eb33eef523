//! What the process is made of, as Linux tells it in /proc. Elsewhere nothing is told.

use std::{fmt::Write as _, fs};

use super::names::PROCESS;

/// Clock ticks a second in /proc: `USER_HZ`, 100 on every Linux (proc_pid_stat(5)).
const TICKS: f64 = 100.0;

/// Appends what is known, in the text format. It is written here because a counter of the facade is whole, and CPU time is not.
pub(super) fn write(text: &mut String) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let fds = fs::read_dir("/proc/self/fd").map(|fds| fds.count()).ok();
    let known = read_all(
        &read("/proc/self/stat"),
        &read("/proc/self/status"),
        &read("/proc/stat"),
        &read("/proc/self/limits"),
        fds,
    );
    for (metric, value) in PROCESS.iter().zip(known) {
        let Some(value) = value else { continue };
        let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
        // Writing to a text can't fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
    }
}

/// In the order of [`PROCESS`].
fn read_all(stat: &str, status: &str, machine: &str, limits: &str, fds: Option<usize>) -> [Option<f64>; 7] {
    // The second field is the command's name in parentheses, which may hold anything: what counts begins after the last one.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    // Numbered from 1 in proc_pid_stat(5); the first one here is its third.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let named = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok())
    };
    let booted = named(machine, "btime ");
    [
        field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS),
        named(status, "VmRSS:").map(|kib| kib * 1024.0),
        named(status, "VmSize:").map(|kib| kib * 1024.0),
        field(22).zip(booted).map(|(ticks, booted)| booted + ticks / TICKS),
        fds.and_then(|fds| u32::try_from(fds).ok()).map(f64::from),
        named(limits, "Max open files"),
        field(20),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "42 (us) her (x) S 1 1 1 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 7 0 2000 1048576 25 18446744073709551615";
        let status = "Name:\tx\nVmSize:\t    1024 kB\nVmRSS:\t     100 kB\n";
        let machine = "cpu 1 2 3\nbtime 1700000000\n";
        let limits = "Limit   Soft   Hard   Units\nMax open files            1024                 4096                 files\n";
        let known = read_all(stat, status, machine, limits, Some(12));
        let expected = [2.0, 102_400.0, 1_048_576.0, 1_700_000_020.0, 12.0, 1024.0, 7.0].map(Some);
        assert_eq!(known, expected);
        assert_eq!(read_all("", "", "", "", None), [None; 7]);
    }
}

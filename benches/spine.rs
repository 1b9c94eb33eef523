//! The figures of the main job, measured on the real binary: `cargo bench --bench spine`.
//!
//! Prints a table and asserts nothing: a slow machine is no defect. Loopback only; takes about three minutes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fs,
    io::{BufWriter, Write},
    process::Stdio,
    time::Instant,
};

use support::{Kind, Workplace};
use usher_simulator::{
    faults::{Faults, MsRange},
    rate::WindowKind,
    zoom::{Limits, Population, Settings},
};

const USERS: u32 = 2_400;
const PLAN: f64 = 80.0;
const ROWS: u64 = 1_000_000;

fn main() {
    // `cargo test --benches` runs this too: it measures nothing then.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    println!("{:<44} {:>10} {:>10} {:>8} {:>8}", "case", "seconds", "of 80/s", "429s", "peak/s");
    for kind in [Kind::Sqlite, Kind::Redis] {
        for window in [WindowKind::Sliding, WindowKind::Fixed] {
            pace(kind, window);
        }
    }
    println!("\n{:<44} {:>10} {:>12} {:>10}", "case", "seconds", "rows/s", "peak MB");
    for kind in [Kind::Sqlite, Kind::Redis] {
        million(kind);
    }
}

/// 2,400 users at 80/s: how long the status calls take, and how many are refused.
fn pace(kind: Kind, window: WindowKind) {
    let place = Workplace::new(
        kind,
        Settings {
            directory: Population { users: USERS, ..Population::default() },
            limits: Limits { window, ..Limits::default() },
            faults: Faults { latency_ms: MsRange::new(60, 100), ..Faults::default() },
            ..Settings::default()
        },
    );
    let file = place.csv("leavers.csv", &place.ordinary());
    let words =
        ["run", file.to_str().unwrap(), "-a", "zoom-main", "--action", "deactivate", "--yes", "--quiet"];
    place.usher(&words).succeeded();
    let run = place.newest_run();
    let status = place.status(&run);
    assert_eq!(status["outcomes"]["applied"], u64::from(USERS), "{status}");
    let report = place.sim.report();
    let pace = &report.pace["status"];
    let span = pace.last_at.unwrap().as_millisecond() - pace.first_at.unwrap().as_millisecond();
    let seconds = span as f64 / 1000.0;
    println!(
        "{:<44} {seconds:>10.2} {:>9.1}% {:>8} {:>8}",
        format!("{USERS} users, {kind:?}, {window} window, one worker"),
        100.0 * f64::from(USERS - 1) / seconds / PLAN,
        report.throttled_calls(),
        pace.max_in_any_second,
    );
}

/// 1,000,000 rows submitted: how fast, and in how much memory.
fn million(kind: Kind) {
    let place = Workplace::new(kind, Settings::default());
    let path = place.path("million.csv");
    let mut csv = BufWriter::new(fs::File::create(&path).unwrap());
    writeln!(csv, "employee,email,department").unwrap();
    for n in 0..ROWS {
        writeln!(csv, "E{n:07},first{n}.last{n}@corp.example,Sales").unwrap();
    }
    csv.flush().unwrap();
    drop(csv);
    let words =
        ["submit", path.to_str().unwrap(), "-a", "zoom-main", "--action", "deactivate", "--yes", "--quiet"];
    let start = Instant::now();
    let mut child = place.command(&words).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(peak_kb(child.id()));
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    let seconds = start.elapsed().as_secs_f64();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    let run = String::from_utf8(out.stdout).unwrap();
    assert_eq!(place.status(run.trim())["total"], ROWS);
    println!(
        "{:<44} {seconds:>10.2} {:>12.0} {:>10}",
        format!("{ROWS} rows submitted, {kind:?}"),
        ROWS as f64 / seconds,
        peak / 1024,
    );
}

/// The most memory that the process has had so far; 0 where the system does not tell.
fn peak_kb(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

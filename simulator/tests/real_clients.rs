//! what it proves: clients that others wrote for Zoom list, deactivate and reactivate users against the
//! simulator as they do against Zoom. They are installed once, beside the build.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;
use usher_simulator::zoom::{Population, Report, Settings, SimUser, Status, ZoomSim};

const STATUS: &str = "PUT /users/{userId}/status";
const CHANGED: usize = 3;

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients")
}

fn settings() -> Settings {
    let directory = Population {
        users: 700,
        admins: 3,
        pending: 5,
        upcoming_event: 2,
        already_inactive: 20,
        ..Population::default()
    };
    Settings { seed: 11, directory, ..Settings::default() }
}

/// Runs a program to its end and returns what it printed; panics with all it said where it fails.
async fn run(command: &mut Command, seconds: u64, missing: &str) -> String {
    let what = format!("{:?}", command.as_std());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(Duration::from_secs(seconds), command.output()).await {
        Err(_) => panic!("{what} took longer than {seconds} s"),
        Ok(Err(error)) => panic!("{what}: {error}; {missing}"),
        Ok(Ok(output)) => output,
    };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} failed: {}\n{stdout}{stderr}\n{missing}", output.status);
    stdout
}

/// A directory beside the build in which the packages of `list` are installed; `true` while they are not.
fn cache(name: &str, list: &str) -> (PathBuf, bool) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("real-clients").join(name);
    let wanted = fs::read_to_string(clients().join(list)).unwrap();
    if fs::read_to_string(dir.join("installed")).is_ok_and(|installed| installed == wanted) {
        return (dir, false);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir_all(&dir).unwrap();
    (dir, true)
}

fn installed(dir: &Path, list: &str) {
    fs::copy(clients().join(list), dir.join("installed")).unwrap();
}

async fn zoomus() -> Command {
    const MISSING: &str = "install Python 3.9 or later with its venv and pip modules \
                           (Debian: apt-get install python3 python3-venv), and reach PyPI";
    let (dir, to_install) = cache("python", "requirements.txt");
    let python = dir.join("bin/python");
    if to_install {
        run(Command::new("python3").args(["-m", "venv"]).arg(&dir), 60, MISSING).await;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
        run(pip.arg(clients().join("requirements.txt")), 120, MISSING).await;
        installed(&dir, "requirements.txt");
    }
    let mut command = Command::new(python);
    command.arg(clients().join("zoomus_roundtrip.py"));
    command
}

async fn rivet() -> Command {
    const MISSING: &str = "install Node.js 20 or later with npm (nodejs.org, or the system's packages), \
                           and reach the npm registry";
    let (dir, to_install) = cache("node", "package-lock.json");
    if to_install {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(clients().join(file), dir.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&dir);
        run(&mut npm, 120, MISSING).await;
        installed(&dir, "package-lock.json");
    }
    run(Command::new("node").arg("--version"), 10, MISSING).await;
    let mut command = Command::new("node");
    command.arg(clients().join("rivet_roundtrip.mjs")).current_dir(dir);
    command
}

/// Runs a client's script against a simulator of its own; returns what it printed, what the simulator saw,
/// and the users before and after.
async fn drive(mut client: Command) -> (Value, Report, Vec<SimUser>, Vec<SimUser>) {
    let sim = ZoomSim::start(settings()).await.unwrap();
    let before = sim.users();
    client.args(["--base-url", &sim.base_url(), "--token-url", &sim.token_url()]);
    client.args(["--users", &CHANGED.to_string()]);
    let printed = run(&mut client, 60, "").await;
    let (report, after) = (sim.report(), sim.users());
    sim.shutdown().await;
    (serde_json::from_str(printed.trim()).unwrap(), report, before, after)
}

fn round_trip_is_whole(said: &Value, report: &Report, before: &[SimUser], after: &[SimUser], more: &[&str]) {
    let active = before.iter().filter(|user| user.status == Status::Active).count();
    assert_eq!(said["listed"].as_u64(), Some(active as u64));
    assert_eq!(before, after, "what was taken was given back, and nobody else was touched");
    let ids: Vec<&str> = said["changed"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids.len(), CHANGED);
    for id in ids {
        let actions: Vec<&str> =
            report.changes.iter().filter(|c| c.id.as_deref() == Some(id)).map(|c| &*c.action).collect();
        assert_eq!(actions, [&["deactivate"], more, &["activate", "type=2"]].concat(), "{id}");
    }
    assert_eq!(report.changes.len(), CHANGED * (3 + more.len()));
    assert_eq!(report.calls_with(STATUS, 204), 2 * CHANGED as u64);
    assert_eq!(report.calls_with(STATUS, 404), 1, "the unknown user");
    assert_eq!(report.calls_of("GET /users"), 4, "three pages of the active, one of the inactive");
    assert_eq!(report.calls_of("no endpoint"), 0);
    assert_eq!((report.throttled_calls(), report.max_concurrent_per_user, report.tokens_issued), (0, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn zoomus_lists_deactivates_and_reactivates() {
    let (said, report, before, after) = drive(zoomus().await).await;
    round_trip_is_whole(&said, &report, &before, &after, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rivet_lists_deactivates_signs_out_and_reactivates() {
    let (said, report, before, after) = drive(rivet().await).await;
    round_trip_is_whole(&said, &report, &before, &after, &["sign_out"]);
    assert_eq!(report.calls_with("GET /users/summary", 200), 1);
}

#[tokio::test]
#[should_panic(expected = "install it with care")]
async fn a_program_that_is_missing_is_named_with_what_to_install() {
    run(&mut Command::new("a-program-that-nobody-has"), 5, "install it with care").await;
}

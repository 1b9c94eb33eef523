//! The limiter's logic over scenarios kept as data: who calls when, what the vendor does, the ranges expected. A simulated
//! fleet drives the real [`Lane`](super::lane::Lane) in virtual time, some thousand seconds of it in a moment.
//!
//! Each `.toml` beside this file is one scenario. `USHER_SCENARIO_SEED=n` repeats a run (the seed is in every failure),
//! `USHER_SCENARIO_ROUNDS=n` makes more of them.
//! `cargo test -p usher-worker scenarios -- --nocapture` prints what each came to.

mod fleet;
mod vendor;

use std::{fs, path::Path};

use serde::Deserialize;

use fleet::{Figures, Fleet};

/// One scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// How long, in simulated seconds.
    seconds: f64,
    fleet: FleetSettings,
    vendor: VendorSettings,
    expect: Vec<Expected>,
}

/// Who calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetSettings {
    /// Calls a second that the plan allows, as usher is told.
    plan: f64,
    workers: usize,
    /// Milliseconds that a call takes from being counted to its reply: from, to.
    latency_ms: [f64; 2],
    /// Milliseconds at random before the vendor counts it: from, to.
    #[serde(default)]
    delay_ms: [f64; 2],
    /// Times of silence, in seconds: from, to.
    #[serde(default)]
    idle: Vec<[f64; 2]>,
}

/// What the vendor does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VendorSettings {
    /// Calls a second that it really allows.
    limit: f64,
    #[serde(default)]
    window: Window,
    /// Seconds that its refusals tell to wait; none told otherwise.
    retry_after: Option<f64>,
    /// Whether it tells how many more calls it would have taken.
    #[serde(default)]
    tells_room: bool,
    /// Whether refused calls use the limit up, too.
    #[serde(default)]
    counts_refused: bool,
    /// Other apps of the account.
    #[serde(default)]
    others: Vec<Other>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Window {
    #[default]
    Sliding,
    Fixed,
}

/// Another app, calling evenly.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Other {
    per_second: f64,
    /// Seconds on, seconds off; always on otherwise.
    on_off: Option<[f64; 2]>,
    /// From when to when, in seconds.
    between: Option<[f64; 2]>,
}

/// The ranges expected over a part of the time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// From when, in seconds.
    #[serde(default)]
    from: f64,
    /// To when; the end otherwise.
    to: Option<f64>,
    /// What we got through of what the others left: at least.
    share: Option<f64>,
    /// Refused calls of all our calls: at most.
    refused: Option<f64>,
    /// Calls started: at most.
    calls: Option<u64>,
}

fn scenarios() -> Vec<(String, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/limiter/scenarios");
    let mut found: Vec<(String, Scenario)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let scenario = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, scenario)
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
#[expect(clippy::print_stdout, reason = "for whoever tunes the constants, with --nocapture")]
fn every_scenario_ends_within_its_ranges() {
    let seed = number("USHER_SCENARIO_SEED").unwrap_or_else(rand::random);
    let rounds = number("USHER_SCENARIO_ROUNDS").unwrap_or(3);
    let found = scenarios();
    assert!(found.len() >= 12, "the scenarios are not where they are looked for");
    let mut outside = vec![];
    let mut simulated = 0.0;
    for (name, scenario) in &found {
        // Several runs each: a range that chance alone keeps is no range.
        for round in 0..rounds {
            let figures = Fleet::new(scenario, seed.wrapping_add(round)).run();
            simulated += scenario.seconds;
            for expected in &scenario.expect {
                let (found, broken) = held_against(expected, scenario, &figures);
                println!("{name:<44} {found}");
                outside.extend(broken.into_iter().map(|what| format!("{name}: {what} ({found})")));
            }
        }
    }
    println!("{simulated} simulated seconds");
    assert!(outside.is_empty(), "USHER_SCENARIO_SEED={seed}\n{}", outside.join("\n"));
}

fn held_against(expected: &Expected, scenario: &Scenario, figures: &Figures) -> (String, Vec<String>) {
    let to = expected.to.unwrap_or(scenario.seconds);
    let part = figures.between(expected.from, to);
    let share = part.through as f64 / part.left_to_us.max(1e-9);
    let refused = part.refused as f64 / (part.calls as f64).max(1.0);
    let found = format!(
        "{:>5}..{to:<5} s  {:>6} calls  share {share:.3}  refused {:.2}%",
        expected.from,
        part.calls,
        refused * 100.0
    );
    let mut broken = vec![];
    if expected.share.is_some_and(|least| share < least) {
        broken.push(format!("the share is under {}", expected.share.unwrap()));
    }
    if expected.refused.is_some_and(|most| refused > most) {
        broken.push(format!("more is refused than {}", expected.refused.unwrap()));
    }
    if expected.calls.is_some_and(|most| part.calls > most) {
        broken.push(format!("more calls than {}", expected.calls.unwrap()));
    }
    (found, broken)
}

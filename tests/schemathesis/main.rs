//! The API does what its description says: schemathesis, which others wrote, makes calls of the served OpenAPI, good ones and
//! bad ones, and holds every answer against it. At its default checks, none switched off.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/python.rs"]
mod python;
#[path = "../support/serving.rs"]
mod serving;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serving::Serving;
use support::{Ended, Kind, Workplace};
use usher_shared::identity::PersonalToken;
use usher_simulator::zoom::{Population, Settings};

/// Generated calls of each operation, in each phase; more with `USHER_SCHEMATHESIS_EXAMPLES`.
const EXAMPLES: &str = "30";

/// Fixed, so that a test that passes today passes tomorrow; another with `USHER_SCHEMATHESIS_SEED`.
const SEED: &str = "6";

#[test]
fn schemathesis_finds_nothing_on_redis() {
    finds_nothing(Kind::Redis);
}

#[test]
fn schemathesis_finds_nothing_on_the_embedded_store() {
    finds_nothing(Kind::Sqlite);
}

fn finds_nothing(kind: Kind) {
    let directory = Population { users: 60, ..Population::default() };
    let place = Workplace::new(kind, Settings { directory, ..Settings::default() });
    let token = PersonalToken::generate().unwrap();
    let rights = format!(
        "[tokens.tester]\nkey = \"{}\"\nroles = [\"submit\", \"operate\", \"approve\", \"read\"]\n\
         [serve]\ncalls_per_second = 100000\nunknown_calls_per_minute = 100000\n",
        token.key().unwrap()
    );
    let config = fs::read_to_string(place.path("usher.toml")).unwrap();
    place.file("usher.toml", format!("{config}{rights}"));
    // The server is one without accounts of its own, as beside Redis: whether an account is there is no matter of form, and
    // a name that is generated is hardly ever configured.
    let (before, _) = config.split_once("[accounts.").unwrap();
    let serve = place.file("serve.toml", format!("{before}{rights}"));
    let _worker = place.start(&["worker"]);
    let served = Serving::start(&place, &["--config", serve.to_str().unwrap()]);

    let runs = seed(&place);
    let settings = place.file("schemathesis.toml", settings(&token, &runs));
    let ended = schemathesis(&place, &settings, &served.url);
    let log = fs::read_to_string(place.path("serve.log")).unwrap();
    assert!(ended.code == Some(0), "schemathesis ended with {:?}\n{}\n{}", ended.code, ended.out, ended.err);
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "the server's log:\n{log}");
}

/// Runs in different states, so that there is something behind the calls about runs.
fn seed(place: &Workplace) -> Vec<String> {
    let people = place.ordinary();
    let (first, rest) = people.split_at(10);
    let (second, third) = rest.split_at(10);
    let submit = |name: &str, users: &[_], more: &[&str]| {
        let file = place.csv(name, users);
        let words = [
            "submit",
            file.to_str().unwrap(),
            "-a",
            "zoom-main",
            "--action",
            "deactivate",
            "--yes",
            "--quiet",
        ];
        place.usher(&[&words[..], more].concat()).succeeded().out.trim().to_owned()
    };
    let over = submit("over.csv", first, &[]);
    place.usher(&["status", &over, "--watch"]).succeeded();
    let later = submit("later.csv", second, &["--not-before", "2099-01-01T00:00:00Z"]);
    let paused = submit("paused.csv", &third[..10], &["--not-before", "2099-01-01T00:00:00Z"]);
    place.usher(&["pause", &paused]).succeeded();
    let file = place.csv("planned.csv", &third[10..20]);
    let words = ["plan", file.to_str().unwrap(), "-a", "zoom-main", "--action", "deactivate", "--json"];
    let planned = place.usher(&words).succeeded().json();
    vec![over, later, paused, planned["run"].as_str().unwrap().to_owned()]
}

/// The token is in a file, for what stands in a command line is seen by everybody. Half of the calls about a run are about one
/// that is there. Of a stream the first event is read: the next one may be long in coming.
fn settings(token: &PersonalToken, runs: &[String]) -> String {
    format!(
        "max-stream-events = 1\n[auth.openapi.bearer]\nbearer = {:?}\n\n[dictionaries.runs]\nvalues = {runs:?}\n\n\
         [parameters]\n\"path.run\" = {{ dictionary = \"runs\", probability = 0.5 }}\n",
        token.reveal()
    )
}

fn schemathesis(place: &Workplace, settings: &Path, url: &str) -> Ended {
    let programs = python::programs("api.txt");
    let hooks = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis"));
    let given = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let mut command = Command::new(programs.join("schemathesis"));
    command.args(["--config-file"]).arg(settings);
    command.args(["run", &format!("{url}/openapi.json"), "--no-color", "--generation-database", "none"]);
    command.args(["--max-examples", &given("USHER_SCHEMATHESIS_EXAMPLES", EXAMPLES)]);
    command.args(["--seed", &given("USHER_SCHEMATHESIS_SEED", SEED)]);
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", hooks).env("PYTHONDONTWRITEBYTECODE", "1");
    command.current_dir(place.dir.path());
    Ended::run(command, &["schemathesis"])
}

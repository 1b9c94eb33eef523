//! `usher doctor`: each thing that can be wrong is found, with its cure, and a part that is broken hides no other.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;
use support::{Ended, Kind, Workplace, wait_until};
use usher_redis_server::{Durability, RedisServer};
use usher_simulator::zoom::{Population, Settings};

const CONFIGURATION: i32 = 4;
const UNAVAILABLE: i32 = 5;

fn place(kind: Kind) -> Workplace {
    let directory = Population { users: 3, ..Population::default() };
    let place = Workplace::new(kind, Settings { directory, ..Settings::default() });
    private(&place, "secret");
    place
}

fn private(place: &Workplace, file: &str) {
    fs::set_permissions(place.path(file), fs::Permissions::from_mode(0o600)).unwrap();
}

/// The level of a check.
fn level(ended: &Ended, part: &str, check: &str) -> String {
    let told = ended.json();
    let found =
        told["checks"].as_array().unwrap().iter().filter(|row| row["part"] == part && row["check"] == check);
    let worst = found.map(|row| row["level"].as_str().unwrap().to_owned()).max_by_key(|level| level.len());
    worst.unwrap_or_else(|| panic!("no {check} of {part} in {told:#}"))
}

fn doctor(place: &Workplace) -> Ended {
    place.usher(&["doctor", "--json"])
}

#[test]
fn all_is_well_on_a_machine_set_up_as_the_readme_says() {
    for kind in [Kind::Sqlite, Kind::Redis] {
        let place = place(kind);
        // Twice: before there is a store, and with one.
        for _ in 0..2 {
            let ended = doctor(&place).succeeded();
            let told = ended.json();
            assert_eq!(
                (&told["failures"], &told["warnings"]),
                (&Value::from(0), &Value::from(0)),
                "{told:#}"
            );
            place.usher(&["doctor"]).succeeded().says("All well");
            let file = place.csv("leavers.csv", &place.ordinary());
            place
                .usher(&[
                    "run",
                    file.to_str().unwrap(),
                    "--account",
                    "zoom-main",
                    "--action",
                    "deactivate",
                    "--yes",
                ])
                .succeeded();
        }
        place.usher(&["doctor", "--account", "zoom-mian"]).code(CONFIGURATION).says("zoom-main");
    }
}

#[test]
fn a_redis_that_forgets_evicts_or_only_copies_is_told_and_a_worker_warns_of_it() {
    let place = place(Kind::Sqlite);
    let bad = RedisServer::start(
        Durability::Memory,
        &["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"],
    );
    let look = |redis: &RedisServer| place.usher(&["doctor", "--json", "--store", &redis.url()]);
    let ended = look(&bad).code(CONFIGURATION).says("CONFIG SET appendonly yes").says("noeviction");
    assert_eq!(level(&ended, "store", "durability"), "failure");
    assert_eq!(level(&ended, "store", "eviction"), "failure");
    assert_eq!(level(&ended, "store", "version"), "ok");

    let mut worker = place.start(&["worker", "--store", &bad.url(), "--log-format", "json"]);
    let file = place.csv("leavers.csv", &place.ordinary());
    let words = ["run", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    place.usher(&[&words[..], &["--store", &bad.url()]].concat()).succeeded();
    // It has begun to work, so it has said what it says at its start.
    wait_until("the worker to be there", || {
        let pulses: i64 = redis::cmd("HLEN")
            .arg("usher:{zoom-main}:pulses")
            .query(&mut redis::Client::open(bad.url()).unwrap().get_connection().unwrap())
            .unwrap();
        pulses > 0
    });
    worker.signal("TERM");
    worker.end().succeeded().says("no append-only file").says("maxmemory-policy allkeys-lru");

    let primary = bad.port().to_string();
    let copy = RedisServer::start(Durability::EverySecond, &["--replicaof", "127.0.0.1", &primary]);
    let ended = look(&copy).code(CONFIGURATION).says(&format!("store = \\\"redis://127.0.0.1:{primary}"));
    assert_eq!(level(&ended, "store", "role"), "failure");

    let good = RedisServer::start(Durability::EverySecond, &[]);
    look(&good).succeeded().says("may lose the last second");
}

#[test]
fn a_store_that_does_not_answer_hides_nothing_else() {
    let place = place(Kind::Sqlite);
    let ended = place.usher(&["doctor", "--json", "--store", "redis://127.0.0.1:1"]).code(UNAVAILABLE);
    assert_eq!(level(&ended, "store", "answers"), "failure");
    assert_eq!(level(&ended, "machine", "data directory"), "ok");
    assert_eq!(level(&ended, "account zoom-main", "scopes"), "ok");

    fs::create_dir(place.path("data")).unwrap();
    place.file("data/usher.db", "no database at all, but long enough to look like one of those");
    let ended = doctor(&place).code(CONFIGURATION).says("not a SQLite file");
    assert_eq!(level(&ended, "account zoom-main", "token"), "ok");
}

#[test]
fn what_is_wrong_with_an_account_is_told_with_its_cure() {
    let place = place(Kind::Sqlite);
    place
        .sim
        .change_settings(|settings| settings.oauth.scopes.retain(|scope| !scope.contains("status")))
        .unwrap();
    let ended = doctor(&place).code(CONFIGURATION).says("user:update:status:admin");
    assert_eq!(level(&ended, "account zoom-main", "scopes"), "failure");
    assert_eq!(level(&ended, "account zoom-main", "users"), "ok");

    place.file("secret", "wrong");
    let ended = doctor(&place).code(CONFIGURATION).says("client_secret");
    assert_eq!(level(&ended, "account zoom-main", "token"), "failure");
    fs::remove_file(place.path("secret")).unwrap();
    let ended = doctor(&place).code(CONFIGURATION).says("install -m 600");
    assert_eq!(level(&ended, "machine", "secrets"), "failure");

    place.configure("plan = \"business\"", "plan = \"platinum\"");
    doctor(&place).code(CONFIGURATION).says("platinum").says("usher.toml, line 3");
}

#[test]
fn files_that_others_may_open_are_told_with_the_command_that_closes_them() {
    let place = place(Kind::Sqlite);
    place.usher(&["runs"]).succeeded();
    let open =
        |path: &str, mode| fs::set_permissions(place.path(path), fs::Permissions::from_mode(mode)).unwrap();
    open("data", 0o755);
    open("data/usher.db", 0o644);
    open("secret", 0o644);
    open("usher.toml", 0o666);
    let ended = doctor(&place)
        .succeeded()
        .says("chmod 700")
        .says("chmod -R go-rwx")
        .says("chmod 600")
        .says("chmod go-w");
    for check in ["data directory", "files", "secrets", "configuration"] {
        assert_eq!(level(&ended, "machine", check), "warning");
    }
}

#[test]
fn an_account_on_hold_and_a_run_that_nobody_works_are_told() {
    let place = place(Kind::Sqlite);
    let file = place.csv("leavers.csv", &place.ordinary());
    let words =
        |verb| [verb, file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    place.usher(&words("submit")).succeeded();
    let ended = doctor(&place).succeeded().says("none, and 1 unfinished run");
    assert_eq!(level(&ended, "account zoom-main", "workers"), "warning");

    place.file("secret", "wrong");
    place.usher(&words("run")).code(CONFIGURATION);
    let ended = doctor(&place).code(CONFIGURATION).says("usher resume");
    assert_eq!(level(&ended, "account zoom-main", "hold"), "failure");
}

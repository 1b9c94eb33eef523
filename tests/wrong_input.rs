//! What a user can type wrong gets a message that names the thing and the cure, the documented exit code, and changes nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use base64::Engine;
use support::{Kind, Workplace};
use usher_simulator::zoom::{Population, Settings};

const INVALID: i32 = 2;
const REFUSED: i32 = 3;
const CONFIGURATION: i32 = 4;
const UNAVAILABLE: i32 = 5;

fn place() -> Workplace {
    let directory = Population { users: 5, ..Population::default() };
    Workplace::new(Kind::Sqlite, Settings { directory, ..Settings::default() })
}

fn words<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["run", file, "--account", "zoom-main", "--action", "deactivate"];
    words.extend(more);
    words
}

#[test]
fn a_file_that_can_not_be_used_is_refused_by_name_and_nothing_is_enqueued() {
    let place = place();
    std::fs::create_dir(place.path("folder")).unwrap();
    let cases: [(&str, &[u8], &str); 6] = [
        ("empty.csv", b"", "empty"),
        ("blank.csv", b"\r\n\r\n  \r\n", "empty"),
        ("header.csv", b"email\n", "no"),
        ("columns.csv", b"name,department\nAnn,Sales\nBob,IT\n", "email"),
        ("book.xlsx", b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0", "CSV"),
        ("binary.csv", b"email\na\0b@corp.example\n", "binary"),
    ];
    for (name, content, hint) in cases {
        let file = place.file(name, content);
        place.usher(&words(file.to_str().unwrap(), &["--yes"])).code(INVALID).says(name).says(hint);
    }
    for name in ["missing.csv", "folder"] {
        place.usher(&words(place.path(name).to_str().unwrap(), &["--yes"])).code(INVALID).says(name);
    }
    assert_eq!(place.usher(&["runs", "--json"]).succeeded().out.trim(), "[]");
    assert_eq!(place.sim.report().changes.len(), 0);
}

/// What a newer usher has stored is neither read nor written by an older one, whatever the command.
#[test]
fn a_store_of_a_newer_format_is_refused_with_both_numbers_and_the_cure() {
    for kind in [Kind::Sqlite, Kind::Redis] {
        let directory = Population { users: 5, ..Population::default() };
        let place = Workplace::new(kind, Settings { directory, ..Settings::default() });
        drop(place.store());
        match kind {
            // A SQLite file keeps its user's number at byte 60.
            Kind::Sqlite => {
                let path = place.path("data/usher.db");
                let mut file = std::fs::read(&path).unwrap();
                file[60..64].copy_from_slice(&99_u32.to_be_bytes());
                std::fs::write(&path, file).unwrap();
            }
            Kind::Redis => place.block_on(async {
                let client = redis::Client::open(place.store_address()).unwrap();
                let mut connection = client.get_multiplexed_async_connection().await.unwrap();
                let set = redis::cmd("SET").arg("usher:schema").arg(99).take();
                let _: () = set.query_async(&mut connection).await.unwrap();
            }),
        }
        let supported = if kind == Kind::Sqlite { "up to 5" } else { "up to 3" };
        let file = place.csv("leavers.csv", &place.ordinary());
        let run = words(file.to_str().unwrap(), &["--yes"]);
        for words in [&["runs"][..], &["status", "20261121-k3f9zm"], &["worker"], &run] {
            let refused = place.usher(words).code(CONFIGURATION);
            refused.says("has format 99").says(supported).says("use a newer usher");
        }
        assert_eq!(place.sim.report().changes.len(), 0);
    }
}

#[test]
fn bad_rows_are_all_listed_and_skipped_only_when_told() {
    let place = place();
    let good = place.ordinary()[0].email.clone();
    let text = format!(
        "email,department\n{good},Sales\nnot an address,IT\n../users,IT\nme,HR\nann@@corp.example,HR\n"
    );
    let file = place.file("leavers.csv", text);
    let file = file.to_str().unwrap();
    let ended = place.usher(&words(file, &["--yes"])).code(INVALID).says("--skip-invalid");
    for line in ["line 3", "line 4", "line 5", "line 6"] {
        assert!(ended.err.contains(line), "{}", ended.err);
    }
    assert_eq!(place.usher(&["runs", "--json"]).succeeded().out.trim(), "[]");
    place.usher(&words(file, &["--yes", "--skip-invalid"])).succeeded();
    assert_eq!(place.sim.report().changes.len(), 1);
}

#[test]
fn a_file_without_an_action_is_one_mistake_and_not_one_in_each_row() {
    let place = place();
    let file = place.csv("leavers.csv", &place.ordinary());
    let ended = place.usher(&["run", file.to_str().unwrap(), "--account", "zoom-main", "--yes"]);
    let ended = ended.code(INVALID).says("--action deactivate");
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    // Where some rows have one, each that has none is told.
    let file = place.file("some.csv", "email,action\na@corp.example,activate\nb@corp.example,\n");
    place
        .usher(&["run", file.to_str().unwrap(), "--account", "zoom-main", "--yes"])
        .code(INVALID)
        .says("line 3, column action");
}

#[test]
fn without_a_terminal_and_without_yes_it_refuses_and_does_not_wait() {
    let place = place();
    let file = place.csv("leavers.csv", &place.ordinary());
    let file = file.to_str().unwrap();
    place.usher(&words(file, &[])).code(REFUSED).says("--yes");
    place
        .usher(&["submit", file, "--account", "zoom-main", "--action", "deactivate"])
        .code(REFUSED)
        .says("5 users")
        .says("zoom-main")
        .says("--yes");
    assert_eq!(place.usher(&["runs", "--json"]).succeeded().out.trim(), "[]");
}

#[test]
fn a_wrong_configuration_names_the_key_and_the_cure() {
    let place = place();
    let file = place.csv("leavers.csv", &place.ordinary());
    let file = file.to_str().unwrap();
    place
        .usher(&["run", file, "--account", "zoom-mian", "--action", "deactivate", "--yes"])
        .code(CONFIGURATION)
        .says("zoom-mian")
        .says("zoom-main");
    place.usher(&["--config", "elsewhere.toml", "runs"]).code(CONFIGURATION).says("elsewhere.toml");
    let good = std::fs::read_to_string(place.path("usher.toml")).unwrap();
    place.file("usher.toml", good.replace("plan = \"business\"", "plan = \"platinum\""));
    place.usher(&words(file, &["--yes"])).code(CONFIGURATION).says("platinum").says("business");
    std::fs::remove_file(place.path("secret")).unwrap();
    place.file("usher.toml", good);
    place.usher(&words(file, &["--yes"])).code(CONFIGURATION).says("client_secret");
    place.usher(&["runs", "--store", "redis://127.0.0.1:1"]).code(UNAVAILABLE).says("127.0.0.1:1");
    place.usher(&["runs", "--store", "postgres://x"]).code(INVALID).says("sqlite:");
    place.usher(&["status", "20260101-abcdef"]).code(INVALID).says("usher runs");
}

#[test]
fn wrong_credentials_hold_the_account_and_fail_no_user() {
    let place = place();
    place.file("secret", "wrong-secret");
    let file = place.csv("leavers.csv", &place.ordinary());
    let file = file.to_str().unwrap();
    place.usher(&["accounts", "check"]).code(CONFIGURATION).says("client");
    place.usher(&words(file, &["--yes"])).code(CONFIGURATION).says("resume");
    let run = place.newest_run();
    assert_eq!(place.status(&run)["finished"], 0);
    assert_eq!(place.status(&run)["total"], 5);

    place.file("secret", "sim-secret");
    place.usher(&["resume", &run]).succeeded();
    assert_eq!(place.status(&run)["outcomes"]["applied"], 5);
}

#[test]
fn a_missing_scope_is_named_and_fails_no_user() {
    let place = place();
    place
        .sim
        .change_settings(|settings| {
            settings.oauth.scopes.retain(|scope| !scope.contains("status"));
        })
        .unwrap();
    let file = place.csv("leavers.csv", &place.ordinary());
    place.usher(&["accounts", "check", "zoom-main"]).code(CONFIGURATION).says("user:update:status:admin");
    place
        .usher(&words(file.to_str().unwrap(), &["--yes"]))
        .code(CONFIGURATION)
        .says("user:update:status:admin");
    assert_eq!(place.status(&place.newest_run())["finished"], 0);
}

#[test]
fn no_secret_is_in_any_output_or_stored_file_at_trace_level() {
    let place = place();
    let file = place.csv("leavers.csv", &place.ordinary());
    let file = file.to_str().unwrap();
    let ended = place.usher(&words(file, &["--yes", "--log", "trace", "--verify"])).succeeded();
    let mut all = ended.out + &ended.err;
    let mut folders = vec![place.path("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(support::is_private(&path), "{}", path.display());
                all += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
            }
        }
    }
    assert!(!all.contains("sim-secret"), "the client secret");
    let basic = base64::engine::general_purpose::STANDARD.encode("sim-client:sim-secret");
    assert!(!all.contains(&basic), "the client secret in a header");
    // Every token of the simulator begins so.
    assert!(place.sim.report().tokens_issued > 0 && !all.contains("eyJzdiI6IjAwMDAwMSJ9."), "a token");
}

//! Redis as a careful operator runs it: over TLS, with a private authority, and an ACL user who may do what usher needs and
//! nothing else. And each way of getting that wrong: the message names the thing and the cure.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use support::{Kind, Workplace};
use usher_redis_server::{Certificates, Durability, RedisServer};
use usher_shared::store::redis::rights;
use usher_simulator::zoom::{Population, Settings};

const CONFIGURATION: i32 = 4;
const UNAVAILABLE: i32 = 5;
const PASSWORD: &str = "an-acl-password";

/// A server with an ACL user `usher` who has these rules, and no other user.
fn server(certificates: &Certificates, rules: &str, more: &[&str]) -> RedisServer {
    let password = format!(">{PASSWORD}");
    let mut options = vec!["--user", "usher", "on", &password];
    options.extend(rules.split(' '));
    options.extend(["--user", "default", "off"]);
    options.extend(more);
    RedisServer::start_tls(Durability::Always, certificates, &options)
}

/// A workplace whose store is this server.
fn place(server: &RedisServer, certificates: &Certificates, users: u32) -> Workplace {
    let directory = Population { users, ..Population::default() };
    let place = Workplace::new(Kind::Sqlite, Settings { directory, ..Settings::default() });
    place.file("password", PASSWORD);
    place.configure(
        "store = \"sqlite:usher.db\"\n",
        &format!(
            "store = {:?}\nstore_password = {{ file = {:?} }}\nstore_ca_file = {:?}\n",
            server.url_as("usher@"),
            place.path("password"),
            certificates.ca(),
        ),
    );
    place
}

#[test]
fn the_documented_rules_are_enough_for_the_whole_way() {
    let certificates = Certificates::new();
    let server = server(&certificates, &rights::rules(), &[]);
    let place = place(&server, &certificates, 40);
    let file = place.csv("leavers.csv", &place.ordinary());
    let words =
        ["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let run = place.usher(&words).succeeded().out.trim().to_owned();
    place.usher(&["pause", &run]).succeeded();
    place.usher(&["resume", &run, "--detach"]).succeeded();
    let mut worker = place.start(&["worker"]);
    place.usher(&["status", &run, "--watch"]).succeeded();
    assert_eq!(place.status(&run)["outcomes"], json!({"applied": 40}));
    place.usher(&["verify", &run]).succeeded();
    place.usher(&["doctor"]).succeeded().says("the user may do all that usher needs");
    worker.signal("TERM");
    let ended = worker.end().succeeded();
    for trouble in ["NOPERM", "permission", "not told", "does not answer"] {
        assert!(!ended.err.contains(trouble), "{}", ended.err);
    }
    let again = place.usher(&[&words[..], &["--priority", "urgent"]].concat()).succeeded().out;
    place.usher(&["cancel", again.trim(), "--yes"]).succeeded();
    place.usher(&["runs"]).succeeded();
}

#[test]
fn one_command_less_is_named_by_the_doctor_and_points_to_it_elsewhere() {
    let certificates = Certificates::new();
    for (lacks, shows_in_runs) in [("get", true), ("zrevrange", true), ("zadd", false), ("fcall", false)] {
        let server = server(&certificates, &format!("{} -{lacks}", rights::rules()), &[]);
        let place = place(&server, &certificates, 3);
        if shows_in_runs {
            place.usher(&["runs"]).code(UNAVAILABLE).says("usher doctor");
        }
        place.usher(&["doctor"]).code(CONFIGURATION).says(&format!("the user lacks +{lacks}"));
        if lacks == "zrevrange" {
            // A submit lists nothing.
            continue;
        }
        let file = place.csv("leavers.csv", &place.ordinary());
        let words =
            ["submit", file.to_str().unwrap(), "--account", "zoom-main", "--action", "deactivate", "--yes"];
        place.usher(&words).code(UNAVAILABLE).says("usher doctor");
    }
}

#[test]
fn a_wrong_login_authority_or_port_is_told_with_its_cure() {
    let certificates = Certificates::new();
    let tls = server(&certificates, &rights::rules(), &[]);
    let place = place(&tls, &certificates, 1);
    let runs = || place.usher(&["runs"]);
    runs().succeeded();

    place.file("password", "another-password");
    runs().code(CONFIGURATION).says("user, password");
    place.file("password", PASSWORD);
    let elsewhere = |address: String| place.usher(&["runs", "--store", &address]);
    elsewhere(tls.url_as("nobody@")).code(CONFIGURATION).says("user, password");

    let strangers = Certificates::new();
    let (ours, others) = (format!("{:?}", certificates.ca()), format!("{:?}", strangers.ca()));
    place.configure(&ours, &others);
    runs().code(CONFIGURATION).says("another authority").says("store_ca_file");
    place.configure(&others, "\"missing.pem\"");
    runs().code(CONFIGURATION).says("store_ca_file missing.pem can't be read");
    place.configure("\"missing.pem\"", &format!("{:?}", place.path("password")));
    runs().code(CONFIGURATION).says("no certificate in PEM");
    place.configure(&format!("store_ca_file = {:?}\n", place.path("password")), "");
    runs().code(CONFIGURATION).says("name its authority's file with store_ca_file");

    // The plain protocol at a port that speaks TLS, and the reverse.
    elsewhere(tls.url_as("usher@").replace("rediss", "redis")).code(UNAVAILABLE).says("write rediss://");
    let plain = RedisServer::start(Durability::Memory, &[]);
    elsewhere(plain.url().replace("redis", "rediss")).code(UNAVAILABLE).says("no TLS answer");
    place.usher(&["doctor"]).code(CONFIGURATION).says("store_ca_file").says("data directory").says("scopes");
}

#[test]
fn a_server_that_asks_for_our_certificate_gets_the_configured_one() {
    let certificates = Certificates::new();
    let server = server(&certificates, &rights::rules(), &["--tls-auth-clients", "yes"]);
    let place = place(&server, &certificates, 1);
    place.usher(&["runs"]).code(CONFIGURATION).says("store_client_cert_file");
    let (cert, key) = certificates.client();
    let lines = format!("store_client_cert_file = {cert:?}\nstore_client_key_file = {key:?}\nstore_ca_file");
    place.configure("store_ca_file", &lines);
    place.usher(&["runs"]).succeeded();
}

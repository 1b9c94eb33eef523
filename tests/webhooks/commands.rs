//! `usher webhook`, and what an admin gets wrong.

use std::fs;

use usher_redis_server::Certificates;

use crate::{
    receiver::{directory, place, submit, worker},
    support::{Ended, Kind, Running, is_private, wait_until},
};

const CONFIGURATION: i32 = 4;
const UNAVAILABLE: i32 = 5;

#[test]
fn a_secret_is_made_for_its_owner_alone_and_its_lines_work_as_they_stand() {
    let (place, receiver) = place(Kind::Sqlite, directory(1), "");
    let url = format!("http://127.0.0.1:{}/new", receiver.port);
    place.usher(&["webhook", "new", "new", "--url", &url]).code(3).says("--output");
    let made = place.usher(&["webhook", "new", "new", "--url", &url, "--output", "new.secret"]).succeeded();
    assert!(is_private(&place.path("new.secret")));
    let secret = fs::read_to_string(place.path("new.secret")).unwrap();
    assert!(secret.starts_with("whsec_") && !made.out.contains(secret.trim()));
    let config = fs::read_to_string(place.path("usher.toml")).unwrap();
    place.file("usher.toml", format!("{config}\n{}", made.out));
    place.file("hook-secret", &secret);
    place.usher(&["webhook", "test", "new"]).succeeded().says("has the message; it answered 204");
    let got = receiver.one("webhook.test");
    assert!(got.verified && got.data["endpoint"] == "new", "{got:?}");
    place.usher(&["webhook", "new", "new", "--output", "new.secret"]).code(2).says("can't be written anew");
    place.usher(&["webhook", "new", "a b"]).code(2).says("a name has");
}

#[test]
fn a_test_says_what_came_back() {
    let (place, mut receiver) = place(Kind::Sqlite, directory(1), "");
    let test = || place.usher(&["webhook", "test", "ops"]);
    for (mode, said) in [
        ("401 0", "401 Unauthorized; look at the path"),
        ("302 0", "redirects are not followed"),
        ("410 0", "410 Gone; the receiver wants no more"),
        ("503 0", "503 Service Unavailable"),
    ] {
        receiver.answer(mode);
        let ended = test().code(UNAVAILABLE).says(said);
        assert!(!ended.err.contains("s3cret-path"), "{}", ended.err);
    }
    receiver.down();
    test().code(UNAVAILABLE).says("Connection refused");
    place.usher(&["webhook", "test", "opps"]).code(2).says("it has ops");
}

#[test]
fn what_was_given_up_on_is_listed_and_tried_again_when_asked() {
    let (place, receiver) = place(Kind::Redis, directory(2), "");
    receiver.answer("410 0");
    let _worker = worker(&place);
    let run = submit(&place, &place.ordinary(), &[]);
    let list = || place.usher(&["webhook", "list", "--json"]).succeeded().json();
    wait_until("the message to be given up on", || list()[0]["given_up"] == 1);
    let text = place.usher(&["webhook", "list"]).succeeded();
    text.says("410 Gone");
    let messages = place.usher(&["webhook", "list", "ops", "--json"]).succeeded().json();
    let id = messages[0]["id"].as_str().unwrap().to_owned();
    assert!(id.contains(&run) && messages[0]["state"] == "given_up", "{messages}");
    place.usher(&["webhook", "list", "ops"]).succeeded().says(&id).says("usher webhook retry ops");
    place.usher(&["webhook", "retry", "ops", "no-such"]).code(2).says("usher webhook list ops");
    receiver.answer("204 0");
    place.usher(&["webhook", "retry", "ops", &id]).succeeded().says("One message");
    assert_eq!(receiver.one("run.finished").id, id);
    place.usher(&["webhook", "retry", "ops"]).succeeded().says("Nothing to ops was given up on");
}

fn refused(config: &str, says: &str) {
    let (place, _receiver) = place(Kind::Sqlite, directory(1), "");
    let before = fs::read_to_string(place.path("usher.toml")).unwrap();
    let rest = before.split("[webhooks.").next().unwrap();
    place.file("usher.toml", format!("{rest}{config}"));
    for words in [&["worker"][..], &["serve", "--listen", "127.0.0.1:0"], &["webhook", "test", "ops"]] {
        let ended = place.usher(words).code(CONFIGURATION).says(says);
        assert!(!ended.err.contains("s3cret"), "{}", ended.err);
    }
}

#[test]
fn endpoints_that_may_not_be_called_or_have_no_secret_are_refused_at_the_start() {
    let with = |url: &str, secret: &str| format!("[webhooks.ops]\nurl = \"{url}\"\nsecret = {secret}\n");
    let file = "{ file = \"hook-secret\" }";
    refused(&with("https://127.0.0.1/s3cret", file), "127.0.0.1 is a private address");
    refused(&with("https://[::ffff:10.0.0.1]/s3cret", file), "private address");
    refused(&with("https://169.254.169.254/s3cret", file), "never called");
    refused(&with("http://hooks.corp.example/s3cret", file), "must be https");
    refused(&with("https://hooks.corp.example/", "{ env = \"NO_SUCH\" }"), "webhooks.ops.secret");
    refused(&with("https://hooks.corp.example/", "{ file = \"secret\" }"), "does not begin with whsec_");
}

#[test]
fn a_name_that_leads_to_this_machine_is_not_called() {
    let (place, receiver) = place(Kind::Sqlite, directory(1), "");
    let url = format!("url = \"https://localhost:{}/x\"", receiver.port);
    place.configure(&format!("url = \"http://127.0.0.1:{}/s3cret-path\"", receiver.port), &url);
    place.configure("allow_private = true\n", "");
    place.usher(&["webhook", "test", "ops"]).code(UNAVAILABLE).says("private address").says("allow_private");
}

#[test]
fn a_receiver_s_certificate_is_verified() {
    let (place, mut receiver) = place(Kind::Sqlite, directory(1), "");
    let certificates = Certificates::new();
    receiver.speak_tls(certificates.server());
    let port = receiver.port;
    place.configure(&format!("http://127.0.0.1:{port}"), &format!("https://localhost:{port}"));
    let words = ["webhook", "test", "ops"];
    place.usher(&words).code(UNAVAILABLE).says("certificate");
    assert!(receiver.got().is_empty());
    let mut trusting = place.command(&words);
    trusting.env("SSL_CERT_FILE", certificates.ca());
    Ended::run(trusting, &words).succeeded().says("localhost has the message");
    assert!(receiver.one("webhook.test").verified);
}

#[test]
fn neither_a_secret_nor_an_address_s_path_is_in_a_log_at_trace_level() {
    let (place, receiver) = place(Kind::Sqlite, directory(2), "");
    let worker = place.start(&["--log", "trace", "worker"]);
    submit(&place, &place.ordinary(), &[]);
    receiver.one("run.finished");
    let said = end(worker);
    let secret = fs::read_to_string(place.path("hook-secret")).unwrap();
    let secret = secret.trim().trim_start_matches("whsec_");
    assert!(said.contains("run_finished/"), "it is a log of what was done");
    for hidden in [secret, "s3cret-path"] {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(hidden)).collect();
        assert_eq!(lines, [""; 0]);
    }
}

fn end(mut worker: Running) -> String {
    worker.signal("TERM");
    let ended = worker.end().succeeded();
    ended.out + &ended.err
}

//! What these tests have in common: a directory, people with tokens, and a run carried out by whatever store there is.

use usher_shared::identity::PersonalToken;
use usher_simulator::zoom::{Population, Settings, SimUser};

use crate::support::{Ended, Kind, Running, Workplace};

pub fn directory(users: u32) -> Settings {
    Settings { directory: Population { users, ..Population::default() }, ..Settings::default() }
}

/// A person with a token, and the lines that make it known.
pub struct Person {
    pub name: &'static str,
    pub token: String,
    pub lines: String,
}

pub fn person(name: &'static str) -> Person {
    let token = PersonalToken::generate().unwrap();
    let key = token.key().unwrap();
    let lines = format!("[tokens.{name}]\nkey = \"{key}\"\nroles = [\"submit\", \"approve\"]\n");
    Person { name, token: token.reveal(), lines }
}

/// `usher` with these words, by this person.
pub fn as_person(place: &Workplace, person: &Person, words: &[&str]) -> Ended {
    let mut command = place.command(words);
    command.env("USHER_TOKEN", &person.token);
    Ended::run(command, words)
}

/// On Redis somebody has to work; on the embedded store the commands themselves do.
pub fn worker(place: &Workplace) -> Option<Running> {
    place.redis.is_some().then(|| place.start(&["worker"]))
}

/// Words that submit a file of these users: `verb FILE --account zoom-main --action deactivate`, and more.
pub fn words<'a>(verb: &'a str, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec![verb, file, "--account", "zoom-main", "--action", "deactivate"];
    words.extend(more);
    words
}

/// A file of these users.
pub fn file(place: &Workplace, users: &[SimUser]) -> String {
    place.csv("leavers.csv", users).to_str().unwrap().to_owned()
}

/// Plans the users in a file; returns the plan.
pub fn plan(place: &Workplace, users: &[SimUser]) -> serde_json::Value {
    let file = file(place, users);
    place.usher(&words("plan", &file, &["--json"])).succeeded().json()
}

/// Calls that change anybody, carried out or refused.
pub fn changing_calls(place: &Workplace) -> u64 {
    let calls = place.sim.report().calls;
    let changing = calls.iter().filter(|(route, _)| !route.starts_with("GET ") && !route.contains("token"));
    changing.map(|(_, by_ending)| by_ending.values().sum::<u64>()).sum()
}

pub const BOTH: [Kind; 2] = [Kind::Sqlite, Kind::Redis];

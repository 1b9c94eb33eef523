//! The page typed into a shell, from its first example to its last.

use std::fs;

use serde_json::Value;
use usher_api::problem::Kind as Problem;
use usher_shared::{Outcome, RunId};
use usher_simulator::zoom::{Population, Settings};

use crate::{
    page::{self, Block},
    python,
    serving::Serving,
    shape::differs,
    shell::Shell,
    support::{Kind, Workplace},
};

/// The people whom the page names: those of `usher simulate zoom --users 40`.
pub fn people() -> Settings {
    Settings { directory: Population { users: 40, ..Population::default() }, ..Settings::default() }
}

/// The directory of the program under test.
pub fn usher() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_BIN_EXE_usher")).parent().unwrap().to_owned()
}

/// The sections that are typed one after the other; the rest has tests of its own.
const ELSEWHERE: [&str; 2] = ["From Rust", "Webhooks"];

#[test]
fn every_example_does_what_the_page_says_on_redis() {
    every_example_does_what_the_page_says(Kind::Redis);
}

#[test]
fn every_example_does_what_the_page_says_on_the_embedded_store() {
    every_example_does_what_the_page_says(Kind::Sqlite);
}

fn every_example_does_what_the_page_says(kind: Kind) {
    let place = Workplace::new(kind, people());
    let blocks = page::blocks(&page::read("docs/api.md"));
    let blocks = blocks.into_iter().filter(|block| !ELSEWHERE.contains(&block.heading.as_str()));
    let (lines, blocks): (Vec<Block>, Vec<Block>) = blocks.partition(|block| block.language == "toml");
    let ([known, guards], [make, rest @ ..]) = (&lines[..], &blocks[..]) else {
        panic!("the lines of tokens, and those of caps and approval: {lines:?}")
    };
    // Tokens are made before there is a server, and the lines that are printed then are what makes them known.
    let programs = [usher(), python::programs("api.txt")];
    let printed = Shell::new(place.dir.path().to_owned(), &programs, "").types(make);
    assert_eq!(without_keys(&printed), without_keys(&known.text), "docs/api.md, line {}", known.line);
    let config = fs::read_to_string(place.path("usher.toml")).unwrap();
    place.file("usher.toml", format!("{config}\n{}\n{printed}", guards.text));

    let (served, _worker) = match kind {
        Kind::Redis => (Serving::start(&place, &[]), Some(place.start(&["worker"]))),
        Kind::Sqlite => (Serving::start(&place, &["--work"]), None),
    };
    let shell = Shell::new(place.dir.path().to_owned(), &programs, &served.url);
    let mut printed = String::new();
    for block in rest {
        match block.language.as_str() {
            "bash" => printed = shell.types(block),
            "python" => printed = shell.runs_python(block, ""),
            "json" => shows(block, &printed),
            "text" => assert_eq!(alike(&printed), alike(&block.text), "line {}", block.line),
            other => panic!("docs/api.md, line {}: nobody runs {other:?}", block.line),
        }
    }
}

/// Lines without the blanks at their ends, which editors take away, and with one id for every run and every event.
fn alike(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let line = match line.strip_prefix("id: ") {
            Some(id) => format!("id: N{}", id.trim_start_matches(|c: char| c.is_ascii_digit())),
            None => line.trim_end().to_owned(),
        };
        let pieces: Vec<&str> =
            line.split('"').map(|piece| if piece.parse::<RunId>().is_ok() { "RUN" } else { piece }).collect();
        pieces.join("\"")
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
}

#[track_caller]
fn shows(block: &Block, printed: &str) {
    let read = |text: &str| -> Vec<Value> {
        let values = serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>();
        values.unwrap_or_else(|error| panic!("docs/api.md, line {}: {error}\n{text}", block.line))
    };
    let (shown, answers) = (read(&block.text), read(printed));
    assert_eq!(shown.len(), answers.len(), "docs/api.md, line {}, but it printed\n{printed}", block.line);
    for (shown, answer) in shown.iter().zip(&answers) {
        if let Some(what) = differs(shown, answer) {
            panic!("docs/api.md, line {}: {what}; it printed\n{printed}", block.line);
        }
    }
}

/// The tables of tokens, whatever their keys are.
fn without_keys(lines: &str) -> toml::Table {
    let mut table: toml::Table = toml::from_str(lines).unwrap();
    for (_, token) in table["tokens"].as_table_mut().unwrap() {
        token["key"].as_str().unwrap().strip_prefix("ed25519:").unwrap();
        token["key"] = "".into();
    }
    table
}

#[test]
fn every_example_is_run_by_one_of_these_tests() {
    for block in page::blocks(&page::read("docs/api.md")) {
        let runs = match block.heading.as_str() {
            "From Rust" => &["rust"][..],
            "Webhooks" => &["bash", "toml", "json", "python"],
            _ => &["bash", "toml", "json", "python", "text"],
        };
        assert!(
            runs.contains(&block.language.as_str()),
            "docs/api.md, line {}: {:?}",
            block.line,
            block.language
        );
    }
}

#[test]
fn every_problem_stands_on_the_page_with_its_status() {
    let page = page::read("docs/api.md");
    for problem in Problem::ALL {
        let row = format!("| `{}` | {} |", problem.word(), problem.status().as_u16());
        assert!(page.contains(&row), "docs/api.md has no row {row}");
    }
}

#[test]
fn every_outcome_stands_on_the_page() {
    let page = page::read("docs/api.md");
    for outcome in Outcome::ALL {
        assert!(page.contains(&format!("| `{outcome}` |")), "docs/api.md does not explain {outcome}");
    }
}

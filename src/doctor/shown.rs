//! What was found, as people read it, and as programs do.

use std::io::{self, IsTerminal};

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;
use usher_shared::{Diagnosis, Level};

use super::Section;
use crate::{
    exit::Failure,
    report::{numbers::of, table::printable},
};

/// The longest name of a check, and the space around it.
const CHECK: u16 = 16;
/// `warning`, and the space around it.
const LEVEL: u16 = 11;

#[derive(Serialize)]
struct Row<'a> {
    part: &'a str,
    #[serde(flatten)]
    diagnosis: &'a Diagnosis,
}

/// As JSON: `checks`, and how many of them are failures and warnings.
pub fn json(sections: &[Section]) -> Result<String, Failure> {
    let rows: Vec<Row<'_>> = sections
        .iter()
        .flat_map(|section| section.diagnoses.iter().map(|diagnosis| Row { part: &section.part, diagnosis }))
        .collect();
    let value = serde_json::json!({
        "failures": total(sections, Level::Failure),
        "warnings": total(sections, Level::Warning),
        "checks": rows,
    });
    Ok(serde_json::to_string_pretty(&value).map_err(io::Error::from)? + "\n")
}

/// For people: a table for each part, and the count.
pub fn text(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        let of = if section.of.is_empty() { String::new() } else { format!(" ({})", section.of) };
        text += &format!("{}{of}\n{}\n", section.part, table(section));
    }
    let (failures, warnings) = (total(sections, Level::Failure), total(sections, Level::Warning));
    let checks: u64 = sections.iter().map(|section| section.diagnoses.len() as u64).sum();
    text += &match (failures, warnings) {
        (0, 0) => format!("All well: {}.\n", of(checks, "check")),
        _ => {
            format!("{}, {} in {}.\n", of(failures, "failure"), of(warnings, "warning"), of(checks, "check"))
        }
    };
    text
}

fn total(sections: &[Section], level: Level) -> u64 {
    sections.iter().map(|section| section.count(level)).sum()
}

fn table(section: &Section) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        // Nobody's eyes: a line stays a line.
        table.force_no_tty();
    }
    for diagnosis in &section.diagnoses {
        table.add_row([level(diagnosis.level), Cell::new(diagnosis.check), Cell::new(found(diagnosis))]);
    }
    for (at, width) in [(0, LEVEL), (1, CHECK)] {
        if let Some(column) = table.column_mut(at) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

fn level(level: Level) -> Cell {
    let word = Cell::new(format!("  {}", level.as_str()));
    match level {
        Level::Ok => word.fg(Color::Green),
        Level::Warning => word.fg(Color::Yellow),
        Level::Failure => word.fg(Color::Red).add_attribute(Attribute::Bold),
    }
}

/// What was found, why it matters, what to type: each on a line of its own.
fn found(diagnosis: &Diagnosis) -> String {
    let mut text = printable(&diagnosis.found);
    if !diagnosis.why.is_empty() {
        text += &format!("\n{}", capitalized(&diagnosis.why));
    }
    if !diagnosis.cure.is_empty() {
        text += &format!("\n-> {}", printable(&diagnosis.cure));
    }
    text
}

fn capitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

//! Looking at runs: `status`, `runs`, `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use usher_shared::{Outcome, RunId};

/// `usher status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run; without it, all that are unfinished
    pub run: Option<RunId>,
    /// Stay, and show progress until the run (without one: every run) is over
    #[arg(long, short)]
    pub watch: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `usher runs`
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `usher report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run
    pub run: RunId,
    /// How it looks
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
    /// Only these outcomes; may be given several times
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Vec<Outcome>,
    /// Only users who are not as wished
    #[arg(long)]
    pub failed: bool,
    /// Write to this file, readable by its owner alone, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Table,
    /// For spreadsheets: no cell starts a formula.
    Csv,
    /// For programs: exact, with the vendor's ids and what was there before.
    Json,
    /// One page for people, to be kept, sent or printed: charts, what to do, and a table that can be searched.
    Html,
}

//! Putting work in: `run`, `submit`, `plan`, `apply`, `undo`.

use std::path::PathBuf;

use clap::Args;
use usher_shared::{AccountName, Action, Priority, RunId};

/// What `run`, `submit` and `plan` have in common.
#[derive(Debug, Clone, Args)]
pub struct Submission {
    /// The users: CSV, TSV, JSON Lines or a plain list; `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whose users, as named in usher.toml
    #[arg(long, short)]
    pub account: AccountName,
    /// What is wanted of every user: deactivate or activate [default: the file's action column]
    #[arg(long)]
    pub action: Option<Action>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How soon: urgent, normal or bulk
    #[arg(long, default_value_t)]
    pub priority: Priority,
    /// Read the file as csv, tsv, semicolon, jsonl or list instead of telling by its content
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<usher_producer::intake::Format>,
    /// When it may begin, and by when it is to be done.
    #[command(flatten)]
    pub timing: Timing,
    /// Leave bad rows out instead of refusing the file
    #[arg(long)]
    pub skip_invalid: bool,
    /// With USHER_TOKEN: the name by which workers know the token [default: the one here whose key is its key]
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// Go ahead without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// When a run may begin, and by when it is to be done.
#[derive(Debug, Clone, Default, Args)]
pub struct Timing {
    /// Do not begin before: "2026-12-24T17:00 Europe/Berlin", or with an offset; without either, in this machine's zone
    #[arg(long, value_name = "TIME")]
    pub not_before: Option<String>,
    /// What is not done by then ends as expired; written like --not-before
    #[arg(long, value_name = "TIME")]
    pub deadline: Option<String>,
}

/// Looking without storing.
#[derive(Debug, Clone, Default, Args)]
pub struct DryRun {
    /// Show what would be done, and store nothing; asks the vendor from this process
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: name every user who would not be changed, not the first 20 of a kind
    #[arg(long, requires = "dry_run")]
    pub all: bool,
}

/// `usher run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to submit.
    #[command(flatten)]
    pub submission: Submission,
    /// Looking without storing.
    #[command(flatten)]
    pub dry_run: DryRun,
    /// How the end is shown.
    #[command(flatten)]
    pub ending: Ending,
}

/// How the end of a run that was followed is shown.
#[derive(Debug, Clone, Args)]
pub struct Ending {
    /// List the directory afterwards, and report every user whose state is not what the outcome says
    #[arg(long)]
    pub verify: bool,
    /// Print the final status as JSON instead of the summary
    #[arg(long)]
    pub json: bool,
}

/// `usher submit`
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// What to submit.
    #[command(flatten)]
    pub submission: Submission,
    /// Looking without storing.
    #[command(flatten)]
    pub dry_run: DryRun,
    /// Taken for the sake of scripts that change `run` into `submit`.
    #[command(flatten)]
    pub ending: Ending,
}

/// `usher plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// What to plan.
    #[command(flatten)]
    pub submission: Submission,
    /// Name every user who would not be changed, not the first 20 of a kind
    #[arg(long)]
    pub all: bool,
    /// The whole plan as JSON, a row for each user
    #[arg(long)]
    pub json: bool,
}

/// `usher apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The plan: the run that `plan` or `undo --plan` named
    pub run: RunId,
    /// Name every user who would not be changed, not the first 20 of a kind
    #[arg(long)]
    pub all: bool,
    /// Go ahead without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Where workers carry it out (Redis): stay, and show progress until it is over
    #[arg(long, short)]
    pub watch: bool,
    /// How the end is shown.
    #[command(flatten)]
    pub ending: Ending,
}

/// `usher undo`
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The run to be undone; it is over
    pub run: RunId,
    /// Only plan it: `usher apply` carries it out
    #[arg(long)]
    pub plan: bool,
    /// Go ahead without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How soon: urgent, normal or bulk
    #[arg(long, default_value_t)]
    pub priority: Priority,
    /// When it may begin, and by when it is to be done.
    #[command(flatten)]
    pub timing: Timing,
    /// With USHER_TOKEN: the name by which workers know the token [default: the one here whose key is its key]
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// Name every user who is left out, not the first 20 of a kind
    #[arg(long)]
    pub all: bool,
    /// Where workers carry it out (Redis): stay, and show progress until it is over
    #[arg(long, short)]
    pub watch: bool,
    /// How the end is shown.
    #[command(flatten)]
    pub ending: Ending,
}

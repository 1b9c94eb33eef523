//! The clap tree: what can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use usher_shared::{AccountName, Action, Outcome, Priority, RunId, config::StoreAddress};

/// Deactivates and reactivates SaaS users in bulk, at exactly the speed the vendor's API allows, and can say afterwards
/// what happened to every single one.
#[derive(Debug, Parser)]
#[command(name = "usher", version, propagate_version = true, after_help = crate::exit::HELP, max_term_width = 110)]
pub struct Cli {
    /// Options that every subcommand takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every subcommand takes, before or after it.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration file [default: usher.toml here, then in the user's configuration directory]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// The store, over the configured one: sqlite:PATH, redis://HOST:PORT or rediss://HOST:PORT
    #[arg(long, global = true, value_name = "ADDRESS", help_heading = "Global options")]
    pub store: Option<StoreAddress>,
    /// How log lines look; they go to standard error
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Global options"
    )]
    pub log_format: LogFormat,
    /// What is logged, such as `info` or `usher_worker=debug` [default: warn, and info for worker]
    #[arg(long, global = true, env = "USHER_LOG", value_name = "FILTER", help_heading = "Global options")]
    pub log: Option<String>,
    /// Neither progress nor hints: results and errors alone
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Change the users in a file, from reading it to the report, in this process
    Run(RunArgs),
    /// Put the users in a file into the queue for workers, and print the run's id
    Submit(SubmitArgs),
    /// Work the queue until told to stop
    Worker(WorkerArgs),
    /// Show how far a run has come, or all that is unfinished
    Status(StatusArgs),
    /// List runs, newest first
    Runs(RunsArgs),
    /// Show what happened to every user of a run
    Report(ReportArgs),
    /// Compare the directory with the outcomes of a run that is over
    Verify(RunArg),
    /// Stop a run for now; calls in flight finish
    Pause(RunArg),
    /// Go on with a paused or interrupted run
    Resume(ResumeArgs),
    /// End a run for good: users not yet changed stay as they are
    Cancel(CancelArgs),
    /// Look at all that usher stands on: what is wrong, why it matters, what to type
    Doctor(DoctorArgs),
    /// See whether accounts can be reached and what their tokens may do
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Offboard 1,000 simulated users, troubles included, to see how it all looks
    Demo(DemoArgs),
    /// Run a stateful fake of a vendor's API on a loopback port
    #[command(subcommand)]
    Simulate(SimulateCommand),
}

/// What `run` and `submit` have in common.
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
    /// Leave bad rows out instead of refusing the file
    #[arg(long)]
    pub skip_invalid: bool,
    /// Go ahead without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// `usher run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to submit.
    #[command(flatten)]
    pub submission: Submission,
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
    /// Taken for the sake of scripts that change `run` into `submit`.
    #[command(flatten)]
    pub ending: Ending,
}

/// `usher worker`
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Work these accounts alone; may be given several times [default: all that are configured]
    #[arg(long, short)]
    pub account: Vec<AccountName>,
    /// How this process is named in outcomes [default: the host's name and the process id]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

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

/// A run, named.
#[derive(Debug, Args)]
pub struct RunArg {
    /// The run
    pub run: RunId,
}

/// `usher resume`
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run; may be left out where only one is unfinished
    pub run: Option<RunId>,
    /// Only take the pause back, and leave the work to workers
    #[arg(long)]
    pub detach: bool,
    /// How the end is shown.
    #[command(flatten)]
    pub ending: Ending,
}

/// `usher cancel`
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The run
    pub run: RunId,
    /// Go ahead without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// `usher accounts`
#[derive(Debug, Subcommand)]
pub enum AccountsCommand {
    /// Get a token, name the scopes that are there and missing, and read one page of users
    Check {
        /// The account; without it, all
        name: Option<AccountName>,
    },
}

/// `usher doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Look at this account alone [default: all that are configured]
    #[arg(long, short, value_name = "NAME")]
    pub account: Option<AccountName>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `usher demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Simulated users
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(20..=100_000))]
    pub users: u32,
    /// Where the store and the reports are left [default: a new directory in the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `usher simulate`
#[derive(Debug, Subcommand)]
pub enum SimulateCommand {
    /// Zoom: server-to-server OAuth, users, status; limits, faults and headers as set
    Zoom(Box<crate::commands::simulate::ZoomArgs>),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_before_or_after_the_subcommand() {
        for words in [["usher", "--config", "x.toml", "runs"], ["usher", "runs", "--config", "x.toml"]] {
            assert_eq!(Cli::try_parse_from(words).unwrap().global.config, Some("x.toml".into()));
        }
    }
}

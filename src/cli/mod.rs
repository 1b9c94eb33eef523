//! The clap tree: what can be typed.

mod guarding;
mod machine;
mod seeing;
mod steering;
mod submitting;
mod telling;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use usher_shared::config::StoreAddress;

pub use guarding::{ApproveArgs, AuditCommand, ProtectCommand, TokenCommand};
pub use machine::{AccountsCommand, DemoArgs, DoctorArgs, ServeArgs, SimulateCommand, WorkerArgs};
pub use seeing::{ReportArgs, ReportFormat, RunsArgs, StatusArgs};
pub use steering::{CancelArgs, PriorityArgs, PruneArgs, ResumeArgs, RetryArgs, RunArg};
pub use submitting::{
    ApplyArgs, DryRun, Ending, PlanArgs, RunArgs, Submission, SubmitArgs, Timing, UndoArgs,
};
pub use telling::WebhookCommand;

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
    /// Look every user in a file up and show what would be done; nothing is changed before `apply`
    Plan(PlanArgs),
    /// Carry a plan out, exactly as it was shown: who has changed since is left alone, and named
    Apply(ApplyArgs),
    /// Approve somebody else's run, with your personal token
    Approve(ApproveArgs),
    /// Put back what a run changed: planned, shown and asked about first
    Undo(UndoArgs),
    /// Work the queue until told to stop
    Worker(WorkerArgs),
    /// Serve the HTTP API, by which other services submit, follow and steer runs
    Serve(ServeArgs),
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
    /// Try users of a run that is over again: all that failed, or by outcome or vendor's code
    Retry(RetryArgs),
    /// Change how soon a run is worked
    Priority(PriorityArgs),
    /// Keep users from being changed, whatever a file says; in force for jobs not yet started
    #[command(subcommand)]
    Protect(ProtectCommand),
    /// Forget runs that ended long ago, with their users and outcomes; the audit stays
    Prune(PruneArgs),
    /// Show, export and verify who did what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make a personal token, for approving and for proving who submits
    #[command(subcommand)]
    Token(TokenCommand),
    /// Tell others what an operator must hear of: make a secret, try an endpoint, see what waits
    #[command(subcommand)]
    Webhook(WebhookCommand),
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

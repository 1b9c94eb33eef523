//! The `usher` command: deactivates and reactivates SaaS users in bulk, at exactly the speed the vendor's API allows.

mod audit;
mod cli;
mod commands;
mod console;
mod doctor;
mod dry_run;
mod ending;
mod exit;
mod forecast;
mod limits;
mod logging;
mod metrics;
mod outlook;
mod plan;
mod progress;
mod report;
mod signals;
mod submission;
mod telling;
mod timing;
mod who;
mod wiring;
mod work;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{AccountsCommand, Cli, Command, SimulateCommand, WebhookCommand},
    exit::{Exit, Failure, Outcome},
    wiring::Context,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(dispatch(cli));
            // A thread that waits for standard input or for an answer must not keep the process.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(Failure { exit, error }) => {
            console::hint(false, format_args!("usher: {error}"));
            exit.into()
        }
    }
}

async fn dispatch(cli: Cli) -> Outcome {
    let bars = progress::bars();
    let default_log = match cli.command {
        Command::Worker(_) | Command::Serve(_) | Command::Simulate(_) => "info",
        _ => "warn",
    };
    logging::start(&cli.global, default_log, &bars)?;
    match cli.command {
        // These read no configuration: they work on a machine that has none, and touch nothing of the user's.
        Command::Demo(args) => return commands::demo::demo(&cli.global, &bars, &args).await,
        Command::Simulate(SimulateCommand::Zoom(args)) => return commands::simulate::zoom(&args).await,
        Command::Token(command) => commands::token::token(cli.global.quiet, &command),
        Command::Webhook(WebhookCommand::New { name, url, output }) => {
            commands::webhook::new(cli.global.quiet, &name, url.as_ref(), output.as_deref())
        }
        // A configuration that can't be read is one of the things that it tells.
        Command::Doctor(args) => return commands::doctor::doctor(cli.global, bars, &args).await,
        command => {
            let context = Context::new(cli.global, bars)?;
            match command {
                Command::Run(args) => commands::run::run(&context, &args).await,
                Command::Submit(args) => commands::submit::submit(&context, &args).await,
                Command::Plan(args) => commands::plan::plan(&context, &args).await,
                Command::Apply(args) => commands::apply::apply(&context, &args).await,
                Command::Approve(args) => commands::approve::approve(&context, &args).await,
                Command::Undo(args) => commands::undo::undo(&context, &args).await,
                Command::Worker(args) => commands::worker::worker(&context, &args).await,
                Command::Serve(args) => commands::serve::serve(&context, &args).await,
                Command::Status(args) => commands::status::status(&context, &args).await,
                Command::Runs(args) => commands::runs::runs(&context, &args).await,
                Command::Report(args) => commands::report::report(&context, &args).await,
                Command::Verify(args) => commands::verify::verify(&context, &args).await,
                Command::Pause(args) => commands::steer::pause(&context, &args).await,
                Command::Resume(args) => commands::resume::resume(&context, &args).await,
                Command::Cancel(args) => commands::steer::cancel(&context, &args).await,
                Command::Retry(args) => commands::retry::retry(&context, &args).await,
                Command::Priority(args) => commands::steer::priority(&context, &args).await,
                Command::Protect(command) => commands::protect::protect(&context, &command).await,
                Command::Prune(args) => commands::prune::prune(&context, &args).await,
                Command::Audit(command) => commands::audit::audit(&context, &command).await,
                Command::Accounts(AccountsCommand::Check { name }) => {
                    commands::accounts::check(&context, name.as_ref()).await
                }
                Command::Webhook(command) => commands::webhook::webhook(&context, &command).await,
                Command::Demo(_) | Command::Simulate(_) | Command::Token(_) | Command::Doctor(_) => {
                    Ok(Exit::Success)
                }
            }
        }
    }
}

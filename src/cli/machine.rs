//! What is not about one run: `worker`, `accounts`, `doctor`, `demo`, `simulate`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};
use usher_shared::AccountName;

/// `usher worker`
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Work these accounts alone; may be given several times [default: all that are configured]
    #[arg(long, short)]
    pub account: Vec<AccountName>,
    /// How this process is named in outcomes [default: the host's name and the process id]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Serve metrics for Prometheus at this address, in clear text and without a token: 127.0.0.1:9464 [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
}

/// `usher serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen, over the configured address [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Serve metrics without a token at this address, over the configured one, beside /metrics of the API [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Work the queue in this process, too, as `usher worker` does
    #[arg(long)]
    pub work: bool,
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

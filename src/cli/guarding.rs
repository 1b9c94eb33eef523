//! What guards accounts, and what shows afterwards who did what: `approve`, `token`, `protect`, `audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use usher_shared::{
    AccountName, RunId,
    audit::AuditHead,
    config::{ProtectedPattern, Role},
};

/// `usher approve`
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The run
    pub run: RunId,
    /// The name of your token in the workers' configuration [default: the one in this one whose key is your token's]
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// Read the token from this file [default: USHER_TOKEN, else it is asked for]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Go ahead without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// `usher token`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token: shown once, with the lines that make it known in usher.toml
    New {
        /// Whose: the name in usher.toml, approvals and the audit
        #[arg(value_parser = token_name)]
        name: String,
        /// What its holder may do: submit, operate, approve, read; may be given several times [default: approve, submit]
        #[arg(long, value_name = "ROLE", value_parser = role)]
        role: Vec<Role>,
        /// For this account alone; may be given several times [default: all]
        #[arg(long, value_name = "ACCOUNT")]
        account: Vec<AccountName>,
        /// Write the token to this new file, readable by its owner alone, instead of showing it
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// `usher protect`
#[derive(Debug, Subcommand)]
pub enum ProtectCommand {
    /// Protect users from now on, in runs under way, too
    Add {
        /// Whose users
        account: AccountName,
        /// An address with * for any characters, a vendor's id, role:ID or group:ID
        #[arg(value_parser = pattern)]
        pattern: ProtectedPattern,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Take an entry off the list
    Remove {
        /// Whose users
        account: AccountName,
        /// The pattern, as `list` shows it
        pattern: String,
        /// Go ahead without asking
        #[arg(long, short)]
        yes: bool,
    },
    /// Show who is protected: by the list, and by the configuration here
    List {
        /// Whose users
        account: AccountName,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// `usher audit`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Show the last entries
    List {
        /// At most so many
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Only entries about this run
        #[arg(long, value_name = "RUN")]
        run: Option<RunId>,
    },
    /// Write every entry with its seal as JSON Lines
    Export {
        /// Write to this file, readable by its owner alone, instead of standard output
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Hold every entry against its seal: says what was edited, removed or cut off. Exit code 3 where something was
    Verify {
        /// A head that was noted elsewhere (the log, another machine), as NUMBER:SEAL; may be given several times
        #[arg(long, value_name = "NUMBER:SEAL")]
        head: Vec<AuditHead>,
    },
}

fn role(text: &str) -> Result<Role, String> {
    let word = text.trim().to_lowercase();
    let role = Role::ALL.into_iter().find(|role| role.as_str() == word);
    role.ok_or_else(|| format!("{text:?} is not a role: use submit, operate, approve or read"))
}

fn pattern(text: &str) -> Result<ProtectedPattern, String> {
    ProtectedPattern::new(text).map_err(|error| error.to_string())
}

/// What can stand in `[tokens.NAME]` without quotes.
pub(super) fn token_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 64 of a-z, A-Z, 0-9, - and _".to_owned())
    }
}

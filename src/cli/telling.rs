//! What others are told: `webhook`.

use std::path::PathBuf;

use super::guarding::token_name;
use clap::Subcommand;

/// `usher webhook`
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Make a signing secret: shown once, with the lines that make the endpoint known in usher.toml
    New {
        /// The endpoint: the name in usher.toml
        #[arg(value_parser = token_name)]
        name: String,
        /// Where it is [default: a place to fill in]
        #[arg(long, value_name = "URL", value_parser = https)]
        url: Option<String>,
        /// Write the secret to this new file, readable by its owner alone, instead of showing it
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Send a message of type webhook.test now, and say what came back
    Test {
        /// The endpoint
        name: String,
    },
    /// Show what waits, what was given up on, and what endpoints answered last
    List {
        /// The endpoint, message by message; without it, all endpoints
        name: Option<String>,
        /// At most so many messages
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Have messages that were given up on tried again
    Retry {
        /// The endpoint
        name: String,
        /// One message, as `list` shows it [default: all that were given up on]
        id: Option<String>,
    },
}

fn https(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    match rest {
        Some(rest) if plain && !rest.is_empty() => Ok(text.to_owned()),
        _ => Err("an address looks like https://hooks.corp.example/usher".to_owned()),
    }
}

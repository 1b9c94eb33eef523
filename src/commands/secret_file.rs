//! Handing over what is shown once: on a terminal, or in a file for its owner alone.

use std::{
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::exit::{Exit, Failure};

/// Refuses a pipe, unless it goes to a file. `what`: `a token`.
pub fn needs_terminal_or_file(what: &str, output: Option<&Path>) -> Result<(), Failure> {
    if output.is_some() || io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Refused,
        format!(
            "{what} is shown on a terminal alone, for what goes through a pipe is easily kept somewhere; write it to a file \
             of its owner alone with --output FILE"
        ),
    ))
}

/// Writes it to a new file for its owner alone.
pub fn write(path: &Path, secret: &str) -> Result<(), Failure> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| writeln!(file, "{secret}"));
    written.map_err(|error| {
        Failure::new(Exit::InvalidInput, format!("{} can't be written anew: {error}", path.display()))
    })
}

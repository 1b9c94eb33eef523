//! Talking with the person at the terminal. Results go to standard output; everything else to standard error.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit::{Exit, Failure};

/// Writes a line to standard error, unless `quiet`.
pub fn hint(quiet: bool, line: impl std::fmt::Display) {
    if !quiet {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Writes to standard output. A reader that has gone away (`| head`) is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Characters on a line of the terminal that standard error goes to; 80 where it does not tell.
pub fn width() -> usize {
    rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| match size.ws_col {
        0 => 80,
        columns => columns.into(),
    })
}

/// Asks a yes-or-no question; anything but yes is no. Without a terminal to ask, refuses and names `--yes`.
///
/// `stdin_is_taken`: standard input holds the users, so the terminal itself is asked.
pub async fn confirm(question: String, stdin_is_taken: bool) -> Result<(), Failure> {
    let answer = tokio::task::spawn_blocking(move || ask(&question, stdin_is_taken))
        .await
        .map_err(|error| Failure::new(Exit::Internal, error))??;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Refused, "nothing was changed: the answer was not yes")),
    }
}

fn ask(question: &str, stdin_is_taken: bool) -> Result<String, Failure> {
    let nobody = || {
        Failure::new(
            Exit::Refused,
            "nothing was changed: there is no terminal to ask on; say --yes if you are sure",
        )
    };
    let mut terminal: Box<dyn BufRead> = if stdin_is_taken {
        Box::new(io::BufReader::new(std::fs::File::open("/dev/tty").map_err(|_| nobody())?))
    } else if io::stdin().is_terminal() {
        Box::new(io::stdin().lock())
    } else {
        return Err(nobody());
    };
    let mut err = io::stderr().lock();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    terminal.read_line(&mut answer)?;
    Ok(answer)
}

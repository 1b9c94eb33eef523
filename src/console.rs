//! Talking with the person at the terminal. Results go to standard output; everything else to standard error.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::{
    exit::{Exit, Failure},
    signals::Stop,
};

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

/// Characters on a line of the terminal that standard output goes to; elsewhere lines are not broken.
pub fn out_width() -> usize {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        Ok(_) => 80,
        Err(_) => usize::MAX,
    }
}

/// A line, broken between words, with `first` blanks before it and `rest` before what follows; and its end.
pub fn indented(text: &str, width: usize, first: usize, rest: usize) -> String {
    let mut lines = vec![" ".repeat(first)];
    let mut empty = true;
    for word in text.split(' ') {
        let at = lines.len() - 1;
        if !empty && lines[at].chars().count() + 1 + word.chars().count() > width {
            lines.push(" ".repeat(rest));
            empty = true;
        }
        let at = lines.len() - 1;
        if !empty {
            lines[at].push(' ');
        }
        lines[at].push_str(word);
        empty = false;
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
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

/// Asks for a secret on the terminal, without showing what is typed. Without a terminal, refuses and names the variable that
/// may hold it.
pub async fn hidden(question: &str, variable: &str, stop: &Stop) -> Result<String, Failure> {
    let nobody = || {
        Failure::new(
            Exit::Refused,
            format!(
                "there is no terminal to ask on: put the token into {variable}, or name its file with --token-file"
            ),
        )
    };
    let terminal =
        std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| nobody())?;
    let silence = Silence::on(terminal.try_clone()?)?;
    write!(&terminal, "{question}")?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        io::BufReader::new(terminal).read_line(&mut line).map(|_| line)
    });
    let mut stop = stop.clone();
    let line = tokio::select! {
        read = reading => Some(read.map_err(|error| Failure::new(Exit::Internal, error))??),
        () = stop.asked() => None,
    };
    drop(silence);
    hint(false, "");
    line.ok_or_else(|| Failure::new(Exit::Interrupted, "interrupted; nothing was done"))
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silence {
    terminal: std::fs::File,
    before: rustix::termios::Termios,
}

impl Silence {
    fn on(terminal: std::fs::File) -> io::Result<Self> {
        let before = rustix::termios::tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
        rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing either.
        let now = rustix::termios::OptionalActions::Now;
        let _ = rustix::termios::tcsetattr(&self.terminal, now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words_and_indented() {
        assert_eq!(indented("one two three", 9, 0, 2), "one two\n  three\n");
        assert_eq!(indented("line 1   ann", 80, 2, 4), "  line 1   ann\n");
        assert_eq!(indented("a-very-long-word b", 5, 0, 1), "a-very-long-word\n b\n");
        assert_eq!(indented("one two", usize::MAX, 1, 1), " one two\n");
    }
}

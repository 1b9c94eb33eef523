//! Where log lines go: standard error, around a progress bar if one is drawn there.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    cli::{Global, LogFormat},
    exit::{Exit, Failure},
};

/// Starts logging, at `default` unless the user says otherwise. Lines are written around `bars`.
pub fn start(global: &Global, default: &str, bars: &MultiProgress) -> Result<(), Failure> {
    let filter = global.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).map_err(|problem| {
        Failure::new(
            Exit::InvalidInput,
            format!("--log {filter:?} (or USHER_LOG) is not a log filter: {problem}"),
        )
    })?;
    let writer = AroundBars(bars.clone());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match global.log_format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

#[derive(Clone)]
struct AroundBars(MultiProgress);

impl<'a> MakeWriter<'a> for AroundBars {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for AroundBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(line))?;
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

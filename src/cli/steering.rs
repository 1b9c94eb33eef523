//! Steering runs: `pause`, `resume`, `cancel`, `retry`, `priority`, `prune`.

use std::time::Duration;

use clap::Args;
use usher_shared::{Outcome, Priority, RunId};

use super::Ending;

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

/// `usher retry`
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The run; it is over
    pub run: RunId,
    /// Only these outcomes; may be given several times [default: all that failed, but for superseded and drifted]
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Vec<Outcome>,
    /// Only these codes, the vendor's or usher's own; may be given several times
    #[arg(long, value_name = "CODE")]
    pub code: Vec<String>,
    /// Go ahead without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Leave the work to workers
    #[arg(long)]
    pub detach: bool,
    /// How the end is shown.
    #[command(flatten)]
    pub ending: Ending,
}

/// `usher priority`
#[derive(Debug, Args)]
pub struct PriorityArgs {
    /// The run
    pub run: RunId,
    /// How soon: urgent, normal or bulk
    pub priority: Priority,
}

/// `usher prune`
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// How long ago a run has to have ended: 90d, 12w, 36h
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub older_than: Duration,
    /// Go ahead without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// A time ago: a number and `d`, `w` or `h`.
fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time ago: write a number and d, w or h, such as 90d");
    let text = text.trim();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 7 * 24,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].trim_end().parse().map_err(|_| wrong())?;
    // A zero would forget a run that ended a moment ago.
    if number == 0 { Err(wrong()) } else { Ok(Duration::from_secs(u64::from(number) * hours * 3600)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_numbers_of_hours_days_or_weeks() {
        assert_eq!(age("90d").unwrap().as_secs(), 90 * 86_400);
        assert_eq!(age(" 2w ").unwrap().as_secs(), 14 * 86_400);
        assert_eq!(age("36h").unwrap().as_secs(), 36 * 3_600);
        for bad in ["", "d", "90", "0d", "-1d", "1.5d", "90 days", "90ü"] {
            assert!(age(bad).unwrap_err().contains("90d"), "{bad}");
        }
    }
}

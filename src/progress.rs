//! How far a run has come, while it is under way: a bar on a terminal, a plain line every few seconds elsewhere.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use usher_shared::{RunState, RunStatus};

use crate::{
    console,
    report::numbers::{count, duration, per_second},
};

/// A line elsewhere than on a terminal comes this often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// The rate shown is that of so long.
const RATE_OVER: Duration = Duration::from_secs(5);

/// Shows how far a run has come.
pub struct Progress {
    shape: Shape,
    samples: VecDeque<(Instant, u64)>,
}

enum Shape {
    Bar(ProgressBar),
    Lines { last: Option<Instant>, said: String },
    Quiet,
}

/// Where progress bars are drawn; log lines go around them.
pub fn bars() -> MultiProgress {
    MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10))
}

impl Progress {
    /// A bar among `bars` on a terminal, lines elsewhere, nothing where `quiet`.
    pub fn new(bars: &MultiProgress, quiet: bool) -> Self {
        let shape = if quiet {
            Shape::Quiet
        } else if io::stderr().is_terminal() {
            let bar = bars.add(ProgressBar::new(0));
            // The template is a constant; were it wrong, the plain style would still show the bar.
            if let Ok(style) =
                ProgressStyle::with_template("{prefix}  {bar:32.green/dim} {human_pos}/{human_len}  {msg}")
            {
                bar.set_style(style.progress_chars("━╸─"));
            }
            Shape::Bar(bar)
        } else {
            Shape::Lines { last: None, said: String::new() }
        };
        Self { shape, samples: VecDeque::new() }
    }

    /// Shows this status. `waiting` says why nothing moves, where something is known to hold it up.
    pub fn show(&mut self, status: &RunStatus, waiting: Option<&str>, now: Instant) {
        let rate = self.rate(status.counters.finished, now);
        let [pace, outcomes] = describe(status, rate, waiting);
        match &mut self.shape {
            Shape::Quiet => {}
            Shape::Bar(bar) => {
                bar.set_prefix(status.run.account.to_string());
                bar.set_length(status.counters.total);
                bar.set_position(status.counters.finished);
                bar.set_message(format!("{pace}\n  {outcomes}"));
            }
            Shape::Lines { last, said } => {
                let due = last.is_none_or(|last| now.duration_since(last) >= LINE_EVERY);
                let line = format!(
                    "{} of {}  {pace}  {outcomes}",
                    count(status.counters.finished),
                    count(status.counters.total)
                );
                if due && line != *said {
                    console::hint(false, format_args!("{}: {line}", status.run.account));
                    *last = Some(now);
                    *said = line;
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        if let Shape::Bar(bar) = &self.shape {
            bar.finish_and_clear();
        }
    }

    fn rate(&mut self, finished: u64, now: Instant) -> f64 {
        self.samples.push_back((now, finished));
        while self.samples.len() > 2 && now.duration_since(self.samples[1].0) >= RATE_OVER {
            self.samples.pop_front();
        }
        let (since, before) = self.samples[0];
        per_second(finished.saturating_sub(before), now.duration_since(since))
    }
}

/// How fast it goes, or why it does not; and the outcomes so far.
fn describe(status: &RunStatus, rate: f64, waiting: Option<&str>) -> [String; 2] {
    let counters = &status.counters;
    let mut pace = match status.state() {
        RunState::Running => format!("{rate:.1}/s"),
        state => state.to_string(),
    };
    let left = counters.total - counters.finished;
    if status.state() == RunState::Running && rate > 0.1 && left > 0 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
        let left = Duration::from_secs_f64(left as f64 / rate);
        pace += &format!("  {} left", duration(left));
    }
    let hold = status.hold.as_ref().map(|hold| hold.message.as_str());
    if let Some(why) = waiting.or(hold) {
        pace += &format!("  waiting: {why}");
    }
    let outcomes: Vec<String> =
        counters.outcomes.iter().map(|(outcome, n)| format!("{} {outcome}", count(*n))).collect();
    [pace, outcomes.join("  ")]
}

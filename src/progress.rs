//! How far a run has come, while it is under way: a bar on a terminal, a plain line every few seconds elsewhere.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use usher_shared::{
    RunState, RunStatus,
    view::{Activity, Lane, Scene, Why},
};
use usher_worker::limiter::{period, spacing};

use crate::{
    console,
    forecast::{Day, Load},
    report::{
        moments::{date, ordinal},
        numbers::{count, duration, of, per_second},
    },
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
    Lines { last: Option<Instant>, said: String, why: Option<Why> },
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
            Shape::Lines { last: None, said: String::new(), why: None }
        };
        Self { shape, samples: VecDeque::new() }
    }

    /// Shows this status, and what goes on around it.
    pub fn show(&mut self, status: &RunStatus, scene: &Scene, now: Instant) {
        if !scene.waits.is_empty() {
            // What is left is told by how fast it works when it works.
            self.samples.clear();
        }
        let finished = self.rate(status.counters.finished, now);
        let pace = pace(status, scene.activity.as_ref(), finished);
        let left = left(status, scene, finished);
        let outcomes = outcomes(status);
        let running = status.state() == RunState::Running;
        let lane = scene.activity.as_ref().and_then(Activity::changes).filter(|_| running);
        let lowered = lane.and_then(lowered);
        match &mut self.shape {
            Shape::Quiet => {}
            Shape::Bar(bar) => {
                bar.set_prefix(status.run.account.to_string());
                bar.set_length(status.counters.total);
                bar.set_position(status.counters.finished);
                let waits = scene.waits.iter().map(|wait| format!("waiting: {}", scene.words(wait)));
                let pace = [pace, left].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
                let lines = [pace.join("  "), lowered.unwrap_or_default(), outcomes];
                let lines = lines.into_iter().chain(waits).filter(|line| !line.is_empty());
                let width = console::width().saturating_sub(3);
                let lines = lines.flat_map(|line| wrapped(&line, width));
                bar.set_message(lines.map(|line| format!("\n  {line}")).collect::<String>());
            }
            Shape::Lines { last, said, why } => {
                let wait = scene.waits.first();
                // A pause is told when it begins and when it ends: it may be shorter than the time between two lines.
                let turned = *why != wait.map(|wait| wait.why);
                let due = turned || last.is_none_or(|last| now.duration_since(last) >= LINE_EVERY);
                let waiting = wait.map(|wait| format!("waiting: {}", scene.words(wait))).unwrap_or_default();
                let done = format!("{} of {}", count(status.counters.finished), count(status.counters.total));
                let pace = lowered.map_or(pace.clone(), |lowered| format!("{pace} ({lowered})"));
                let parts = [done, pace, left, waiting, outcomes];
                let line =
                    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>();
                let line = line.join("  ");
                if due && line != *said {
                    console::hint(false, format_args!("{}: {line}", status.run.account));
                    *last = Some(now);
                    *said = line;
                    *why = wait.map(|wait| wait.why);
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

    /// Users a second who got their outcome.
    fn rate(&mut self, finished: u64, now: Instant) -> f64 {
        self.samples.push_back((now, finished));
        while self.samples.len() > 2 && now.duration_since(self.samples[1].0) >= RATE_OVER {
            self.samples.pop_front();
        }
        let (since, before) = self.samples[0];
        per_second(finished.saturating_sub(before), now.duration_since(since))
    }
}

/// How fast it goes: the account's calls, as its workers tell them; the run's users, where nobody does.
fn pace(status: &RunStatus, activity: Option<&Activity>, finished: f64) -> String {
    let state = status.state();
    let word = if state == RunState::Running { String::new() } else { state.to_string() };
    let told = activity.filter(|activity| activity.workers > 0);
    let mut parts = vec![word];
    match (state, told) {
        (RunState::Running, None) => parts.push(format!("{finished:.1} users/s")),
        (RunState::Running, Some(activity)) => {
            if let Some(lane) = activity.changes() {
                parts.push(speed(lane));
            }
        }
        (RunState::Resolving, Some(activity)) if activity.rate() > 0.0 => {
            parts.push(format!("{:.1} calls/s", activity.rate()));
        }
        _ => {}
    }
    if let Some(activity) = told.filter(|activity| activity.workers > 1) {
        parts.push(of(activity.workers as u64, "worker"));
    }
    if status.effort.throttled > 0 {
        parts.push(of(status.effort.throttled, "refusal"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

/// `41.0 of 80 calls/s`
fn speed(lane: &Lane) -> String {
    let of = lane.plan.map(|plan| format!(" of {plan}")).unwrap_or_default();
    format!("{:.1}{of} calls/s", lane.rate)
}

/// `at most 41.2/s now: lowered after refusals`; nothing where the whole plan is used, or nothing is let out.
pub fn lowered(lane: &Lane) -> Option<String> {
    let most = lane.lowered().filter(|_| lane.rate > 0.0);
    most.map(|most| format!("at most {most:.1}/s now: lowered after refusals"))
}

/// `9.1 s left`, or the day on which it will be done where a day's quota decides.
fn left(status: &RunStatus, scene: &Scene, finished: f64) -> String {
    let left = status.counters.total - status.counters.finished;
    if status.state() != RunState::Running || left == 0 {
        return String::new();
    }
    let lane = scene.activity.as_ref().and_then(Activity::changes);
    let day = lane.and_then(|lane| lane.day).map(|day| Day::of(&day, status.run.priority));
    if let Some(day) = day.filter(|day| day.left() < left) {
        let spacing = lane.and_then(|lane| match (lane.allowed, lane.plan) {
            (Some(allowed), _) => Some(period(allowed)),
            (None, plan) => plan.and_then(spacing),
        });
        let load = Load { calls: left, spacing: spacing.unwrap_or_default(), day: Some(day) };
        return load.forecast(scene.now).map_or(String::new(), |forecast| {
            format!("done on {}, the {} day", date(forecast.ends_at, &scene.zone), ordinal(forecast.days))
        });
    }
    if finished <= 0.1 || !scene.waits.is_empty() {
        return String::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
    let time = Duration::from_secs_f64(left as f64 / finished);
    format!("{} left", duration(time))
}

/// Broken between words, so that a bar's lines are as many as it thinks and can be taken away again.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_inclusive(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.trim_end().chars().count() <= width => {
                line.push_str(word)
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn outcomes(status: &RunStatus) -> String {
    let outcomes = status.counters.outcomes.iter();
    outcomes.map(|(outcome, n)| format!("{} {outcome}", count(*n))).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_lose_none() {
        let text = "waiting: refused for the vendor's rate limit; goes on by itself in 4.2 s";
        for width in [0, 1, 20, 40, 500] {
            let lines = wrapped(text, width);
            assert_eq!(lines.concat(), text);
            let longest = lines.iter().map(|line| line.trim_end().chars().count()).max().unwrap();
            assert!(longest <= width.max("refused".len() + 1), "{width}: {lines:?}");
        }
        assert_eq!(wrapped("", 10), Vec::<String>::new());
    }

    #[test]
    fn a_lowered_rate_is_told_and_the_room_for_late_calls_is_not() {
        let lane = |allowed, refusals| Lane {
            rate: 40.0,
            plan: Some(80.0),
            allowed: Some(allowed),
            refusals,
            ..Lane::default()
        };
        assert_eq!(lowered(&lane(78.6, 3)), None);
        assert_eq!(lowered(&lane(41.2, 3)).unwrap(), "at most 41.2/s now: lowered after refusals");
        // Refused were calls of workers that have ended since.
        assert!(lowered(&lane(41.2, 0)).unwrap().ends_with("lowered after refusals"));
    }
}

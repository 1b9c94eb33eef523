//! The end of a run, told on one screen.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use usher_shared::{Outcome, OutcomeRow, RunStatus, store::SharedStore, store::StoreError};

use super::{
    Filter, Rows,
    advice::{TRIED, advice},
    numbers::{count, duration, of, per_second, times},
    rhythm::{Cause, Rhythm, Stand},
    table::printable,
};

/// Failures of one kind: what they have in common, and how many there are.
type Reason = (Outcome, Option<String>, Option<String>);

const REASONS_SHOWN: usize = 12;

/// The failures of a run, grouped by outcome, code and message, the most frequent first.
#[derive(Debug, Default)]
struct Failures(BTreeMap<Reason, (u64, String)>);

/// What the ledger's rows tell of a run beyond its counters.
#[derive(Debug, Default)]
pub struct Told {
    failures: Failures,
    pub(super) stands: Vec<Stand>,
}

/// Failures that have a reason in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind<'a> {
    pub outcome: Outcome,
    pub code: Option<&'a str>,
    pub message: Option<&'a str>,
    /// How many there are.
    pub number: u64,
    /// One of the users.
    pub example: &'a str,
}

impl Told {
    /// Reads it from the ledger. `plan` is the account's limit in calls a second, where it is known here.
    pub async fn of(
        store: &SharedStore,
        run: &usher_shared::RunId,
        plan: Option<f64>,
    ) -> Result<Self, StoreError> {
        Self::while_seeing(store, run, plan, |_| ()).await
    }

    /// The same, with every row shown on the way.
    pub async fn while_seeing(
        store: &SharedStore,
        run: &usher_shared::RunId,
        plan: Option<f64>,
        mut see: impl FnMut(&OutcomeRow),
    ) -> Result<Self, StoreError> {
        let (mut failures, mut rhythm) = (Failures::default(), Rhythm::default());
        let mut rows = Rows::new(store, run, Filter::default());
        while let Some(page) = rows.page().await? {
            for row in &page {
                see(row);
                rhythm.add(row);
                if !row.outcome.is_as_wished() {
                    failures.add(row);
                }
            }
        }
        let spacing = plan.and_then(usher_worker::limiter::spacing).unwrap_or_default();
        Ok(Self { failures, stands: rhythm.stands(store, run, spacing).await? })
    }

    /// The failures by reason, the most frequent first.
    pub(super) fn kinds(&self) -> Vec<Kind<'_>> {
        let mut kinds: Vec<Kind<'_>> = self
            .failures
            .0
            .iter()
            .map(|((outcome, code, message), (number, example))| Kind {
                outcome: *outcome,
                code: code.as_deref(),
                message: message.as_deref(),
                number: *number,
                example,
            })
            .collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.number));
        kinds
    }
}

/// Whether a job was ended from outside after a call for it had been made that did not end it.
fn may_have_been_changed(row: &OutcomeRow) -> bool {
    row.attempts > 0 && matches!(row.outcome, Outcome::Cancelled | Outcome::Expired | Outcome::Superseded)
}

impl Failures {
    fn add(&mut self, row: &OutcomeRow) {
        // A message that names the user would make every failure its own kind.
        let mut message = row.message.clone();
        if let Some(text) = &mut message {
            let names = [Some(row.user.as_str()), row.resolved.as_ref().map(|user| user.id.as_str())];
            let email = row.resolved.as_ref().and_then(|user| user.email.as_deref());
            for name in names.into_iter().flatten().chain(email).filter(|name| name.len() > 2) {
                *text = text.replace(name, "…");
            }
        }
        let mut code = row.code.clone();
        if may_have_been_changed(row) {
            code.get_or_insert_with(|| TRIED.to_owned());
            let what = message.as_deref().unwrap_or("the run ended before this user was done");
            message = Some(format!("{what}; a call had been made, which may have changed the user"));
        }
        let example = row.user.to_string();
        let kind = self.0.entry((row.outcome, code, message)).or_insert((0, example));
        kind.0 += 1;
    }
}

/// The summary of a run: counts by outcome, failures by reason with what to do, time, calls, rate.
/// `plan` is the account's limit in calls a second, where it is known here.
pub fn summary(status: &RunStatus, told: &Told, plan: Option<f64>) -> String {
    let failures = &told.failures;
    let mut text = String::new();
    let counters = &status.counters;
    // Writing into a String can't fail.
    let _ = writeln!(
        text,
        "Run {} on {}: {} {} of {}.",
        status.run.id,
        status.run.account,
        status.state(),
        count(counters.finished),
        of(counters.total, "user"),
    );
    // What a person said is told by the state's word.
    if let Some(ending) = status.notes.ending.as_ref().filter(|ending| ending.code.is_some()) {
        let _ = writeln!(text, "{}.", capital(&printable(ending.message.trim_end_matches('.'))));
    }
    if let Some(run) = &status.run.terms.undoes {
        let _ = writeln!(text, "It undoes run {run}.");
    }
    for outcome in Outcome::ALL {
        let number = counters.of(outcome);
        if number > 0 {
            let _ = writeln!(text, "  {:>9}  {}", count(number), words(outcome));
        }
    }
    if counters.duplicates > 0 {
        let _ = writeln!(
            text,
            "  {:>9}  named twice, by id and by e-mail: counted once",
            count(counters.duplicates)
        );
    }
    text.push_str(&effort(status, &told.stands, plan));
    if !failures.0.is_empty() {
        text.push_str("\nNot as wished:\n");
        let kinds = told.kinds();
        for Kind { outcome, code, message, number, example } in kinds.iter().take(REASONS_SHOWN) {
            let telling = code.filter(|code| *code != outcome.as_str());
            let shown_code = telling.map(|code| format!(" ({})", printable(code))).unwrap_or_default();
            // What ended the run is said above.
            let ending = status.notes.ending.as_ref().map(|ending| ending.message.as_str());
            let message = message.filter(|message| Some(*message) != ending);
            let message = message.map(|message| format!(": {}", printable(message))).unwrap_or_default();
            let _ = writeln!(text, "  {:>9}  {outcome}{shown_code}{message}", count(*number));
            if let Some(advice) = advice(*outcome, *code) {
                let _ = writeln!(text, "             -> {advice}");
            }
            let _ = writeln!(text, "             such as {}", printable(example));
        }
        if kinds.len() > REASONS_SHOWN {
            let _ =
                writeln!(text, "  and {} more kinds of failure; see the report", kinds.len() - REASONS_SHOWN);
        }
    }
    text
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// What an outcome is called in a sentence.
pub(super) fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "applied",
        Outcome::AlreadyApplied => "already so",
        Outcome::Rejected => "rejected by the vendor",
        Outcome::NotFound => "not found",
        Outcome::Protected => "protected, not touched",
        Outcome::Drifted => "changed since the plan, not touched",
        Outcome::Superseded => "decided by a newer run",
        Outcome::NoSeat => "no free licence",
        Outcome::Exhausted => "given up after repeated failures",
        Outcome::Expired => "past the deadline",
        Outcome::Cancelled => "cancelled before they were done",
        Outcome::Poisoned => "given up: workers died on them",
    }
}

/// Calls, and how fast they were made while any were: a time without a call is told by itself, with its cause.
pub(super) fn effort(status: &RunStatus, stands: &[Stand], plan: Option<f64>) -> String {
    let effort = &status.effort;
    let (Some(first), Some(last)) = (effort.first_attempt_at, effort.last_attempt_at) else {
        let said = if status.phase.is_over() { "was needed" } else { "has been made yet" };
        return format!("No vendor call {said}.\n");
    };
    let time = last.since(first);
    let stood: Duration = stands.iter().map(|stand| stand.time).sum();
    let rate = per_second(effort.calls, time.saturating_sub(stood));
    let share = match plan {
        Some(plan) if plan > 0.0 => format!(" ({:.0}% of the plan's {plan}/s)", 100.0 * rate / plan),
        _ => String::new(),
    };
    let working = if stood.is_zero() { "" } else { " while working" };
    let mut text =
        format!("  {} in {}: {rate:.1}/s{working}{share}", of(effort.calls, "call"), duration(time));
    let mut causes = BTreeMap::<Cause, (u64, Duration)>::new();
    for stand in stands {
        let (often, time) = causes.entry(stand.after).or_default();
        *often += 1;
        *time += stand.time;
    }
    for (cause, (often, time)) in causes {
        let _ = write!(text, ",\n  stood still {}", stood_still(cause, often, time));
    }
    let _ = writeln!(
        text,
        ",\n  {}, {}.",
        times("refused for the rate limit", effort.throttled),
        times("retried", effort.retries),
    );
    text
}

/// `5.1 s after a refusal for the rate limit`, `12 s in 3 times after refusals for the rate limit`
fn stood_still(cause: Cause, often: u64, time: Duration) -> String {
    let what = match (cause, often) {
        (Cause::Refusal, 1) => "after a refusal for the rate limit",
        (Cause::Refusal, _) => "after refusals for the rate limit",
        (Cause::Day, _) => "until the day's quota came back",
        (Cause::Failures, _) => "after calls that failed",
        (Cause::Death, _) => "after a worker died",
        (Cause::Nothing, _) => "while nothing was tried (paused, no worker, or a quota used up)",
    };
    let often = if often > 1 { format!(", {often} times,") } else { String::new() };
    format!("{}{often} {what}", duration(time))
}

#[cfg(test)]
mod tests {
    use usher_shared::{Counters, Effort, NewRun, Priority, RunPhase, Timestamp};

    use super::*;

    fn finished(seconds: i64, calls: u64, throttled: u64) -> RunStatus {
        let at = Timestamp::from_millis;
        RunStatus {
            notes: Default::default(),
            run: NewRun {
                terms: Default::default(),
                id: "20261121-k3f9zm".parse().unwrap(),
                account: "zoom-main".parse().unwrap(),
                priority: Priority::Normal,
                reason: None,
                asked_by: "test".into(),
                source: None,
                created_at: at(0),
            },
            phase: RunPhase::Finished,
            paused: false,
            cancelled: false,
            admission: Some(1),
            by_action: BTreeMap::new(),
            counters: Counters::default(),
            effort: Effort {
                calls,
                throttled,
                first_attempt_at: Some(at(0)),
                last_attempt_at: Some(at(seconds * 1_000)),
                ..Effort::default()
            },
            sealed_at: None,
            finished_at: None,
            fresh_at: None,
            hold: None,
        }
    }

    #[test]
    fn who_may_have_been_changed_before_the_run_was_ended_is_told_apart() {
        let row = |attempts, outcome| OutcomeRow {
            seq: 0,
            line: 1,
            user: "ann@corp.example".parse().unwrap(),
            resolved: None,
            action: usher_shared::Action::Deactivate,
            reason: None,
            outcome,
            code: None,
            message: Some("the run was cancelled before this user was done".into()),
            attempts,
            first_attempt_at: None,
            last_attempt_at: None,
            worker: None,
        };
        let mut told = Told::default();
        for (attempts, outcome) in [
            (0, Outcome::Cancelled),
            (0, Outcome::Cancelled),
            (1, Outcome::Cancelled),
            (1, Outcome::Rejected),
        ] {
            told.failures.add(&row(attempts, outcome));
        }
        let kinds: Vec<_> = told.kinds().iter().map(|kind| (kind.outcome, kind.code, kind.number)).collect();
        assert_eq!(
            kinds,
            [
                (Outcome::Cancelled, None, 2),
                (Outcome::Rejected, None, 1),
                (Outcome::Cancelled, Some(TRIED), 1)
            ]
        );
        assert!(
            told.kinds()[2]
                .message
                .unwrap()
                .ends_with("a call had been made, which may have changed the user")
        );
    }

    #[test]
    fn a_pause_does_not_count_as_slow_work() {
        let stand = |seconds, after| Stand { time: Duration::from_secs(seconds), after };
        let cases = [
            (vec![], "2,400 calls in 35 s: 68.6/s (86% of the plan's 80/s),\n  refused"),
            (
                vec![stand(5, Cause::Refusal)],
                "2,400 calls in 35 s: 80.0/s while working (100% of the plan's 80/s),\n  stood still 5.0 s after a refusal for \
                 the rate limit,\n  refused for the rate limit 1 time, never retried.",
            ),
            (
                vec![stand(3, Cause::Refusal), stand(2, Cause::Refusal)],
                "stood still 5.0 s, 2 times, after refusals for the rate limit,",
            ),
        ];
        for (stands, expected) in cases {
            let found = effort(&finished(35, 2_400, 1), &stands, Some(80.0));
            assert!(found.contains(expected), "{found}");
        }
    }
}

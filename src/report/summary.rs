//! The end of a run, told on one screen.

use std::{collections::BTreeMap, fmt::Write};

use usher_shared::{Outcome, OutcomeRow, RunStatus, store::SharedStore, store::StoreError};

use super::{
    Filter, Rows,
    advice::advice,
    numbers::{count, duration, of, per_second},
    table::printable,
};

/// Failures of one kind: what they have in common, and how many there are.
type Reason = (Outcome, Option<String>, Option<String>);

const REASONS_SHOWN: usize = 12;

/// The failures of a run, grouped by outcome, code and message, the most frequent first.
#[derive(Debug, Default)]
pub struct Failures(BTreeMap<Reason, (u64, String)>);

impl Failures {
    /// Reads them from the ledger.
    pub async fn of(store: &SharedStore, run: &usher_shared::RunId) -> Result<Self, StoreError> {
        let mut failures = Self::default();
        let mut rows = Rows::new(store, run, Filter { failed: true, ..Filter::default() });
        while let Some(page) = rows.page().await? {
            page.iter().for_each(|row| failures.add(row));
        }
        Ok(failures)
    }

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
        let example = row.user.to_string();
        let kind = self.0.entry((row.outcome, row.code.clone(), message)).or_insert((0, example));
        kind.0 += 1;
    }
}

/// The summary of a run: counts by outcome, failures by reason with what to do, time, calls, rate.
/// `plan` is the account's limit in calls a second, where it is known here.
pub fn summary(status: &RunStatus, failures: &Failures, plan: Option<f64>) -> String {
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
    text.push_str(&effort(status, plan));
    if !failures.0.is_empty() {
        text.push_str("\nNot as wished:\n");
        let mut kinds: Vec<_> = failures.0.iter().collect();
        kinds.sort_by_key(|(_, (number, _))| std::cmp::Reverse(*number));
        for ((outcome, code, message), (number, example)) in kinds.iter().take(REASONS_SHOWN) {
            let telling = code.as_deref().filter(|code| *code != outcome.as_str());
            let shown_code = telling.map(|code| format!(" ({})", printable(code))).unwrap_or_default();
            let message =
                message.as_deref().map(|message| format!(": {}", printable(message))).unwrap_or_default();
            let _ = writeln!(text, "  {:>9}  {outcome}{shown_code}{message}", count(*number));
            if let Some(advice) = advice(*outcome, code.as_deref()) {
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

fn words(outcome: Outcome) -> &'static str {
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
        Outcome::Cancelled => "cancelled, not touched",
        Outcome::Poisoned => "given up: workers died on them",
    }
}

fn effort(status: &RunStatus, plan: Option<f64>) -> String {
    let effort = &status.effort;
    let (Some(first), Some(last)) = (effort.first_attempt_at, effort.last_attempt_at) else {
        return "No vendor call was needed.\n".to_owned();
    };
    let time = last.since(first);
    let rate = per_second(effort.calls, time);
    let share = match plan {
        Some(plan) if plan > 0.0 => format!(" ({:.0}% of the plan's {plan}/s)", 100.0 * rate / plan),
        _ => String::new(),
    };
    format!(
        "  {} in {}: {rate:.1}/s{share}, refused for the rate limit {}, retried {}.\n",
        of(effort.calls, "call"),
        duration(time),
        of(effort.throttled, "time"),
        of(effort.retries, "time"),
    )
}

//! The report as one page for people: whole in itself, so that it can be kept, sent and printed, and read without a network.
//!
//! Nothing in it comes from elsewhere, and its policy forbids that it could: no script but the one that is in it, known by its
//! hash, may run, whatever stands in a name or a vendor's message. The script searches and sorts; without it the page is whole.

mod charts;
mod pace;
mod text;
mod users;

use std::{fmt::Write as _, io::Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use usher_shared::{Outcome, RunId, RunStatus, Timestamp, store::SharedStore, store::StoreError};

use super::{
    Filter, Rows,
    advice::advice,
    numbers::{count, of},
    summary::{Kind, Told, effort},
};
use crate::exit::Failure;
use pace::Pace;
use text::{Text, moment};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Kinds of failure that are shown; the table has them all.
const REASONS: usize = 60;

/// What the page says of a run beyond its table.
#[derive(Debug)]
pub struct Page {
    status: RunStatus,
    told: Told,
    pace: Pace,
    limit: Option<f64>,
    filter: Filter,
    at: Timestamp,
}

impl Page {
    /// Reads it from the ledger. `limit` is the account's limit in calls a second, where it is known here.
    pub async fn of(
        store: &SharedStore,
        status: RunStatus,
        filter: Filter,
        limit: Option<f64>,
    ) -> Result<Self, StoreError> {
        let run: &RunId = &status.run.id;
        let mut pace = Pace::default();
        let told = Told::while_seeing(store, run, limit, |row| pace.add(row)).await?;
        pace.look_up(store, run).await?;
        let at = store.now().await?;
        Ok(Self { told, pace, limit, filter, at, status })
    }

    /// Writes the page; returns how many users are in its table.
    pub async fn write(&self, rows: &mut Rows, to: &mut (dyn Write + Send)) -> Result<u64, Failure> {
        to.write_all(self.head().as_bytes())?;
        let written = users::write(rows, to).await?;
        let foot = format!(
            "<footer>{} in this table. Written by usher {} on {}, from the run's ledger. Times are UTC, by the clocks of the machines that \
             worked the run.</footer>\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
            of(written, "user"),
            env!("CARGO_PKG_VERSION"),
            moment(self.at),
        );
        to.write_all(foot.as_bytes())?;
        to.flush()?;
        Ok(written)
    }

    fn head(&self) -> String {
        let run = &self.status.run;
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '{}'; style-src '{}'; \
             base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <title>usher: run {run} on {account}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <header><h1>{what} on {account}</h1><p class=\"lead\">Run {run}, {state}</p></header>\n\
             {open}{tiles}{facts}\
             <h2>Outcomes</h2>\n{outcomes}\n<h2>Pace</h2>\n{pace}\n{reasons}<h2 id=\"users\">Users</h2>\n{controls}",
            hash(SCRIPT),
            hash(STYLE),
            run = Text(run.id.as_str()),
            account = Text(run.account.as_str()),
            what = Text(&self.what()),
            state = self.status.state().as_str(),
            open = self.open(),
            tiles = self.tiles(),
            facts = self.facts(),
            outcomes = charts::outcomes(&self.status),
            pace = self.pace(),
            reasons = self.reasons(),
            controls = self.controls(),
        )
    }

    /// `Deactivate 1,020 users`
    fn what(&self) -> String {
        let actions: Vec<String> = self
            .status
            .by_action
            .iter()
            .map(|(action, number)| format!("{action} {}", of(*number, "user")))
            .collect();
        let text =
            if actions.is_empty() { of(self.status.counters.total, "user") } else { actions.join(", ") };
        let mut letters = text.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    }

    /// What a reader must know before all figures: that the run goes on, or that the table is a part.
    fn open(&self) -> String {
        let mut text = String::new();
        let counters = &self.status.counters;
        if !self.status.phase.is_over() {
            let _ = write!(
                text,
                "<p class=\"notice\">The run is not over: {} without an outcome yet when this page was written, {}.</p>",
                of(counters.total.saturating_sub(counters.finished), "user"),
                moment(self.at),
            );
        }
        if self.filter.failed || !self.filter.outcomes.is_empty() {
            let only: Vec<&str> = self.filter.outcomes.iter().map(|outcome| outcome.as_str()).collect();
            let only =
                if only.is_empty() { "users who are not as wished".to_owned() } else { only.join(", ") };
            let _ = write!(
                text,
                "<p class=\"notice\">The table below shows a part of the users: {only}. The figures are of all.</p>"
            );
        }
        text
    }

    fn tiles(&self) -> String {
        let counters = &self.status.counters;
        let wished: u64 =
            Outcome::ALL.iter().filter(|one| one.is_as_wished()).map(|one| counters.of(*one)).sum();
        let other = counters.finished.saturating_sub(wished);
        let tile =
            |number: u64, what: String| format!("<li><b>{}</b><span>{what}</span></li>", count(number));
        let share = |number| format!("({})", charts::percent(number, counters.total));
        let mut text = String::from("<ul class=\"tiles\">");
        text += &tile(counters.total, "users in the run".into());
        text += &tile(wished, format!("as wished {}", share(wished)));
        text += &tile(other, format!("not as wished {}", share(other)));
        text += &tile(self.status.effort.calls, "calls to the vendor".into());
        text + "</ul>\n"
    }

    fn facts(&self) -> String {
        let (run, notes) = (&self.status.run, &self.status.notes);
        let mut text = String::from("<dl>");
        // Writing into a String can't fail.
        let mut fact = |name: &str, value: String| {
            let _ = write!(text, "<dt>{name}</dt><dd>{value}</dd>");
        };
        let by = |name: &str, at: Timestamp| format!("{}, {}", Text(name), moment(at));
        fact("Asked by", Text(&run.asked_by).to_string());
        if let Some(reason) = &run.reason {
            fact("Reason", Text(reason).to_string());
        }
        if let Some(source) = &run.source {
            fact("From", Text(source).to_string());
        }
        fact("Priority", run.priority.to_string());
        fact("Submitted", moment(run.created_at));
        if let Some(undoes) = &run.terms.undoes {
            fact("Undoes run", Text(undoes.as_str()).to_string());
        }
        if let Some(at) = run.terms.not_before {
            fact("Not before", moment(at));
        }
        if let Some(at) = run.terms.deadline {
            fact("Deadline", moment(at));
        }
        if let Some(plan) = &notes.plan {
            fact(
                "Plan",
                format!(
                    "<code>{}</code><br>made {}, to change {}",
                    plan.hash,
                    moment(plan.at),
                    of(plan.change, "user")
                ),
            );
        }
        if let Some(go) = &notes.go {
            fact("Applied by", by(&go.by, go.at));
        }
        if let Some(approval) = &notes.approval {
            fact("Approved by", by(&approval.by, approval.at));
        }
        if let Some(at) = self.status.effort.first_attempt_at {
            fact("First call", moment(at));
        }
        if let Some(at) = self.status.effort.last_attempt_at {
            fact("Last call", moment(at));
        }
        match (self.status.finished_at, &notes.held) {
            (Some(at), _) => fact("Over", format!("{} ({})", moment(at), self.status.state().as_str())),
            (None, Some(held)) => fact("Held", Text(&held.message).to_string()),
            (None, None) => {}
        }
        if let Some(ending) = &notes.ending {
            fact("Ended because", Text(&ending.message).to_string());
        }
        if let Some(hold) = self.status.hold.as_ref().filter(|_| !self.status.phase.is_over()) {
            fact("Account on hold", Text(&hold.message).to_string());
        }
        text + "</dl>\n"
    }

    fn pace(&self) -> String {
        let effort = effort(&self.status, &self.told.stands, self.limit);
        let effort: Vec<&str> = effort.split_whitespace().collect();
        let chart = self.pace.bars().map(|bars| charts::pace(&bars, self.limit, self.status.effort.calls));
        format!("<p>{}</p>{}", Text(&effort.join(" ")), chart.unwrap_or_default())
    }

    fn reasons(&self) -> String {
        let kinds = self.told.kinds();
        if kinds.is_empty() {
            return String::new();
        }
        let mut text = String::from("<h2>Not as wished, and what to do</h2>\n");
        for Kind { outcome, code, message, number, example } in kinds.iter().take(REASONS) {
            let told = code.filter(|code| *code != outcome.as_str());
            let code_shown = told.map(|code| format!(" <code>{}</code>", Text(code))).unwrap_or_default();
            let said = message.map(|message| format!(": {}", Text(message))).unwrap_or_default();
            let todo = advice(*outcome, *code).map(|todo| format!("<p class=\"todo\">{}</p>", Text(todo)));
            let _ = writeln!(
                text,
                "<div class=\"reason\"><b>{}</b><div><p><span class=\"{}\">{outcome}</span>{code_shown}{said}</p>{}\
                 <p class=\"note\">such as {}</p></div></div>",
                count(*number),
                charts::tone(*outcome),
                todo.unwrap_or_default(),
                Text(example),
            );
        }
        if kinds.len() > REASONS {
            let _ = writeln!(
                text,
                "<p class=\"note\">And {} more kinds; the table has them all.</p>",
                count((kinds.len() - REASONS) as u64)
            );
        }
        text
    }

    /// The search, shown by the script that works it.
    fn controls(&self) -> String {
        let mut text = String::from(
            "<div class=\"controls\"><input id=\"search\" type=\"search\" placeholder=\"Search: name, code, message, …\" \
             aria-label=\"Search the users\" autocomplete=\"off\" spellcheck=\"false\"><select id=\"only\" aria-label=\"Outcome\">\
             <option value=\"\">every outcome</option>",
        );
        for outcome in Outcome::ALL.into_iter().filter(|outcome| self.status.counters.of(*outcome) > 0) {
            let _ = write!(text, "<option>{outcome}</option>");
        }
        text + "</select><span id=\"shown\" class=\"note\" role=\"status\"></span></div>\n"
    }
}

/// The hash by which the page's policy knows its script and its style.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests;

//! A plan, for programs: exact, a row for each request.

use std::{collections::BTreeMap, io::Write};

use serde::Serialize;
use usher_shared::{
    Restore, RunStatus, UserState,
    plan::{PlanKind, Planned},
    store::{Resolution, SharedStore},
};

use super::{Pages, Plan};
use crate::exit::Failure;

#[derive(Serialize)]
struct View<'a> {
    run: &'a str,
    account: &'a str,
    state: &'static str,
    asked_by: &'a str,
    reason: Option<&'a str>,
    undoes: Option<&'a str>,
    hash: Option<&'a str>,
    planned_at: Option<String>,
    active_users: Option<u64>,
    counts: BTreeMap<&'static str, u64>,
    changes: BTreeMap<&'static str, u64>,
    licences_freed: &'a BTreeMap<String, u64>,
    licences_needed: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct RowView<'a> {
    line: u64,
    user: &'a str,
    action: &'static str,
    kind: PlanKind,
    code: Option<&'a str>,
    message: Option<&'a str>,
    same_as_line: Option<u64>,
    id: Option<&'a str>,
    email: Option<&'a str>,
    before: Option<StateView<'a>>,
    restore: Option<RestoreView<'a>>,
}

#[derive(Serialize)]
struct StateView<'a> {
    status: usher_shared::Status,
    license: Option<&'a str>,
    role: Option<&'a str>,
    groups: &'a [String],
}

#[derive(Serialize)]
struct RestoreView<'a> {
    license: Option<&'a str>,
    role: Option<&'a str>,
    groups: &'a [String],
}

impl<'a> From<&'a UserState> for StateView<'a> {
    fn from(state: &'a UserState) -> Self {
        let UserState { status, license, role, groups } = state;
        Self { status: *status, license: license.as_deref(), role: role.as_deref(), groups }
    }
}

impl<'a> From<&'a Restore> for RestoreView<'a> {
    fn from(restore: &'a Restore) -> Self {
        let Restore { license, role, groups } = restore;
        Self { license: license.as_deref(), role: role.as_deref(), groups }
    }
}

impl<'a> From<&'a Planned> for RowView<'a> {
    fn from(row: &'a Planned) -> Self {
        let (mut code, mut message, mut same_as_line, mut user) = (None, None, None, None);
        match &row.resolution {
            Resolution::Change(found) => user = Some(found),
            Resolution::Settled { code: word, message: words, user: found, .. } => {
                (code, message, user) = (word.as_deref(), words.as_deref(), found.as_ref());
            }
            Resolution::Duplicate { of_line } => same_as_line = Some(*of_line),
        }
        Self {
            line: row.request.line,
            user: row.request.user.as_str(),
            action: row.request.action.as_str(),
            kind: row.kind(),
            code,
            message,
            same_as_line,
            id: user.map(|user| user.id.as_str()).filter(|id| !id.is_empty()),
            email: user.and_then(|user| user.email.as_deref()),
            before: user.map(|user| StateView::from(&user.before)),
            restore: row.request.restore.as_ref().map(RestoreView::from),
        }
    }
}

/// Writes the whole plan: what is said of all, then a row a line.
pub async fn write(
    store: &SharedStore,
    status: &RunStatus,
    plan: &Plan,
    to: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let view = View {
        run: status.run.id.as_str(),
        account: status.run.account.as_str(),
        state: status.state().as_str(),
        asked_by: &status.run.asked_by,
        reason: status.run.reason.as_deref(),
        undoes: status.run.terms.undoes.as_ref().map(|run| run.as_str()),
        hash: plan.hash.as_ref().map(|hash| hash.as_str()),
        planned_at: status.notes.plan.as_ref().map(|note| note.at.to_string()),
        active_users: status.notes.plan.as_ref().and_then(|note| note.active_users),
        counts: plan.counts.iter().map(|(kind, number)| (kind.as_str(), *number)).collect(),
        changes: plan.changes.iter().map(|(action, number)| (action.as_str(), *number)).collect(),
        licences_freed: &plan.freed,
        licences_needed: &plan.needed,
    };
    let head = serde_json::to_string_pretty(&view).map_err(std::io::Error::from)?;
    // The users follow within the same object.
    write!(to, "{},\n  \"users\": [", head.trim_end_matches('}').trim_end())?;
    let mut first = true;
    let mut rows = Pages::new(store, status);
    while let Some(page) = rows.next().await? {
        for row in &page {
            to.write_all(if first { b"\n" } else { b",\n" })?;
            first = false;
            serde_json::to_writer(&mut *to, &RowView::from(row)).map_err(std::io::Error::from)?;
        }
    }
    to.write_all(b"\n  ]\n}\n")?;
    to.flush()?;
    Ok(())
}

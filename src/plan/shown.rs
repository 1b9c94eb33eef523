//! A plan, as people read it.

use jiff::tz::TimeZone;
use usher_shared::{
    Action, RunState, RunStatus, Timestamp,
    config::AccountConfig,
    plan::{Plan, PlanKind},
    view::guards::{Guards, share},
};
use usher_worker::provider;

use super::licences;
use crate::{
    console::{indented, out_width},
    report::{
        moments::when,
        numbers::{count, duration, of},
        table::printable,
    },
};

/// A column of names is no wider, so that what stands behind them fits.
const LONGEST_NAME: usize = 40;

/// What a plan is shown with.
pub struct Around<'a> {
    /// What guards the account, as far as it is known here.
    pub guards: &'a Guards,
    /// How long it will take.
    pub outlook: Option<String>,
    /// The account's configuration, where it is known here.
    pub account: Option<&'a AccountConfig>,
    /// The store's time.
    pub now: Timestamp,
    /// Where the reader is.
    pub zone: TimeZone,
    /// Whether it was looked up without being stored: there is nothing to apply.
    pub dry: bool,
    /// Whether a question follows.
    pub asks: bool,
}

/// The plan: counts, users who would not be changed, what it means, and what to type next.
pub fn text(status: &RunStatus, plan: &Plan, around: &Around<'_>) -> String {
    let width = out_width();
    // The names come first: what they come to is what stands above the question.
    let mut text = String::new();
    for kind in PlanKind::ALL {
        text += &named(kind, plan, width, around.dry);
    }
    text += &heading(status, plan, around);
    for kind in PlanKind::ALL {
        let number = plan.of(kind);
        if number > 0 || kind == PlanKind::Change {
            text += &format!("  {:>9}  {}\n", count(number), words(kind, plan));
        }
    }
    text += "\n";
    for line in meaning(status, plan, around) {
        text += &indented(&line, width, 0, 2);
    }
    if status.run.terms.undoes.is_some() && plan.changes.contains_key(&Action::Activate) {
        text += &lost(plan, around, width);
    }
    if let Some(hash) = plan.hash.as_ref().filter(|_| !around.dry) {
        text += &format!("Hash: {hash}\n");
    }
    if !around.dry && !around.asks {
        text += &next(status);
    }
    text
}

fn heading(status: &RunStatus, plan: &Plan, around: &Around<'_>) -> String {
    let requests = of(plan.total(), "request");
    let account = &status.run.account;
    if around.dry {
        return format!("Dry run on {account}, {requests}; nothing is stored:\n");
    }
    let age = status.notes.plan.as_ref().map(|note| around.now.since(note.at));
    let age = age.map(|age| format!(", looked up {} ago", duration(age))).unwrap_or_default();
    let undoes =
        status.run.terms.undoes.as_ref().map(|run| format!(", which undoes {run}")).unwrap_or_default();
    format!("Plan {} on {account}{undoes}: {requests}{age}.\n", status.run.id)
}

fn words(kind: PlanKind, plan: &Plan) -> String {
    match kind {
        PlanKind::Change => {
            let each: Vec<String> =
                plan.changes.iter().map(|(action, number)| format!("{action} {}", count(*number))).collect();
            match plan.changes.len() {
                0 => "to be changed".to_owned(),
                1 => {
                    format!("to be changed: {}", plan.changes.keys().map(|a| a.as_str()).collect::<String>())
                }
                _ => format!("to be changed: {}", each.join(", ")),
            }
        }
        PlanKind::AlreadyThere => "already as wished".to_owned(),
        PlanKind::NotFound => "not found".to_owned(),
        PlanKind::Protected => "protected by a rule".to_owned(),
        PlanKind::AdminOrOwner => "owner or admin: never changed".to_owned(),
        PlanKind::Pending => "invited and never signed in: can't be changed".to_owned(),
        PlanKind::Rejected => "can't be changed".to_owned(),
        PlanKind::Duplicate => "the same user again".to_owned(),
    }
}

fn named(kind: PlanKind, plan: &Plan, width: usize, dry: bool) -> String {
    let Some(users) = plan.named.get(&kind).filter(|users| !users.is_empty()) else { return String::new() };
    let title = words(kind, plan);
    let mut letters = title.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let mut text = format!("{first}{}:\n", letters.as_str());
    let names: Vec<String> = users.iter().map(|user| printable(&user.user)).collect();
    let column = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(LONGEST_NAME);
    for (user, name) in users.iter().zip(&names) {
        let line = match &user.why {
            Some(why) => format!("line {:<6} {name:<column$}  {}", user.line, printable(why)),
            None => format!("line {:<6} {name}", user.line),
        };
        text += &indented(&line, width, 2, 14);
    }
    let more = plan.of(kind) - users.len() as u64;
    if more > 0 {
        let also = if dry { "--dry-run --all" } else { "--all" };
        text += &format!("  and {} more: {also} names them\n", count(more));
    }
    text + "\n"
}

/// What it means, a line each.
fn meaning(status: &RunStatus, plan: &Plan, around: &Around<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let word = around.account.map(AccountConfig::provider);
    let change = plan.of(PlanKind::Change);
    let active = status.notes.plan.as_ref().and_then(|note| note.active_users);
    // A share of the active users says something of those who are shown out.
    let out = plan.changes.get(&Action::Deactivate).copied().unwrap_or(0);
    if let Some(share) = active.filter(|_| out > 0).and_then(|active| share(out, active)) {
        lines.push(format!("It deactivates {share}."));
    }
    if let Some(freed) = licences::seats(word, &plan.freed) {
        lines.push(format!("Licences that come free: {freed}."));
    }
    if let Some(needed) = licences::seats(word, &plan.needed) {
        lines.push(format!(
            "Licences that it gives back: {needed}. Where none is free, the user is activated without, and named."
        ));
    }
    if plan.restored > 0 {
        lines.push(format!("Role or groups are given back to {}.", of(plan.restored, "user")));
    }
    lines.extend(around.guards.lines.iter().cloned());
    if let Some(begin) = status.run.terms.not_before {
        lines.push(format!("It does not begin before {begin} ({}).", when(begin, around.now, &around.zone)));
    }
    if let Some(end) = status.run.terms.deadline {
        lines.push(format!("What is not done by {end} ends as expired."));
    }
    if change > 0 {
        lines.extend(around.outlook.clone());
    }
    lines
}

/// What an undo can't put back.
fn lost(plan: &Plan, around: &Around<'_>, width: usize) -> String {
    let mut text = String::new();
    for (reason, number) in &plan.never {
        text += &indented(
            &format!("Not given back to {}: {}.", of(*number, "user"), printable(reason)),
            width,
            0,
            2,
        );
    }
    let lost = around.account.map(|account| provider::restorable(account).lost).unwrap_or_default();
    if lost.is_empty() {
        return text
            + "Add-ons, phone numbers and whatever else the vendor dropped do not come back by it.\n";
    }
    text += "What may be gone for good, of who had it:\n";
    for line in lost {
        text += &indented(&format!("- {line}"), width, 2, 4);
    }
    text
}

/// What to type next.
fn next(status: &RunStatus) -> String {
    let run = &status.run.id;
    match status.state() {
        RunState::Planned => {
            format!("\n  carry it out: usher apply {run}\n  forget it:    usher cancel {run}\n")
        }
        RunState::Held | RunState::Refused | RunState::Scheduled => {
            let held = status.notes.held.as_ref().map(|held| held.message.as_str());
            let ended = status.notes.ending.as_ref().map(|ending| ending.message.as_str());
            let message = printable(held.or(ended).unwrap_or_default());
            format!("\nThis run is {}: {message}\n", status.state())
        }
        _ => String::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use usher_shared::{
        Counters, Effort, NewRun, Outcome, Priority, Request, ResolvedUser, RunNotes, RunPhase, Status,
        Terms, UserState, plan::Planned, store::Resolution,
    };

    use super::*;

    pub(crate) fn account() -> AccountConfig {
        let lines = "provider = \"zoom\"\naccount_id = \"a\"\nclient_id = \"c\"\nclient_secret = { env = \"S\" }\n\
                     plan = \"business\"\n";
        toml::from_str(lines).unwrap()
    }

    fn planned() -> RunStatus {
        RunStatus {
            notes: RunNotes::default(),
            run: NewRun {
                terms: Terms { plan: true, ..Terms::default() },
                id: "20261121-k3f9zm".parse().unwrap(),
                account: "zoom-main".parse().unwrap(),
                priority: Priority::Normal,
                reason: None,
                asked_by: "test".into(),
                source: None,
                created_at: Timestamp::default(),
            },
            phase: RunPhase::Resolved,
            paused: false,
            cancelled: false,
            admission: None,
            by_action: BTreeMap::from([(Action::Deactivate, 24)]),
            counters: Counters { total: 24, pending: 24, ..Counters::default() },
            effort: Effort::default(),
            sealed_at: None,
            finished_at: None,
            fresh_at: None,
            hold: None,
        }
    }

    fn row(seq: u64, user: &str, resolution: Resolution) -> Planned {
        let (user, action) = (user.parse().unwrap(), Action::Deactivate);
        Planned {
            seq,
            request: Request { line: seq + 2, user, action, reason: None, restore: None },
            resolution,
        }
    }

    fn user() -> ResolvedUser {
        let before =
            UserState { status: Status::Active, license: Some("2".into()), role: None, groups: vec![] };
        ResolvedUser { id: "KD9".into(), email: Some("Ann@corp.example".into()), before }
    }

    fn plan(rows: &[Planned], named: usize) -> Plan {
        let mut plan = Plan::default();
        rows.iter().for_each(|row| plan.take(row, named, None));
        plan
    }

    fn shown(plan: &Plan, dry: bool) -> String {
        let guards = Guards { lines: vec!["Cap: at most 9 users a run.".into()], over: false };
        let account = account();
        let around = Around {
            guards: &guards,
            outlook: Some("At 80 calls/s this takes about 1 s.".into()),
            account: Some(&account),
            now: Timestamp::from_millis(0),
            zone: TimeZone::UTC,
            dry,
            asks: false,
        };
        text(&planned(), plan, &around)
    }

    #[test]
    fn a_plan_says_who_is_changed_who_is_not_and_what_to_type() {
        let gone = Resolution::Settled {
            outcome: Outcome::NotFound,
            code: Some("not_found".into()),
            message: None,
            user: Some(user()),
        };
        let mut rows = vec![row(0, "a@corp.example", Resolution::Change(user()))];
        rows.extend((1..24).map(|seq| row(seq, "gone@corp.example", gone.clone())));
        let text = shown(&plan(&rows, 20), false);
        for words in [
            "1  to be changed: deactivate",
            "23  not found",
            "Not found:\n  line 3      gone@corp.example (Ann@corp.example)\n",
            "and 3 more: --all names them",
            "Licences that come free: 1 Licensed.",
            "Cap: at most 9 users a run.",
            "At 80 calls/s this takes about 1 s.",
            "carry it out: usher apply 20261121-k3f9zm",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        let dry = shown(&plan(&rows, 20), true);
        assert!(dry.contains("nothing is stored") && !dry.contains("usher apply"), "{dry}");
    }
}

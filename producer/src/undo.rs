//! What puts a run's changes back: which users, by which requests. Pure.
//!
//! Exactly those are put back whom the run changed. Who was as wished already is not touched; neither is anybody about whom a
//! newer run has decided since, nor anybody of whom it is not known whether the run changed them: those are named.

use std::collections::HashMap;

use usher_shared::{Action, Outcome, OutcomeRow, Request, ResolvedUser, Restore, RunId};

/// What an undo does about one row of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The run changed the user: this puts it back.
    PutBack(Request),
    /// The run did not change the user.
    Untouched,
    /// The run changed or may have changed the user, who is left out all the same.
    LeftOut(LeftOut),
}

/// A user whom an undo leaves out although the run changed, or may have changed, them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The line in the run that is undone.
    pub line: u64,
    /// The user: the address where it is known, else as the producer named it.
    pub user: String,
    /// Why.
    pub why: Why,
}

/// Why a user is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A newer run has decided about the user since.
    Decided(RunId),
    /// An attempt was made that may have changed the user, and none that surely did.
    Uncertain(Outcome),
    /// What was there before is not known, or can't be brought back by any action.
    NoWayBack,
}

/// The users whom runs changed that are newer than the one to be undone.
#[derive(Clone, Debug, Default)]
pub struct Decided(HashMap<String, RunId>);

impl Decided {
    /// Takes a row of a newer run in. Of several runs the newest should come last.
    pub fn add(&mut self, run: &RunId, row: &OutcomeRow) {
        if let Some(user) = row.resolved.as_ref().filter(|_| has_changed(row)) {
            self.0.insert(user.key(), run.clone());
        }
    }
}

/// What an undo does about a row.
#[must_use]
pub fn choose(row: &OutcomeRow, decided: &Decided) -> Choice {
    let left_out = |why| {
        let user = row.resolved.as_ref().and_then(|user| user.email.clone());
        let user = user.unwrap_or_else(|| row.user.to_string());
        Choice::LeftOut(LeftOut { line: row.line, user, why })
    };
    if !has_changed(row) {
        let uncertain = matches!(
            row.outcome,
            Outcome::Exhausted | Outcome::Poisoned | Outcome::Expired | Outcome::Cancelled
        ) && row.attempts > 0;
        return if uncertain { left_out(Why::Uncertain(row.outcome)) } else { Choice::Untouched };
    }
    let Some(user) = &row.resolved else { return left_out(Why::NoWayBack) };
    if user.before.status == row.action.desired() {
        return Choice::Untouched;
    }
    if let Some(run) = decided.0.get(&user.key()) {
        return left_out(Why::Decided(run.clone()));
    }
    match put_back(row, user) {
        Some(request) => Choice::PutBack(request),
        None => left_out(Why::NoWayBack),
    }
}

/// Whether the vendor confirmed a change, of whatever was there before.
fn has_changed(row: &OutcomeRow) -> bool {
    row.outcome == Outcome::Applied || row.changed_in_part()
}

/// The request that brings the user back to what was there before.
fn put_back(row: &OutcomeRow, user: &ResolvedUser) -> Option<Request> {
    let action = inverse(row.action);
    if action.desired() != user.before.status {
        return None;
    }
    // By its id: the address may have been given to somebody else meanwhile.
    let name = if user.id.is_empty() { user.email.as_deref()? } else { &user.id };
    let restore = match action {
        Action::Activate => Some(Restore {
            license: user.before.license.clone(),
            role: user.before.role.clone(),
            groups: user.before.groups.clone(),
        }),
        Action::Deactivate => None,
    };
    Some(Request { line: row.line, user: name.parse().ok()?, action, reason: None, restore })
}

/// The action that undoes another.
#[must_use]
pub fn inverse(action: Action) -> Action {
    match action {
        Action::Deactivate => Action::Activate,
        Action::Activate => Action::Deactivate,
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::{ACTIVATED_AS_BASIC, Status, UserState};

    use super::*;

    fn row(action: Action, outcome: Outcome, before: Status) -> OutcomeRow {
        let before = UserState {
            status: before,
            license: Some("2".into()),
            role: Some("7".into()),
            groups: vec!["g".into()],
        };
        OutcomeRow {
            seq: 4,
            line: 6,
            user: "ann@corp.example".parse().unwrap(),
            resolved: Some(ResolvedUser { id: "KD9".into(), email: Some("Ann@corp.example".into()), before }),
            action,
            reason: None,
            outcome,
            code: None,
            message: None,
            attempts: 1,
            first_attempt_at: None,
            last_attempt_at: None,
            worker: None,
        }
    }

    fn chosen(row: &OutcomeRow) -> String {
        match choose(row, &Decided::default()) {
            Choice::PutBack(request) => request.action.to_string(),
            Choice::Untouched => "untouched".into(),
            Choice::LeftOut(left_out) => format!("{:?}", left_out.why),
        }
    }

    #[test]
    fn exactly_those_whom_the_run_changed_are_put_back() {
        use {Action::*, Outcome::*, Status::*};
        let cases = [
            (Deactivate, Applied, Active, "activate"),
            (Activate, Applied, Inactive, "deactivate"),
            // A lost reply, followed by "already there": ours, but for who was so before the run.
            (Deactivate, Applied, Inactive, "untouched"),
            (Deactivate, AlreadyApplied, Inactive, "untouched"),
            (Deactivate, AlreadyApplied, Active, "untouched"),
            (Deactivate, Rejected, Active, "untouched"),
            (Deactivate, Protected, Active, "untouched"),
            (Deactivate, Superseded, Active, "untouched"),
            (Deactivate, Drifted, Active, "untouched"),
            (Activate, NoSeat, Inactive, "untouched"),
            (Deactivate, Exhausted, Active, "Uncertain(Exhausted)"),
            (Deactivate, Poisoned, Active, "Uncertain(Poisoned)"),
            (Deactivate, Expired, Active, "Uncertain(Expired)"),
            (Deactivate, Cancelled, Active, "Uncertain(Cancelled)"),
            (Activate, Applied, Pending, "NoWayBack"),
        ];
        for (action, outcome, before, expected) in cases {
            assert_eq!(chosen(&row(action, outcome, before)), expected, "{action} {outcome} {before}");
        }
        let never = OutcomeRow { attempts: 0, ..row(Deactivate, Cancelled, Active) };
        assert_eq!(chosen(&never), "untouched");
        let basic = OutcomeRow { code: Some(ACTIVATED_AS_BASIC.into()), ..row(Activate, NoSeat, Inactive) };
        assert_eq!(chosen(&basic), "deactivate");
        assert_eq!(chosen(&OutcomeRow { resolved: None, ..row(Deactivate, Applied, Active) }), "NoWayBack");
    }

    #[test]
    fn an_activation_gives_back_what_was_there_and_names_the_user_by_id() {
        let choice = choose(&row(Action::Deactivate, Outcome::Applied, Status::Active), &Decided::default());
        let Choice::PutBack(request) = choice else { panic!("{choice:?}") };
        assert_eq!((request.line, request.user.as_str()), (6, "KD9"));
        let restore = request.restore.unwrap();
        assert_eq!((restore.license.as_deref(), restore.role.as_deref()), (Some("2"), Some("7")));
        assert_eq!(restore.groups, ["g"]);
        let back = choose(&row(Action::Activate, Outcome::Applied, Status::Inactive), &Decided::default());
        assert!(matches!(back, Choice::PutBack(Request { restore: None, .. })), "{back:?}");
    }

    #[test]
    fn whom_a_newer_run_decided_about_is_left_out_and_named_with_that_run() {
        let (newer, newest): (RunId, RunId) =
            ("20261120-k3f9zm".parse().unwrap(), "20261121-k3f9zm".parse().unwrap());
        let mut decided = Decided::default();
        decided.add(&newer, &row(Action::Activate, Outcome::Rejected, Status::Inactive));
        let undone = row(Action::Deactivate, Outcome::Applied, Status::Active);
        assert!(matches!(choose(&undone, &decided), Choice::PutBack(_)), "it changed nothing");
        decided.add(&newer, &row(Action::Activate, Outcome::Applied, Status::Inactive));
        decided.add(&newest, &row(Action::Deactivate, Outcome::Applied, Status::Active));
        let Choice::LeftOut(left_out) = choose(&undone, &decided) else { panic!("put back") };
        assert_eq!(left_out, LeftOut { line: 6, user: "Ann@corp.example".into(), why: Why::Decided(newest) });
        // Nothing is asked about who was not changed.
        let already = row(Action::Deactivate, Outcome::AlreadyApplied, Status::Inactive);
        assert_eq!(choose(&already, &decided), Choice::Untouched);
    }
}

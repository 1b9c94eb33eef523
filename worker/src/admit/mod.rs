//! Whether a resolved run may begin: the account's policy, in the worker's configuration, because a submitter's own
//! file guards nobody. Pure.

mod approval;
mod caps;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::BTreeMap;

use usher_shared::{
    Ending, HeldReason, PlanNote, RunStatus, Timestamp,
    config::{ApprovalConfig, ApprovalRequired, Caps, TokenConfig},
    store::UtcDay,
};

use self::{approval::standing, caps::Over};

pub(crate) use undo::{Changed, own_undo};

/// A cap that nothing comes up to, and that every store can count up to.
pub const UNCAPPED: u64 = 1 << 53;

/// What guards an account, out of the worker's configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// How many users may be touched.
    pub caps: Caps,
    /// Which runs another person has to approve.
    pub approval: Option<ApprovalConfig>,
    /// Who is known by a personal token, by name.
    pub tokens: BTreeMap<String, TokenConfig>,
}

/// What is known of a run's claim to undo another one, which the caps make an exception for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undo {
    /// Nobody has looked yet.
    #[default]
    Unseen,
    /// It puts back what its own submitter's run changed, and nothing else.
    Own,
    /// It does not, for this reason.
    Another(&'static str),
}

/// What the decision stands on beside the run and the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What became of the claim to undo.
    pub undo: Undo,
    /// Set where the run did not fit into the day's cap: users counted in that day, by all runs.
    pub day_is_full: Option<u64>,
    /// The store's time.
    pub now: Timestamp,
}

/// What becomes of a resolved run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is worked.
    Admit,
    /// It stays held; somebody has to do something first, or time has to pass.
    Hold(HeldReason, String),
    /// Whether it undoes what it says has to be seen first.
    LookAtUndo,
    /// Its users have to be counted towards the day's cap first, which is so many; then it is worked.
    Reserve(u64),
    /// The caps refuse it.
    Refuse(Ending),
}

/// Decides about a resolved run whose plan is noted.
#[must_use]
pub fn admission(run: &RunStatus, plan: &PlanNote, rules: &Rules, facts: &Facts) -> Admission {
    let (id, terms) = (&run.run.id, &run.run.terms);
    if terms.plan && !is_applied(run, plan) {
        let message = format!(
            "it is a plan, and nothing is changed before somebody says that it is to be done: `usher apply {id}`"
        );
        return Admission::Hold(HeldReason::Planned, message);
    }
    if let Some(at) = terms.not_before.filter(|at| *at > facts.now) {
        return Admission::Hold(HeldReason::NotBefore, not_before(at));
    }
    let Rules { caps, approval, .. } = rules;
    // Undoing one's own run repairs: the caps let it pass, once somebody has confirmed it.
    let may_be_exempt = !caps.is_empty() && terms.undoes.is_some() && run.notes.go.is_some();
    if may_be_exempt && facts.undo == Undo::Unseen {
        return Admission::LookAtUndo;
    }
    let exempt = may_be_exempt && facts.undo == Undo::Own;
    let over = if exempt { None } else { caps::over_run(run, plan, caps) };
    let over_day = facts.day_is_full.filter(|_| !exempt).map(|used| caps::over_day(run, plan, caps, used));
    if let Some(Over::Unknown(message)) = over {
        return Admission::Hold(HeldReason::Unknown, message);
    }
    let over = over.or(over_day);
    let approved = match approval {
        Some(config) => standing(run, plan, config, rules, facts.now),
        None => Err(String::new()),
    };
    let needs = match approval {
        Some(config) => config.required == ApprovalRequired::Always || over.is_some(),
        None => false,
    };
    match (over, approved) {
        (Some(over), Err(missing)) if needs => {
            let message = format!("{}. {missing}{}", over.figures(), over.waits());
            Admission::Hold(over.held(), message)
        }
        (Some(over), Err(_)) => {
            let claim = match facts.undo {
                Undo::Another(why) if may_be_exempt => format!("; {why}, so it is no exception"),
                _ => String::new(),
            };
            Admission::Refuse(Ending::over_cap(format!("{}{claim}. {}", over.figures(), over.cure())))
        }
        (None, Err(missing)) if needs => Admission::Hold(HeldReason::Approval, missing),
        (_, approved) => match caps.users_per_day {
            Some(_) if exempt || plan.change == 0 => Admission::Admit,
            // Approved users count, too, for those who come after them.
            Some(_) if approved.is_ok() => Admission::Reserve(UNCAPPED),
            Some(cap) => Admission::Reserve(cap),
            None => Admission::Admit,
        },
    }
}

/// Whether somebody said that this plan is to be applied. What was said of an earlier resolve of it still counts after a
/// retry: the failed users alone are planned anew.
fn is_applied(run: &RunStatus, plan: &PlanNote) -> bool {
    run.notes.go.as_ref().is_some_and(|go| go.plan == plan.hash || go.at < plan.at)
}

/// Why a run does not begin yet.
#[must_use]
pub fn not_before(at: Timestamp) -> String {
    format!("it begins at {at}, as it was asked to; its users are looked up then")
}

/// Whether a run that was held may be decided about in another way by now, though nobody did anything: the day of the cap
/// that it was over is past.
#[must_use]
pub fn day_has_changed(since: Timestamp, now: Timestamp) -> bool {
    day_of(now) != day_of(since)
}

/// The day in UTC.
#[must_use]
pub fn day_of(at: Timestamp) -> UtcDay {
    at.as_millis().div_euclid(24 * 60 * 60 * 1000)
}

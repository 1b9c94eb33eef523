//! Whether a run puts back what its own submitter's run changed, and nothing else: the claim alone counts for nothing.

use std::collections::HashMap;

use usher_shared::{Action, Outcome, OutcomeRow, ResolvedUser, RunStatus};

use super::{Rules, approval::proved};

/// The users whom a run changed, with what it did to them.
#[derive(Debug, Default)]
pub(crate) struct Changed(HashMap<String, Action>);

impl Changed {
    /// Takes a page of its outcomes in.
    pub fn take(&mut self, rows: &[OutcomeRow]) {
        for row in rows {
            let changed = row.outcome == Outcome::Applied || row.changed_in_part();
            if let Some(user) = row.resolved.as_ref().filter(|_| changed)
                && user.before.status != row.action.desired()
            {
                self.0.insert(user.key(), row.action);
            }
        }
    }

    /// Whether this action puts back what the run did to this user.
    pub fn is_put_back(&self, user: &ResolvedUser, action: Action) -> bool {
        self.0.get(&user.key()).is_some_and(|done| done.desired() != action.desired())
    }
}

/// Whether the submitter of the undo is that of the run which it undoes.
pub(crate) fn own_undo(undo: &RunStatus, undone: &RunStatus, rules: &Rules) -> Result<(), &'static str> {
    if undo.run.account != undone.run.account {
        return Err("it undoes a run of another account");
    }
    if undo.run.asked_by != undone.run.asked_by {
        return Err("it undoes a run that somebody else asked for");
    }
    if undone.run.terms.proof.is_some() {
        let same = match (proved(undone, rules), proved(undo, rules)) {
            (Ok((_, before)), Ok((_, now))) => before == now,
            _ => false,
        };
        if !same {
            return Err("it undoes a run that was asked for with another token");
        }
    }
    Ok(())
}

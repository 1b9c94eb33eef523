//! What is noted on a run, and what a person says of it.

use super::State;
use crate::{Confirmation, Note, RunId, RunPhase, store::StoreError};

impl State {
    pub(super) fn note(&mut self, run: &RunId, note: &Note) -> Result<(), StoreError> {
        let notes = &mut self.steered(run, "nothing more is noted on it")?.notes;
        match note {
            Note::Plan(plan) => notes.plan = Some(plan.clone()),
            Note::Held(held) => notes.held = held.clone(),
        }
        Ok(())
    }

    pub(super) fn confirm(&mut self, id: &RunId, confirmation: &Confirmation) -> Result<(), StoreError> {
        let run = self.visible(id)?;
        let known = match confirmation {
            Confirmation::Apply(go) => run.notes.go.as_ref() == Some(go),
            Confirmation::Approve(approval) => run.notes.approval.as_ref() == Some(approval),
        };
        if known {
            return Ok(());
        }
        if matches!(confirmation, Confirmation::Apply(_)) && !run.run.terms.plan {
            return run.refuse("it is no plan, so it needs nobody to apply it");
        }
        if run.phase != RunPhase::Resolved || run.cancelled {
            return run.refuse("it does not wait for anybody's word");
        }
        match confirmation {
            Confirmation::Apply(go) => run.notes.go = Some(go.clone()),
            Confirmation::Approve(approval) => run.notes.approval = Some(approval.clone()),
        }
        // What somebody found out about its users before this is not relied on.
        (run.fresh_at, run.steward) = (None, None);
        let account = run.run.account.clone();
        let number = self.next_number(account);
        self.visible(id)?.number = number;
        Ok(())
    }
}

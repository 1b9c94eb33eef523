//! Who may still sign in although a run was to deactivate them: looked up once, when it is told.

use usher_shared::{
    Action, RunPhase, RunStatus,
    config::WebhookEvent,
    store::{SharedStore, StoreError},
};

use crate::{
    derive::{Left, is_missed},
    event::{About, Data, Event, Leaver, LeaversStillActive, rest},
};

/// So many are named.
pub const NAMED: usize = 20;
/// Rows read at once.
const READ: usize = 1_000;

/// The event about those that `left` stands for. Reads no further than it has to.
pub(crate) async fn still_active(
    store: &SharedStore,
    run: &RunStatus,
    left: Left,
) -> Result<Option<Event>, StoreError> {
    let mut found = Found { enough: left.number.is_some(), ..Found::default() };
    if run.phase.is_over() {
        missed(store, run, &mut found).await?;
    } else if run.phase == RunPhase::Sealed {
        requested(store, run, &mut found).await?;
    } else {
        remaining(store, run, &mut found).await?;
    }
    let number = left.number.unwrap_or(found.number);
    if number == 0 {
        return Ok(None);
    }
    let data = LeaversStillActive {
        about: About::from(run),
        state: run.state(),
        deadline: run.run.terms.deadline,
        number,
        users: found.users,
        rest: rest(&run.run.id),
    };
    Ok(Some(Event {
        id: left.id,
        kind: WebhookEvent::LeaversStillActive,
        account: run.run.account.clone(),
        at: left.at,
        data: Data::LeaversStillActive(data),
    }))
}

#[derive(Default)]
struct Found {
    /// How many there are is known without reading them all.
    enough: bool,
    number: u64,
    users: Vec<Leaver>,
}

impl Found {
    fn take(&mut self, leaver: impl FnOnce() -> Leaver) {
        self.number += 1;
        if self.users.len() < NAMED {
            self.users.push(leaver());
        }
    }

    fn is_done(&self) -> bool {
        self.enough && self.users.len() >= NAMED
    }
}

/// Of a run that is over: its outcomes.
async fn missed(store: &SharedStore, run: &RunStatus, found: &mut Found) -> Result<(), StoreError> {
    let mut from = 0;
    loop {
        let rows = store.outcomes(&run.run.id, from, READ).await?;
        for row in rows.iter().filter(|row| row.action == Action::Deactivate && is_missed(run, row.outcome)) {
            found.take(|| Leaver {
                user: row.user.to_string(),
                outcome: Some(row.outcome),
                code: row.code.clone(),
            });
        }
        match rows.last() {
            Some(last) if rows.len() >= READ && !found.is_done() => from = last.seq + 1,
            _ => return Ok(()),
        }
    }
}

/// Of a run whose users were never looked up: as the submitter named them.
async fn requested(store: &SharedStore, run: &RunStatus, found: &mut Found) -> Result<(), StoreError> {
    let mut from = 0;
    loop {
        let rows = store.requests(&run.run.id, from, READ).await?;
        for (_, request) in rows.iter().filter(|(_, request)| request.action == Action::Deactivate) {
            found.take(|| Leaver { user: request.user.to_string(), outcome: None, code: None });
        }
        match rows.last() {
            Some((last, _)) if rows.len() >= READ && !found.is_done() => from = last + 1,
            _ => return Ok(()),
        }
    }
}

/// Of a run that is under way: those that are left.
async fn remaining(store: &SharedStore, run: &RunStatus, found: &mut Found) -> Result<(), StoreError> {
    let mut from = 0;
    loop {
        let rows = store.remaining(&run.run.id, from, READ).await?;
        for row in rows.iter().filter(|row| row.action == Action::Deactivate) {
            let user = row.user.email.as_ref().unwrap_or(&row.user.id);
            found.take(|| Leaver { user: user.clone(), outcome: None, code: None });
        }
        match rows.last() {
            Some(last) if rows.len() >= READ && !found.is_done() => from = last.seq + 1,
            _ => return Ok(()),
        }
    }
}

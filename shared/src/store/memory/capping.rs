//! Users counted towards the cap of a day.

use std::collections::{BTreeMap, BTreeSet};

use super::State;
use crate::{
    RunId, RunPhase, Timestamp,
    store::{CHUNK, RESERVING, Reserved, StoreError, UtcDay},
};

/// What is counted of an account.
#[derive(Debug, Default)]
pub(super) struct Caps {
    /// The users of each day that a run counted.
    counted: BTreeMap<UtcDay, BTreeMap<RunId, BTreeSet<String>>>,
    /// The run that counts, and since when nothing was heard of it.
    counting: Option<(RunId, Timestamp)>,
}

impl Caps {
    fn users_of(&self, day: UtcDay) -> BTreeSet<&String> {
        self.counted.get(&day).into_iter().flat_map(BTreeMap::values).flatten().collect()
    }
}

impl State {
    pub(super) fn reserve(
        &mut self,
        id: &RunId,
        day: UtcDay,
        users: &[String],
        cap: u64,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let run = self.visible(id)?;
        if run.phase != RunPhase::Resolved || run.cancelled {
            return run.refuse("only a resolved run counts its users towards a cap");
        }
        let account = run.run.account.clone();
        let caps = self.caps.entry(account).or_default();
        if let Some((other, heard)) = caps.counting.as_ref().filter(|(other, _)| other != id) {
            let resolved = self.runs.get(other).is_some_and(|run| run.phase == RunPhase::Resolved);
            if resolved && now.since(*heard) <= RESERVING {
                return Ok(Reserved::Busy(other.clone()));
            }
        }
        caps.counting = Some((id.clone(), now));
        let before = caps.users_of(day);
        let mut after = before.clone();
        after.extend(users);
        if after.len() as u64 > cap {
            return Ok(Reserved::Over { used: before.len() as u64 });
        }
        let used = after.len() as u64;
        caps.counted.entry(day).or_default().entry(id.clone()).or_default().extend(users.iter().cloned());
        Ok(Reserved::Counted { used })
    }

    pub(super) fn unreserve(&mut self, id: &RunId, day: UtcDay) -> Result<u64, StoreError> {
        let account = self.visible(id)?.run.account.clone();
        let caps = self.caps.entry(account).or_default();
        let of_day = caps.counted.entry(day).or_default();
        let users = of_day.entry(id.clone()).or_default();
        for _ in 0..CHUNK {
            users.pop_first();
        }
        let left = users.len() as u64;
        if left == 0 && caps.counting.as_ref().is_some_and(|(run, _)| run == id) {
            caps.counting = None;
        }
        Ok(left)
    }
}

//! A run that stood still is resolved again: what is now known of the user of one of its jobs.

use rusqlite::{OptionalExtension, params};

use super::{
    errors::{StepResult, unreadable},
    ledger::{End, end, withdraw},
    moves::Moves,
    runs::Run,
    schema::{Place, State},
    writer::Step,
};
use crate::{ResolvedUser, store::Resolution};

/// A job as it was resolved before.
struct Known {
    place: Place,
    state: State,
    user: ResolvedUser,
    may_have_applied: bool,
}

impl Known {
    /// The job at a place; `None` where it is in flight, is finished, or was settled before: that stays.
    fn find(step: &Step<'_>, run: &Run, seq: u64) -> StepResult<Option<Self>> {
        let place = Place::of(run.key, seq);
        let found: Option<(String, Option<String>, Option<String>, bool)> = step
            .conn
            .prepare_cached(
                "SELECT state, resolution, resolved, may_have_applied FROM jobs WHERE place = ?1",
            )?
            .query_row([place.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((state, resolution, user, may_have_applied)) = found else {
            return Err(run.refuse("it has no request at a place that was resolved again").into());
        };
        let state = State::read(&state).filter(|state| *state != State::Leased);
        let (Some(state), Some("change"), Some(user)) = (state, resolution.as_deref(), user) else {
            return Ok(None);
        };
        let user = serde_json::from_str(&user).map_err(|e| unreadable("a resolved user", e))?;
        Ok(Some(Self { place, state, user, may_have_applied }))
    }

    /// The user as it is now. What was there before an attempt of ours that may have applied stays: an undo puts that back.
    fn renewed(&self, user: &ResolvedUser) -> ResolvedUser {
        let mut user = user.clone();
        if self.may_have_applied {
            user.before = self.user.before.clone();
        }
        user
    }

    fn write(&self, step: &Step<'_>, user: &ResolvedUser) -> StepResult<()> {
        let text = serde_json::to_string(user).map_err(|e| unreadable("a user to be stored", e))?;
        step.conn
            .prepare_cached(
                "UPDATE jobs SET resolved = ?2, user_key = ?3, resolved_at = ?4 WHERE place = ?1",
            )?
            .execute(params![self.place.0, text, user.key(), step.now.as_millis()])?;
        Ok(())
    }

    /// A user that has got an id since is claimed by it.
    fn claim(&self, step: &Step<'_>, run: &Run, user: &ResolvedUser) -> StepResult<()> {
        if !self.state.is_queued() || user.key() == self.user.key() {
            return Ok(());
        }
        withdraw(step, self.place)?;
        step.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO claims (account, user, admission, place) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![run.account, user.key(), run.admission, self.place.0])?;
        Ok(())
    }
}

/// Records what one job of a run that stood still resolved to.
pub(super) fn resolve(
    step: &Step<'_>,
    moves: &mut Moves,
    run: &Run,
    seq: u64,
    resolution: &Resolution,
) -> StepResult<()> {
    let Some(job) = Known::find(step, run, seq)? else { return Ok(()) };
    match resolution {
        // Refused before any of them was looked at.
        Resolution::Duplicate { .. } => Ok(()),
        Resolution::Change(user) => {
            let user = job.renewed(user);
            job.claim(step, run, &user)?;
            job.write(step, &user)
        }
        Resolution::Settled { outcome, code, message, user } => {
            if job.state.is_queued() {
                withdraw(step, job.place)?;
            }
            if let Some(user) = user {
                job.write(step, &job.renewed(user))?;
            }
            let (code, message) = (code.as_deref(), message.as_deref());
            if job.state.is_queued() {
                step.conn
                    .prepare_cached("UPDATE jobs SET resolution = 'settled' WHERE place = ?1")?
                    .execute([job.place.0])?;
                let with = End { outcome: *outcome, code, message, worker: None };
                return end(step, moves, job.place, job.state, with);
            }
            step.conn
                .prepare_cached(
                    "UPDATE jobs SET resolution = 'settled', outcome = ?2, code = ?3, message = ?4 WHERE place = ?1",
                )?
                .execute(params![job.place.0, outcome.as_str(), code, message])?;
            Ok(())
        }
    }
}

//! Leasing: which jobs come next, and to whom.

use std::collections::VecDeque;

use rusqlite::{Row, params};

use super::{
    due::{alone_waiting, come_due, last_rank, next_due, relied_on},
    errors::{StepResult, unreadable},
    flight,
    ledger::{End, end},
    moves::Moves,
    reclaim::{Whose, reclaim},
    runs::{account_key, in_force, read_id},
    schema::{Place, State},
    share::Share,
    writer::Step,
};
use crate::{
    Action, Outcome, Priority, Request, RunId, Timestamp,
    store::{CHUNK, Lease, LeaseAsk, Leased, LeasedJob, StoreError},
};

/// Jobs that one call may look at without leasing them: superseded ones, ones whose user is in flight, ones of an action
/// that no further lease is left for.
const PASSED_OVER: usize = 500;

/// Runs that one call looks at.
const RUNS: usize = 256;

/// Rows read at a time.
const PAGE: usize = 256;

/// A run that has something to lease.
struct Source {
    key: i64,
    id: RunId,
    admission: u64,
}

/// Carries out one ask.
struct Grant<'a, 'b> {
    step: &'a Step<'b>,
    ask: &'a LeaseAsk,
    account: i64,
    share: Share,
    moves: Moves,
    leases: Vec<Lease>,
    passed_over: usize,
}

pub(super) fn lease(step: &mut Step<'_>, ask: &LeaseAsk) -> StepResult<Leased> {
    let Some(account) = account_key(step.conn, &ask.account)? else { return Ok(Leased::default()) };
    let mut moves = Moves::default();
    reclaim(step, &mut moves, Whose::Lapsed(account), CHUNK)?;
    let (hold, share, protections): (Option<String>, Share, u64) = step
        .conn
        .prepare_cached(
            "SELECT hold, urgent_in_a_row, last_of_others, protections FROM accounts WHERE key = ?1",
        )?
        .query_row([account], |row| Ok((row.get(0)?, Share::read(row, 1)?, row.get(3)?)))?;
    if let Some(hold) = in_force(hold.as_deref(), step.now)? {
        moves.settle(step)?;
        return Ok(Leased { hold: Some(hold), protections, ..Leased::default() });
    }
    come_due(step, &mut moves, account)?;
    // The counters of the runs say where there is something to lease.
    moves.settle(step)?;

    let (moves, leases) = (Moves::default(), Vec::new());
    let mut grant = Grant { step, ask, account, share, moves, leases, passed_over: 0 };
    let more = grant.fill()?;
    let Grant { moves, leases, share: after, .. } = grant;
    moves.settle(step)?;
    if after != share {
        after.write(step, account)?;
    }

    let next_due = match (leases.is_empty(), more) {
        (false, _) => None,
        (true, true) => Some(step.now),
        (true, false) => next_due(step, account, ask)?,
    };
    Ok(Leased {
        protections,
        leases,
        next_due,
        alone_waiting: alone_waiting(step, account, ask)?,
        hold: None,
    })
}

/// The runs of one priority that have something to lease, in the order in which they are worked.
#[derive(Default)]
struct Class {
    ready: VecDeque<Source>,
    alone: VecDeque<Source>,
    /// There may be more runs than were read.
    more: bool,
}

impl Class {
    fn waits(&self) -> bool {
        !self.ready.is_empty() || !self.alone.is_empty()
    }
}

impl Grant<'_, '_> {
    /// Grants what there is; returns whether there may be more than was looked at.
    fn fill(&mut self) -> StepResult<bool> {
        if self.ask.leases == 0 || self.ask.batch == 0 {
            return Ok(false);
        }
        let alone = self.ask.idle && alone_waiting(self.step, self.account, self.ask)? > 0;
        let mut classes = [Class::default(), Class::default(), Class::default()];
        for (class, rank) in classes.iter_mut().zip(0..=last_rank(self.ask)) {
            *class = self.class(rank, alone)?;
        }
        while self.leases.len() < self.ask.leases && self.passed_over < PASSED_OVER {
            let [urgent, normal, bulk] = classes.each_ref().map(Class::waits);
            let Some(turn) = self.share.next(urgent, normal, bulk) else {
                return Ok(classes.iter().any(|class| class.more));
            };
            let [urgent, normal, bulk] = &mut classes;
            let class = match turn.priority {
                Priority::Urgent => urgent,
                Priority::Normal => normal,
                Priority::Bulk => bulk,
            };
            let before = self.leases.len();
            while let Some(source) = class.alone.pop_front() {
                if self.from(&source, turn.priority, State::Alone, 1)? {
                    self.share.granted(&turn, 1);
                    return Ok(true);
                }
            }
            let room = turn.leases.min(self.ask.leases - before);
            self.drain(class, turn.priority, room)?;
            self.share.granted(&turn, self.leases.len() - before);
            if !self.leases.is_empty() {
                classes.iter_mut().for_each(|class| class.alone.clear());
            }
        }
        Ok(true)
    }

    /// Grants so many leases of a class, or what there is.
    fn drain(&mut self, class: &mut Class, priority: Priority, room: usize) -> StepResult<()> {
        let until = self.leases.len() + room;
        while let Some(source) = class.ready.front() {
            self.from(source, priority, State::Ready, until - self.leases.len())?;
            if self.leases.len() >= until || self.passed_over >= PASSED_OVER {
                return Ok(());
            }
            class.ready.pop_front();
        }
        Ok(())
    }

    fn class(&self, rank: u8, alone: bool) -> StepResult<Class> {
        let ready = self.sources(rank, State::Ready)?;
        let alone = if alone { self.sources(rank, State::Alone)? } else { VecDeque::new() };
        let more = ready.len() == RUNS;
        Ok(Class { ready, alone, more })
    }

    /// Runs with jobs in this state, in the order in which they are worked.
    fn sources(&self, rank: u8, state: State) -> StepResult<VecDeque<Source>> {
        let sql = format!(
            "SELECT key, id, admission FROM runs
             WHERE account = ?1 AND phase = 'admitted' AND rank = ?2 AND paused = 0 AND cancelled = 0 AND {} > 0
                 AND (?3 IS NULL OR id = ?3) AND fresh_at >= ?5
             ORDER BY admission LIMIT ?4",
            state.as_str()
        );
        let only_run = self.ask.only_run.as_ref().map(RunId::as_str);
        self.step
            .conn
            .prepare_cached(&sql)?
            .query_and_then(params![self.account, rank, only_run, RUNS, relied_on(self.step)], |row| {
                let id = read_id(&row.get::<_, String>(1)?)?;
                Ok(Source { key: row.get(0)?, id, admission: row.get(2)? })
            })?
            .collect()
    }

    /// Grants jobs of one run, in file order, in so many leases at most. Returns whether there were any.
    fn from(&mut self, source: &Source, priority: Priority, state: State, room: usize) -> StepResult<bool> {
        // A job that must run alone shares nothing.
        let batch = if state == State::Alone { 1 } else { self.ask.batch };
        let mut open: Vec<(Action, Vec<LeasedJob>)> = Vec::new();
        let mut after = Place::of(source.key, 0).0 - 1;
        'run: loop {
            let page = self.page(source.key, state, after, room)?;
            let Some(last) = page.last() else { break };
            after = last.0.0;
            for (place, user, job) in page {
                let full = open.len() >= room && open.iter().all(|(_, jobs)| jobs.len() >= batch);
                if full || self.passed_over >= PASSED_OVER {
                    break 'run;
                }
                let fits = open.iter().position(|(of, jobs)| *of == job.request.action && jobs.len() < batch);
                if fits.is_none() && open.len() >= room {
                    self.passed_over += 1;
                } else if self.take(source, state, place, &user)? {
                    match fits.and_then(|at| open.get_mut(at)) {
                        Some((_, jobs)) => jobs.push(job),
                        None => open.push((job.request.action, vec![job])),
                    }
                }
            }
        }
        let any = !open.is_empty();
        for (action, jobs) in open {
            let lease = self.grant(source, priority, action, jobs)?;
            self.leases.push(lease);
        }
        Ok(any)
    }

    /// Takes the job, or finishes it as superseded, or lets it wait. Returns whether it was taken.
    fn take(&mut self, source: &Source, state: State, place: Place, user: &str) -> StepResult<bool> {
        if let Some(newer) = flight::decided_by(self.step, self.account, user, source.admission)? {
            self.passed_over += 1;
            let superseded = End {
                outcome: Outcome::Superseded,
                code: Some(newer.as_str()),
                message: Some("a newer run decides about this user"),
                worker: None,
            };
            end(self.step, &mut self.moves, place, state, superseded)?;
            return Ok(false);
        }
        if !flight::take(self.step, self.account, user, place)? {
            self.passed_over += 1;
            flight::block(self.step, &mut self.moves, self.account, user, place, state)?;
            return Ok(false);
        }
        self.step
            .conn
            .prepare_cached("UPDATE jobs SET state = 'leased' WHERE place = ?1")?
            .execute([place.0])?;
        self.moves.leased(source.key, state, self.step.now);
        Ok(true)
    }

    fn grant(
        &self,
        source: &Source,
        priority: Priority,
        action: Action,
        jobs: Vec<LeasedJob>,
    ) -> StepResult<Lease> {
        let seqs: Vec<u64> = jobs.iter().map(|job| job.seq).collect();
        let seqs = serde_json::to_string(&seqs).map_err(|e| unreadable("a lease to be stored", e))?;
        let now = self.step.now;
        let token: u64 = self
            .step
            .conn
            .prepare_cached(
                "INSERT INTO leases (account, run, worker, granted_at, until, seqs)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .insert(params![
                self.account,
                source.key,
                self.ask.worker.as_str(),
                now.as_millis(),
                now.after(self.ask.ttl).as_millis(),
                seqs
            ])?
            .unsigned_abs();
        Ok(Lease {
            token,
            account: self.ask.account.clone(),
            worker: self.ask.worker.clone(),
            run: source.id.clone(),
            priority,
            action,
            granted_at: now,
            ttl: self.ask.ttl,
            jobs: jobs.into(),
        })
    }

    fn page(
        &self,
        run: i64,
        state: State,
        after: i64,
        room: usize,
    ) -> StepResult<Vec<(Place, String, LeasedJob)>> {
        let word = state.as_str();
        let sql = format!(
            "SELECT place, line, user, action, reason, restore, resolved, resolved_at, spent, may_have_applied, deaths,
                 first_attempt_at, user_key
             FROM jobs INDEXED BY jobs_{word} WHERE run = ?1 AND state = '{word}' AND place > ?2
             ORDER BY place LIMIT ?3"
        );
        let wanted = room.saturating_mul(self.ask.batch).clamp(1, PAGE);
        self.step.conn.prepare_cached(&sql)?.query_and_then(params![run, after, wanted], read_job)?.collect()
    }
}

fn read_job(row: &Row<'_>) -> StepResult<(Place, String, LeasedJob)> {
    let place = Place(row.get(0)?);
    let resolved: String = row.get(6)?;
    let job = LeasedJob {
        seq: place.seq(),
        request: read_request(row, 1)?,
        user: serde_json::from_str(&resolved).map_err(|e| unreadable("a resolved user", e))?,
        resolved_at: Timestamp::from_millis(row.get(7)?),
        attempt: row.get::<_, u32>(8)?.saturating_add(1),
        may_have_applied: row.get(9)?,
        deaths: row.get(10)?,
        first_attempt_at: row.get::<_, Option<i64>>(11)?.map(Timestamp::from_millis),
    };
    Ok((place, row.get(12)?, job))
}

/// Reads line, user, action, reason and what is to be restored from five columns.
pub(super) fn read_request(row: &Row<'_>, first: usize) -> StepResult<Request> {
    let (user, action): (String, String) = (row.get(first + 1)?, row.get(first + 2)?);
    let restore: Option<String> = row.get(first + 4)?;
    let restore = restore.as_deref().map(serde_json::from_str).transpose();
    Ok(Request {
        restore: restore.map_err(|problem| unreadable("what a request restores", problem))?,
        line: row.get(first)?,
        user: user.parse().map_err(|problem| unreadable("the user of a request", problem))?,
        action: action.parse().map_err(|problem| unreadable("the action of a request", problem))?,
        reason: row.get(first + 3)?,
    })
}

/// Refuses a write with a lease that has ended.
pub(super) fn lapsed(lease: &Lease) -> StoreError {
    let seqs: Vec<String> = lease.jobs.iter().take(3).map(|job| job.seq.to_string()).collect();
    let more = if lease.jobs.len() > 3 { ", ..." } else { "" };
    StoreError::LeaseLapsed(format!("job {}/{}{more}", lease.run, seqs.join(", ")))
}

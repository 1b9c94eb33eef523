//! Leases: who is given which job, and how a lease ends.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    State,
    jobs::{Job, Place, Run},
};
use crate::{
    AccountName, Attempt, Ending, JobReport, Outcome, Priority, ResolvedUser, RunId, Then, Timestamp,
    Verdict, WorkerId,
    store::{Lease, LeaseAsk, Leased, LeasedJob, StoreError},
};

/// How long a job waits for a user in flight.
const WAIT_FOR_USER: Duration = Duration::from_millis(200);

/// A lease as the store keeps it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    account: AccountName,
    run: RunId,
    worker: WorkerId,
    seqs: Vec<u64>,
    granted_at: Timestamp,
    until: Timestamp,
}

/// The runs of one priority that have something to lease, as far as is known: one is found to have nothing more when it
/// is looked at.
#[derive(Default)]
struct Class {
    ready: VecDeque<RunId>,
    alone: VecDeque<RunId>,
}

impl State {
    /// Takes back what has lapsed, each job's attempt recorded as lost.
    pub(super) fn reclaim(&mut self, lapsed: impl Fn(&AccountName, Timestamp) -> bool, now: Timestamp) {
        let tokens: Vec<u64> = self
            .leases
            .iter()
            .filter(|(_, held)| lapsed(&held.account, held.until))
            .map(|(token, _)| *token)
            .collect();
        for token in tokens {
            let Some(held) = self.leases.remove(&token) else { continue };
            let Some(run) = self.runs.get_mut(&held.run) else { continue };
            let ending = run.ending();
            for seq in &held.seqs {
                let Some(job) = run.jobs.get_mut(seq) else { continue };
                let lost = Attempt {
                    began_at: held.granted_at,
                    ended_at: held.until.min(now),
                    calls: 0,
                    http: None,
                    verdict: Verdict::Lost,
                    code: None,
                    worker: held.worker.clone(),
                };
                job.list(lost, true);
                go_back(job, *seq, ending.as_ref(), now);
            }
            run.end_if_done(now);
            self.free(&held, now);
        }
    }

    /// Calls back the jobs that waited for the users of a lease that has ended.
    fn free(&mut self, ended: &Held, now: Timestamp) {
        let jobs = &self.runs[&ended.run].jobs;
        let users: Vec<String> =
            ended.seqs.iter().filter_map(|seq| jobs[seq].user()).map(ResolvedUser::key).collect();
        let all = self.runs.values_mut().filter(|run| run.run.account == ended.account);
        for job in all.flat_map(|run| run.jobs.values_mut()).filter(|_| self.calls_back) {
            let waits = matches!(job.place, Place::Queued { for_user: true, .. });
            if waits && users.iter().any(|user| job.is_on(user)) {
                job.queue(now);
            }
        }
    }

    pub(super) fn lease(&mut self, ask: &LeaseAsk, now: Timestamp) -> Leased {
        self.reclaim(|account, until| *account == ask.account && until <= now, now);
        let protections = self.protections.get(&ask.account).map_or(0, |list| list.version);
        if let Some(hold) = self.hold_of(&ask.account, now) {
            return Leased { hold: Some(hold), protections, ..Leased::default() };
        }
        let leases = self.fill(ask, now);
        let open_to_it =
            self.runs.values().filter(|run| may_give(run, ask, now)).flat_map(|run| run.jobs.values());
        let alone_waiting = open_to_it.clone().filter(|job| job.is_due(now) && job.runs_alone()).count();
        let next = open_to_it
            .filter_map(|job| match job.place {
                Place::Queued { due, .. } if due > now => Some(due),
                _ => None,
            })
            .min();
        let next_due = next.filter(|_| leases.is_empty());
        Leased { protections, leases, next_due, alone_waiting: alone_waiting as u64, hold: None }
    }

    /// Grants what was asked for, or what there is.
    fn fill(&mut self, ask: &LeaseAsk, now: Timestamp) -> Vec<Lease> {
        let mut leases = Vec::new();
        let mut classes = self.classes(ask, now);
        while leases.len() < ask.leases && ask.batch > 0 {
            let waits = |priority| {
                let class: Option<&Class> = classes.get(&priority);
                class.is_some_and(|class| !class.ready.is_empty() || !class.alone.is_empty())
            };
            let turns = self.turns.entry(ask.account.clone()).or_default();
            let Some(turn) = turns.next(Priority::ALL.map(waits)) else { break };
            let class = classes.entry(turn.priority).or_default();
            while let Some(run) = class.alone.pop_front() {
                if let Some(alone) = self.grant(ask, &run, true, now) {
                    self.turns.entry(ask.account.clone()).or_default().granted(turn, 1);
                    return vec![alone];
                }
            }
            let before = leases.len();
            let most = ask.leases.min(before.saturating_add(turn.leases));
            while leases.len() < most
                && let Some(run) = class.ready.front()
            {
                match self.grant(ask, run, false, now) {
                    Some(lease) => leases.push(lease),
                    None => drop(class.ready.pop_front()),
                }
            }
            let granted = leases.len() - before;
            self.turns.entry(ask.account.clone()).or_default().granted(turn, granted);
            if !leases.is_empty() {
                // What runs alone is given to nobody who has something else.
                classes.values_mut().for_each(|class| class.alone.clear());
            }
        }
        leases
    }

    /// The runs that the ask may be given jobs of, each priority's in the order in which they are worked.
    fn classes(&self, ask: &LeaseAsk, now: Timestamp) -> BTreeMap<Priority, Class> {
        let mut runs: Vec<&Run> = self.runs.values().filter(|run| may_give(run, ask, now)).collect();
        runs.sort_by_key(|run| run.number);
        let mut classes = BTreeMap::<Priority, Class>::new();
        for run in runs {
            let class = classes.entry(run.run.priority).or_default();
            let has = |alone| run.jobs.values().any(|job| job.is_due(now) && job.runs_alone() == alone);
            if has(false) {
                class.ready.push_back(run.run.id.clone());
            }
            if ask.idle && has(true) {
                class.alone.push_back(run.run.id.clone());
            }
        }
        classes
    }

    /// Grants one lease of jobs of this run, in file order and of one action, where there is any. On the way, jobs that a
    /// newer run decides about end, and those whose user is in flight are put to wait.
    fn grant(&mut self, ask: &LeaseAsk, id: &RunId, alone: bool, now: Timestamp) -> Option<Lease> {
        let run = self.runs.get(id)?;
        let due = run.jobs.iter().filter(|(_, job)| job.is_due(now) && job.runs_alone() == alone);
        let candidates: Vec<u64> = due.map(|(seq, _)| *seq).collect();
        let batch = if alone { 1 } else { ask.batch };
        let mut taken: Vec<u64> = Vec::new();
        let mut action = None;
        for seq in candidates {
            if taken.len() == batch {
                break;
            }
            let job = self.runs.get(id)?.jobs.get(&seq)?;
            if action.is_some_and(|action| action != job.request.action) {
                continue;
            }
            let (key, wanted) = (job.user()?.key(), job.request.action);
            let newer = self.decided_by(id, &key);
            let is_busy = self.is_in_flight(&ask.account, &key)
                || taken.iter().any(|other| self.runs[id].jobs[other].is_on(&key));
            let job = self.runs.get_mut(id)?.jobs.get_mut(&seq)?;
            if let Some(newer) = newer {
                let message = "a newer run decides about this user".to_owned();
                job.end(seq, Outcome::Superseded, Some(newer.to_string()), Some(message), None);
            } else if is_busy {
                job.place = Place::Queued { due: now.after(WAIT_FOR_USER), for_user: true };
            } else {
                taken.push(seq);
                action = Some(wanted);
            }
        }
        let run = self.runs.get_mut(id)?;
        let mut jobs = Vec::new();
        for seq in &taken {
            let job = run.jobs.get_mut(seq)?;
            job.place = Place::Leased;
            jobs.push(LeasedJob {
                seq: *seq,
                request: job.request.clone(),
                user: job.user()?.clone(),
                resolved_at: job.resolved_at,
                attempt: job.spent + 1,
                may_have_applied: job.may_have_applied,
                deaths: job.deaths,
                first_attempt_at: job.attempts.first().map(|attempt| attempt.began_at),
            });
        }
        run.end_if_done(now);
        let (action, priority) = (action?, run.run.priority);
        run.fresh_at = Some(now);
        self.tokens += 1;
        let held = Held {
            account: ask.account.clone(),
            run: id.clone(),
            worker: ask.worker.clone(),
            seqs: taken,
            granted_at: now,
            until: now.after(ask.ttl),
        };
        self.leases.insert(self.tokens, held);
        Some(Lease {
            token: self.tokens,
            account: ask.account.clone(),
            worker: ask.worker.clone(),
            run: id.clone(),
            priority,
            action,
            granted_at: now,
            ttl: ask.ttl,
            jobs: Arc::from(jobs),
        })
    }

    /// The newest of the runs that are newer than this one and decide about the user.
    fn decided_by(&self, id: &RunId, key: &str) -> Option<RunId> {
        let own = &self.runs[id];
        let newer = self.runs.values().filter(|run| {
            run.run.account == own.run.account && run.number > own.number && run.decides_about(key)
        });
        let newest = newer.map(|run| (run.number, &run.run.id)).max();
        let pruned = self.pruned.iter().filter(|pruned| pruned.decides_over(own, key));
        let newest_pruned = pruned.map(|pruned| (pruned.number, &pruned.run)).max();
        newest.max(newest_pruned).map(|(_, run)| run.clone())
    }

    fn is_in_flight(&self, account: &AccountName, key: &str) -> bool {
        self.leases.values().filter(|held| held.account == *account).any(|held| {
            let run = &self.runs[&held.run];
            held.seqs.iter().any(|seq| run.jobs[seq].is_on(key))
        })
    }

    /// The lease as it is kept, if it is in force.
    fn held(&mut self, lease: &Lease, now: Timestamp) -> Result<&mut Held, StoreError> {
        let held = self.leases.get_mut(&lease.token);
        held.filter(|held| held.until > now).ok_or_else(|| lapsed(lease))
    }

    pub(super) fn renew(
        &mut self,
        lease: &mut Lease,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let held = self.held(lease, now)?;
        held.until = now.after(ttl);
        lease.ttl = held.until.since(lease.granted_at);
        Ok(())
    }

    pub(super) fn finish(
        &mut self,
        lease: &Lease,
        reports: &[JobReport],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let held = self.held(lease, now)?.clone();
        for (i, report) in reports.iter().enumerate() {
            let twice = reports[..i].iter().any(|earlier| earlier.seq == report.seq);
            if twice || !held.seqs.contains(&report.seq) {
                return Err(lapsed(lease));
            }
        }
        self.leases.remove(&lease.token);
        let run = self.visible(&lease.run)?;
        let ending = run.ending();
        for seq in held.seqs.iter().copied() {
            let Some(job) = run.jobs.get_mut(&seq) else { continue };
            let Some(report) = reports.iter().find(|report| report.seq == seq) else {
                go_back(job, seq, ending.as_ref(), now);
                continue;
            };
            run.throttled += u64::from(report.throttled);
            let waits = matches!(report.then, Then::Snooze { .. });
            match &report.attempt {
                Some(attempt) => job.list(attempt.clone(), !waits),
                None => job.spent += u32::from(matches!(report.then, Then::Retry { .. })),
            }
            match &report.then {
                Then::Finish { outcome, code, message } => {
                    job.end(seq, *outcome, code.clone(), message.clone(), Some(lease.worker.clone()));
                }
                Then::Retry { at } => {
                    run.retries += u64::from(!run.cancelled);
                    go_back(job, seq, ending.as_ref(), *at);
                }
                Then::Snooze { until, .. } => go_back(job, seq, ending.as_ref(), *until),
            }
        }
        run.end_if_done(now);
        self.free(&held, now);
        Ok(())
    }
}

/// Whether the ask may be given jobs of this run.
fn may_give(run: &Run, ask: &LeaseAsk, now: Timestamp) -> bool {
    run.run.account == ask.account
        && run.is_workable(now)
        && ask.only_run.as_ref().is_none_or(|only| *only == run.run.id)
        && (!ask.urgent_only || run.run.priority == Priority::Urgent)
}

/// Puts a job that was leased back into the queue, or ends it with its run.
fn go_back(job: &mut Job, seq: u64, ending: Option<&Ending>, due: Timestamp) {
    match ending {
        Some(ending) => job.end_with(seq, ending),
        None => job.queue(due),
    }
}

fn lapsed(lease: &Lease) -> StoreError {
    let seqs: Vec<String> = lease.jobs.iter().map(|job| job.seq.to_string()).collect();
    StoreError::LeaseLapsed(format!("job {}/{}", lease.run, seqs.join(", ")))
}

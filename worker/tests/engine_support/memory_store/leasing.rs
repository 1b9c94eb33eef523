//! Leases: who is given which job, how a lease ends, and whose turn it is.

use std::collections::{BTreeMap, HashSet, VecDeque};

use usher_shared::{store::*, *};

use super::{State, jobs::Place};

/// A lease as the store keeps it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) run: RunId,
    seqs: Vec<u64>,
    worker: WorkerId,
    granted_at: Timestamp,
    pub(super) lapses: Timestamp,
}

/// How far an account is in its round of urgent leases and others.
#[derive(Debug, Default)]
pub(super) struct Share {
    urgent_in_a_row: u64,
    normal_was_last: bool,
}

impl Share {
    /// The priority whose turn it is, of those that have jobs waiting.
    fn next(&mut self, waiting: &[Priority]) -> Option<Priority> {
        let first = *waiting.first()?;
        if first != Priority::Urgent {
            self.urgent_in_a_row = 0;
            return Some(first);
        }
        match waiting[1..] {
            [] => Some(first),
            _ if self.urgent_in_a_row < SHARE_OF_OTHERS - 1 => {
                self.urgent_in_a_row += 1;
                Some(first)
            }
            [other] => {
                self.urgent_in_a_row = 0;
                Some(other)
            }
            [..] => {
                self.urgent_in_a_row = 0;
                self.normal_was_last = !self.normal_was_last;
                Some(if self.normal_was_last { Priority::Normal } else { Priority::Bulk })
            }
        }
    }
}

fn lapsed(token: u64) -> StoreError {
    StoreError::LeaseLapsed(token.to_string())
}

impl State {
    pub(super) fn reclaim(&mut self, now: Timestamp) {
        let lapsed: Vec<u64> =
            self.leases.iter().filter(|(_, held)| held.lapses <= now).map(|(token, _)| *token).collect();
        for token in lapsed {
            let held = self.leases.remove(&token).unwrap();
            let run = self.runs.get_mut(&held.run).unwrap();
            for seq in held.seqs {
                let job = run.jobs.get_mut(&seq).unwrap();
                job.place = Place::Queued { due: now };
                (job.deaths, job.spent, job.may_have_applied) = (job.deaths + 1, job.spent + 1, true);
                job.attempts.push(Attempt {
                    began_at: held.granted_at,
                    ended_at: held.lapses,
                    calls: 0,
                    http: None,
                    verdict: Verdict::Lost,
                    code: None,
                    worker: held.worker.clone(),
                });
            }
        }
    }

    /// Users of an account that a lease is about.
    fn busy(&self, account: &AccountName) -> HashSet<String> {
        let held = self.leases.values().map(|held| (held, &self.runs[&held.run]));
        held.filter(|(_, run)| run.status.run.account == *account)
            .flat_map(|(held, run)| held.seqs.iter().filter_map(|seq| run.user(*seq)).map(ResolvedUser::key))
            .collect()
    }

    /// Jobs that are due, by priority and in the order in which they are worked.
    fn due(
        &self,
        ask: &LeaseAsk,
        now: Timestamp,
        leased: &mut Leased,
    ) -> BTreeMap<Priority, VecDeque<(RunId, u64)>> {
        let mut order: Vec<_> = self
            .runs
            .values()
            .filter(|run| run.status.run.account == ask.account && run.status.phase == RunPhase::Admitted)
            .filter(|run| !run.status.paused && !run.status.cancelled)
            .filter(|run| ask.only_run.as_ref().is_none_or(|only| *only == run.status.run.id))
            .filter(|run| !ask.urgent_only || run.status.run.priority == Priority::Urgent)
            .collect();
        order.sort_by_key(|run| (run.status.run.priority, run.status.admission));
        let mut due_now = BTreeMap::<_, VecDeque<_>>::new();
        for run in order {
            for (seq, job) in &run.jobs {
                let Place::Queued { due } = job.place else { continue };
                if due > now {
                    leased.next_due = Some(leased.next_due.map_or(due, |next| next.min(due)));
                    continue;
                }
                if job.deaths >= 2 {
                    leased.alone_waiting += 1;
                }
                due_now
                    .entry(run.status.run.priority)
                    .or_default()
                    .push_back((run.status.run.id.clone(), *seq));
            }
        }
        due_now
    }

    pub(super) fn lease(&mut self, ask: &LeaseAsk, now: Timestamp) -> Leased {
        self.reclaim(now);
        if let Some(hold) = self.hold_of(&ask.account, now) {
            return Leased { hold: Some(hold), ..Leased::default() };
        }
        let mut leased = Leased::default();
        let mut busy = self.busy(&ask.account);
        let mut due = self.due(ask, now, &mut leased);
        while leased.leases.len() < ask.leases {
            // What may not be leased just now takes no turn.
            let may_start = |(run, seq): &(RunId, u64)| {
                let run = &self.runs[run];
                let alone = run.jobs[seq].deaths >= 2;
                !busy.contains(&run.user(*seq).unwrap().key())
                    && (!alone || (ask.idle && leased.leases.is_empty()))
            };
            for jobs in due.values_mut() {
                while jobs.front().is_some_and(|job| !may_start(job)) {
                    jobs.pop_front();
                }
            }
            due.retain(|_, jobs| !jobs.is_empty());
            let waiting: Vec<Priority> = due.keys().copied().collect();
            let Some(turn) = self.shares.entry(ask.account.clone()).or_default().next(&waiting) else {
                break;
            };
            let (run, seq) = due.get_mut(&turn).and_then(|jobs| jobs.pop_front()).unwrap();
            let lease = self.grant(ask, now, &run, seq);
            busy.insert(lease.jobs[0].user.key());
            let alone = lease.jobs[0].deaths >= 2;
            leased.leases.push(lease);
            if alone {
                break;
            }
        }
        leased
    }

    fn grant(&mut self, ask: &LeaseAsk, now: Timestamp, id: &RunId, seq: u64) -> Lease {
        self.tokens += 1;
        let token = self.tokens;
        let run = self.runs.get_mut(id).unwrap();
        let user = run.user(seq).cloned().unwrap();
        let job = run.jobs.get_mut(&seq).unwrap();
        job.place = Place::Leased { token };
        let held = Held {
            run: id.clone(),
            seqs: vec![seq],
            worker: ask.worker.clone(),
            granted_at: now,
            lapses: now.after(ask.ttl),
        };
        self.leases.insert(token, held);
        Lease {
            token,
            account: ask.account.clone(),
            worker: ask.worker.clone(),
            run: id.clone(),
            priority: run.status.run.priority,
            action: job.request.action,
            granted_at: now,
            ttl: ask.ttl,
            jobs: vec![LeasedJob {
                seq,
                request: job.request.clone(),
                user,
                resolved_at: now,
                attempt: job.spent + 1,
                may_have_applied: job.may_have_applied,
                deaths: job.deaths,
                first_attempt_at: job.attempts.first().map(|attempt| attempt.began_at),
            }],
        }
    }

    pub(super) fn renew(&mut self, token: u64, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.reclaim(now);
        self.leases.get_mut(&token).ok_or_else(|| lapsed(token))?.lapses = until;
        Ok(())
    }

    pub(super) fn finish(
        &mut self,
        lease: &Lease,
        reports: &[JobReport],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.reclaim(now);
        let held = self.leases.remove(&lease.token).ok_or_else(|| lapsed(lease.token))?;
        self.reports.extend(reports.iter().cloned());
        let run = self.runs.get_mut(&held.run).unwrap();
        for seq in held.seqs {
            let Place::Leased { token } = run.jobs[&seq].place else { panic!("{seq} was not leased") };
            assert_eq!(token, lease.token);
            let job = run.jobs.get_mut(&seq).unwrap();
            job.place = Place::Queued { due: now };
            let Some(report) = reports.iter().find(|report| report.seq == seq) else { continue };
            let effort = &mut run.status.effort;
            effort.throttled += u64::from(report.throttled);
            if let Some(attempt) = &report.attempt {
                effort.attempts += 1;
                effort.calls += u64::from(attempt.calls);
                job.may_have_applied |= attempt.verdict == Verdict::Transient && attempt.http.is_none();
                job.attempts.push(attempt.clone());
            }
            match &report.then {
                Then::Finish { outcome, code, message } => {
                    job.spent += u32::from(report.attempt.is_some());
                    run.end(seq, *outcome, code.clone(), message.clone(), Some(lease.worker.clone()));
                }
                Then::Retry { at } => {
                    effort.retries += 1;
                    job.spent += 1;
                    job.place = Place::Queued { due: *at };
                }
                Then::Snooze { until, .. } => job.place = Place::Queued { due: *until },
            }
        }
        if run.done == run.jobs.len() {
            run.status.phase = run.status(None).phase;
        }
        Ok(())
    }
}

//! What people and workers do with runs beside working them: guard, end, try again, forget, tell.

use usher_shared::{
    Approval, Clock, Confirmation, Ending, Go, Held, HeldReason, Note, PlanNote, Protection, RunId, RunPhase,
    RunStatus,
    audit::{AuditEvent, AuditKind},
    config::ProtectedPattern,
    plan::PlanHash,
    store::Resolution,
};

use super::{
    calls::Call,
    ops::{Found, Op},
    player::{Player, World, account, tenths, worker},
};

/// The first of the days on which users are counted.
const DAY: i64 = 20_777;

fn hash() -> PlanHash {
    "a".repeat(64).parse().unwrap()
}

/// Whether it is resolved and can go on.
fn waits(status: &RunStatus) -> bool {
    status.phase == RunPhase::Resolved && !status.paused && !status.cancelled
}

/// Whether it is over, and something of it can be tried again.
fn failed(status: &RunStatus) -> bool {
    let mut outcomes = status.counters.outcomes.iter();
    status.phase.is_over() && outcomes.any(|(outcome, count)| *count > 0 && !outcome.is_as_wished())
}

impl<W: World> Player<'_, W> {
    /// The calls that such an operation comes to.
    pub(super) async fn operating(&mut self, op: Op) -> Vec<Call> {
        let now = self.clock.now();
        let call = match op {
            Op::End { run, limit, late } => {
                let ending = if late { Ending::deadline() } else { Ending::over_cap("too many".into()) };
                self.id(run).map(|run| Call::End(run, ending, limit.into()))
            }
            Op::Note { run, held } => {
                let reason = HeldReason::OverDayCap;
                let held = held.then(|| Held { reason, message: "wait".into(), since: now });
                let plan = PlanNote { hash: hash(), at: now, change: 1, active_users: None };
                let note = if run % 2 == 0 { Note::Held(held) } else { Note::Plan(plan) };
                self.id(run).map(|run| Call::Note(run, note))
            }
            Op::Confirm { run, apply, again } => {
                self.one(run, waits).await.map(|run| Call::Confirm(run, self.word(apply, again)))
            }
            Op::GoOn { run, apply, found } => return self.go_on(run, apply, &found).await,
            Op::Reserve { run, day, users, cap } => self.one(run, waits).await.map(|run| {
                let users = users.iter().map(|user| format!("ID{user}")).collect();
                Call::Reserve(run, DAY + i64::from(day), users, cap.into())
            }),
            Op::Unreserve { run, day } => {
                self.one(run, waits).await.map(|run| Call::Unreserve(run, DAY + i64::from(day)))
            }
            Op::Reopen { run, from, count } => {
                let seqs = (u64::from(from)..).take(count.into()).collect();
                self.id(run).map(|run| Call::Reopen(run, seqs))
            }
            Op::Retry { run, found } => return self.retry(run, &found).await,
            Op::Prune { tenths: ago } => {
                let ago = i64::try_from(tenths(ago).as_millis()).unwrap();
                Some(Call::Prune(usher_shared::Timestamp::from_millis(now.as_millis() - ago)))
            }
            Op::Protect { branch, user } => {
                let pattern = ProtectedPattern::new(&format!("ID{user}")).unwrap();
                let entry = Protection { pattern, reason: None, by: "test".into(), at: now };
                Some(Call::Protect(account(branch), entry))
            }
            Op::Unprotect { branch, user } => Some(Call::Unprotect(account(branch), format!("ID{user}"))),
            Op::Tell { run } => Some(Call::Tell(AuditEvent {
                what: AuditKind::Paused,
                by: "test".into(),
                from: None,
                account: Some(account(false)),
                run: self.id(run),
                plan: None,
                detail: None,
            })),
            Op::SealAudit { count, wrong } => {
                let head = self.model.handles[0].audit_head().await.unwrap();
                let first = head.as_ref().map_or(1, |head| head.number + 1);
                let seals = (first..).take(count.into()).map(|number| format!("{number:064x}")).collect();
                Some(Call::SealAudit(head.filter(|_| !wrong), seals))
            }
            _ => None,
        };
        call.into_iter().collect()
    }

    /// What a person says; the same every time, or of now.
    fn word(&self, apply: bool, again: bool) -> Confirmation {
        let at = if again { super::BEGIN } else { self.clock.now() };
        if apply {
            Confirmation::Apply(Go { by: "alice".into(), at, plan: hash() })
        } else {
            Confirmation::Approve(Approval { by: "bob".into(), at, plan: hash(), signature: "s".into() })
        }
    }

    /// One of the runs of which that is true; any run where there is none.
    async fn one(&self, number: u8, fits: impl Fn(&RunStatus) -> bool) -> Option<RunId> {
        let all = self.model.handles[0].runs(None, 1_000).await.unwrap();
        let fitting: Vec<RunId> =
            all.into_iter().filter(|status| fits(status)).map(|status| status.run.id).collect();
        if fitting.is_empty() {
            return self.id(number);
        }
        Some(fitting[usize::from(number) % fitting.len()].clone())
    }

    async fn status(&self, run: &RunId) -> Option<RunStatus> {
        self.model.handles[0].run(run).await.unwrap()
    }

    /// A resolved run is confirmed, resolved again and admitted.
    async fn go_on(&self, run: u8, apply: bool, found: &[Found]) -> Vec<Call> {
        let Some(id) = self.one(run, waits).await else { return Vec::new() };
        let Some(status) = self.status(&id).await.filter(waits) else { return Vec::new() };
        let remaining = self.model.handles[0].remaining(&id, 0, 500).await.unwrap();
        let found = found.iter().copied().chain(std::iter::repeat(Found::User));
        let mut resolutions = self.resolutions(&id, remaining.iter().map(|job| job.seq).zip(found));
        // Its users are known apart.
        resolutions.retain(|(_, resolution)| !matches!(resolution, Resolution::Duplicate { .. }));
        let mut calls = vec![Call::Confirm(id.clone(), self.word(apply && status.run.terms.plan, false))];
        calls.extend(self.through_admission(&id, resolutions));
        calls
    }

    /// A run that is over is opened again where there is something to be tried again, and goes on.
    async fn retry(&self, run: u8, found: &[Found]) -> Vec<Call> {
        let Some(id) = self.one(run, failed).await else { return Vec::new() };
        if !self.status(&id).await.is_some_and(|status| failed(&status)) {
            return Vec::new();
        }
        let seqs: Vec<u64> = self.draft(&id).requests.keys().copied().collect();
        let found = found.iter().copied().chain(std::iter::repeat(Found::User));
        let resolutions = self.resolutions(&id, seqs.iter().copied().zip(found));
        let mut calls = vec![Call::Reopen(id.clone(), seqs), Call::Resume(id.clone())];
        calls.extend(self.through_admission(&id, resolutions));
        calls
    }

    /// A run that waits to be resolved is resolved, admitted and promoted.
    fn through_admission(&self, run: &RunId, resolutions: Vec<(u64, Resolution)>) -> [Call; 5] {
        let steward = self.stewards.len();
        [
            Call::TakeSteward(run.clone(), worker(0), tenths(50_u8)),
            Call::Resolve(steward, resolutions),
            Call::FinishResolving(steward),
            Call::Admit(run.clone()),
            Call::Promote(run.clone(), 500),
        ]
    }

    /// Counts what such a call came to.
    pub(super) fn count_operating(&mut self, call: &Call, answer: &str) {
        let came_to = match call {
            Call::Confirm(..) if answer == "()" => "confirmed",
            Call::Reserve(..) if answer.starts_with("Counted") => "counted",
            Call::Reserve(..) if answer.starts_with("Over") => "over a cap",
            Call::Reopen(..) if !answer.starts_with("refused") && answer != "0" => "tried again",
            Call::Prune(_) if answer != "{}" => "pruned",
            Call::SealAudit(_, seals) if answer == "true" && !seals.is_empty() => "sealed entries",
            _ => return,
        };
        self.reached.count(came_to, 1);
    }
}

//! What people do to runs, and what guards them: endings, trying again, confirmations, caps, protection, retention, audit.

use proptest::{collection::vec, option, prelude::*};
use usher_shared::{
    Approval, Clock, Confirmation, Ending, Go, Held, HeldReason, Note, PlanNote, Protection, RunId, RunPhase,
    RunStatus, Timestamp,
    audit::{AuditEvent, AuditHead, AuditKind},
    plan::PlanHash,
};

use super::{
    calls::Call,
    player::{Player, Reached, World, account, tenths},
};

#[derive(Clone, Debug)]
pub enum Deed {
    End {
        run: u8,
        limit: u8,
        deadline: bool,
    },
    Reopen {
        run: u8,
        seqs: Vec<u8>,
    },
    /// Reopens a run that is over, and lets it go on.
    Retry {
        run: u8,
        seqs: Vec<u8>,
    },
    /// Resolves a run that waits for that, and puts it into the queue.
    GoOn {
        run: u8,
    },
    Note {
        run: u8,
        kind: u8,
    },
    Confirm {
        run: u8,
        approve: bool,
    },
    Reserve {
        run: u8,
        day: u8,
        users: Vec<u8>,
        cap: u8,
    },
    Unreserve {
        run: u8,
        day: u8,
    },
    Prune {
        back: u8,
    },
    Protect {
        branch: bool,
        pattern: u8,
        reason: u8,
    },
    Unprotect {
        branch: bool,
        pattern: u8,
    },
    Tell {
        what: u8,
    },
    SealAudit {
        seals: u8,
        /// Of the head that it follows, where that is not the last one.
        other: Option<u8>,
    },
}

pub fn deed() -> impl Strategy<Value = Deed> {
    let run = any::<u8>;
    let seqs = || vec(0..8_u8, 0..8);
    prop_oneof![
        2 => (run(), 0..5_u8, any::<bool>()).prop_map(|(run, limit, deadline)| Deed::End { run, limit, deadline }),
        2 => (run(), seqs()).prop_map(|(run, seqs)| Deed::Reopen { run, seqs }),
        4 => (run(), seqs()).prop_map(|(run, seqs)| Deed::Retry { run, seqs }),
        4 => run().prop_map(|run| Deed::GoOn { run }),
        1 => (run(), 0..3_u8).prop_map(|(run, kind)| Deed::Note { run, kind }),
        3 => (run(), any::<bool>()).prop_map(|(run, approve)| Deed::Confirm { run, approve }),
        3 => (run(), 0..2_u8, vec(0..6_u8, 0..5), 0..7_u8)
            .prop_map(|(run, day, users, cap)| Deed::Reserve { run, day, users, cap }),
        1 => (run(), 0..2_u8).prop_map(|(run, day)| Deed::Unreserve { run, day }),
        1 => (0..50_u8).prop_map(|back| Deed::Prune { back }),
        1 => (any::<bool>(), 0..3_u8, 0..2_u8)
            .prop_map(|(branch, pattern, reason)| Deed::Protect { branch, pattern, reason }),
        1 => (any::<bool>(), 0..3_u8).prop_map(|(branch, pattern)| Deed::Unprotect { branch, pattern }),
        1 => (0..3_u8).prop_map(|what| Deed::Tell { what }),
        1 => (0..4_u8, option::weighted(0.2, 0..5_u8))
            .prop_map(|(seals, other)| Deed::SealAudit { seals, other }),
    ]
}

fn plan_hash() -> PlanHash {
    "5a".repeat(32).parse().unwrap()
}

fn note(kind: u8, at: Timestamp) -> Note {
    match kind {
        0 => Note::Plan(PlanNote { hash: plan_hash(), at, change: 1, active_users: Some(9) }),
        1 => Note::Held(Some(Held { reason: HeldReason::OverDayCap, message: "too many".into(), since: at })),
        _ => Note::Held(None),
    }
}

fn confirmation(approve: bool, at: Timestamp) -> Confirmation {
    let (by, plan) = ("ann".to_owned(), plan_hash());
    match approve {
        true => Confirmation::Approve(Approval { by, at, plan, signature: "c2ln".into() }),
        false => Confirmation::Apply(Go { by, at, plan }),
    }
}

fn pattern(number: u8) -> String {
    ["*@corp.example", "role:1", "*@CORP.example"][usize::from(number)].to_owned()
}

fn event(what: u8, at: Timestamp) -> AuditEvent {
    AuditEvent {
        what: [AuditKind::Paused, AuditKind::Retried, AuditKind::Pruned][usize::from(what)],
        by: "cli:ann".into(),
        from: None,
        account: None,
        run: None,
        plan: None,
        detail: Some(at.to_string()),
    }
}

impl<W: World> Player<'_, W> {
    /// The calls that a deed comes to; none where there is nothing that it could be about.
    pub(super) async fn deed(&self, deed: Deed) -> Option<Vec<Call>> {
        let now = self.clock.now();
        let places = |seqs: Vec<u8>| seqs.into_iter().map(u64::from).collect();
        let call = match deed {
            Deed::End { run, limit, deadline } => {
                let ending =
                    if deadline { Ending::deadline() } else { Ending::over_cap("\u{1f}too many".into()) };
                Call::End(self.id(run)?, ending, limit.into())
            }
            Deed::Reopen { run, seqs } => Call::Reopen(self.id(run)?, places(seqs)),
            Deed::Retry { run, seqs } => {
                let run = self.one_that(run, |run| run.phase.is_over()).await?;
                return Some(vec![Call::Reopen(run.clone(), places(seqs)), Call::Resume(run)]);
            }
            Deed::GoOn { run } => {
                let waits = |run: &RunStatus| {
                    let stale = run.phase == RunPhase::Resolved && run.fresh_at.is_none();
                    (run.phase == RunPhase::Sealed || stale) && !run.cancelled && !run.paused
                };
                return Some(self.go_on(self.one_that(run, waits).await?));
            }
            Deed::Note { run, kind } => Call::Note(self.id(run)?, note(kind, now)),
            Deed::Confirm { run, approve } => {
                Call::Confirm(self.resolved_or_any(run).await?, confirmation(approve, now))
            }
            Deed::Reserve { run, day, users, cap } => {
                let users = users.iter().map(|user| format!("ID{user}")).collect();
                Call::Reserve(self.resolved_or_any(run).await?, day.into(), users, cap.into())
            }
            Deed::Unreserve { run, day } => Call::Unreserve(self.resolved_or_any(run).await?, day.into()),
            Deed::Prune { back } => {
                Call::Prune(Timestamp::from_millis(now.as_millis() - tenths(back).as_millis() as i64))
            }
            Deed::Protect { branch, pattern: number, reason } => {
                let pattern = pattern(number).try_into().unwrap();
                let reason = (reason > 0).then(|| "board".to_owned());
                Call::Protect(account(branch), Protection { pattern, reason, by: "ann".into(), at: now })
            }
            Deed::Unprotect { branch, pattern: number } => Call::Unprotect(account(branch), pattern(number)),
            Deed::Tell { what } => Call::Tell(event(what, now)),
            Deed::SealAudit { seals, other } => {
                let seal = |number: u64| format!("{number:064x}");
                let head = match other {
                    Some(number) => Some(AuditHead { number: number.into(), seal: seal(number.into()) }),
                    None => self.model.handles[0].audit_head().await.unwrap(),
                };
                let from = head.as_ref().map_or(0, |head| head.number) + 1;
                Call::SealAudit(head, (from..from + u64::from(seals)).map(seal).collect())
            }
        };
        Some(vec![call])
    }

    /// Of the runs of which that is true, the one with this number.
    async fn one_that(&self, number: u8, wanted: impl Fn(&RunStatus) -> bool) -> Option<RunId> {
        let mut some = self.model.handles[0].runs(1_000).await.unwrap();
        some.retain(wanted);
        (!some.is_empty()).then(|| some[usize::from(number) % some.len()].run.id.clone())
    }

    /// Mostly one that is resolved.
    async fn resolved_or_any(&self, number: u8) -> Option<RunId> {
        let resolved = self.one_that(number, |run| run.phase == RunPhase::Resolved).await;
        resolved.filter(|_| !number.is_multiple_of(8)).or_else(|| self.id(number))
    }
}

impl Reached {
    /// Counts what deeds came to.
    pub(super) fn count_deed(&mut self, call: &Call, answer: &str) {
        let done = !answer.starts_with("refused");
        match call {
            Call::Reopen(..) if done && answer != "0" => self.count("tried again", 1),
            Call::Confirm(..) if done => self.count("confirmed", 1),
            Call::Prune(_) if answer != "None" => self.count("forgotten", 1),
            Call::Reserve(..) if done => self.count(answer.split([' ', '(']).next().unwrap(), 1),
            Call::SealAudit(_, seals) if answer == "true" && !seals.is_empty() => {
                self.count("audit sealed", 1)
            }
            _ => {}
        }
    }
}

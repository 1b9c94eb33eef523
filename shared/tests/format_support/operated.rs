//! What operators leave behind, on an account of its own: a plan that was confirmed and counted towards a cap, a run whose
//! deadline came, one that is tried again, protected users, the audit.

use std::time::Duration;

use usher_shared::{audit::*, config::ProtectedPattern, identity::Proof, plan::PlanHash, store::*, *};

use super::story::{BEGINS, user};

const TTL: Duration = Duration::from_secs(15);
const DAY: UtcDay = 20_411;

fn account() -> AccountName {
    "zoom-operated".parse().unwrap()
}

fn id(letter: char) -> RunId {
    format!("20251120-33333{letter}").parse().unwrap()
}

fn hash() -> PlanHash {
    "0f".repeat(32).parse().unwrap()
}

fn terms() -> Terms {
    Terms {
        plan: true,
        undoes: Some(id('z')),
        not_before: Some(BEGINS),
        deadline: Some(BEGINS.after(TTL * 100_000)),
        proof: Some(Proof { by: "alice".into(), signature: "s-_1".into() }),
    }
}

fn notes() -> RunNotes {
    let message = "`usher apply`, \"é\"".to_owned();
    RunNotes {
        plan: Some(PlanNote { hash: hash(), at: BEGINS, change: 2, active_users: Some(1_000) }),
        held: Some(Held { reason: HeldReason::Planned, message, since: BEGINS }),
        go: Some(Go { by: "cli:alice@host".into(), at: BEGINS, plan: hash() }),
        approval: None,
        ending: None,
    }
}

fn restore() -> Restore {
    Restore { license: Some("2".into()), role: None, groups: vec!["g1".into(), "g 2|é".into()] }
}

fn event(what: AuditKind, detail: &str) -> AuditEvent {
    AuditEvent {
        what,
        by: "cli:alice@host".into(),
        from: Some("host.corp.example".into()),
        account: Some(account()),
        run: Some(id('2')),
        plan: Some(hash()),
        detail: Some(detail.into()),
    }
}

fn protection(pattern: &str) -> Protection {
    let pattern = ProtectedPattern::new(pattern).unwrap();
    Protection { pattern, reason: Some("board".into()), by: "token:bob".into(), at: BEGINS }
}

/// A run that is resolved.
async fn resolved(store: &dyn Store, letter: char, names: &[&str], terms: Terms) {
    let run = NewRun {
        id: id(letter),
        account: account(),
        priority: Priority::Normal,
        reason: None,
        asked_by: "cli:alice@host".into(),
        source: None,
        created_at: BEGINS,
        terms,
    };
    store.open_run(&run).await.unwrap();
    let restore = (letter == '2').then(restore);
    let requests: Vec<Request> = (1..)
        .zip(names)
        .map(|(line, name)| Request {
            line,
            user: format!("{name}@corp.example").parse().unwrap(),
            action: Action::Activate,
            reason: None,
            restore: restore.clone(),
        })
        .collect();
    store.append(&run.id, 0, &requests).await.unwrap();
    let total = requests.len() as u64;
    let idempotency = Idempotency { key: letter.into(), digest: letter.into(), again_after_end: true };
    let seal = Seal { total, by_action: [(Action::Activate, total)].into(), idempotency };
    store.seal(&run.id, &seal).await.unwrap();
    resolve(store, letter, names).await;
}

async fn resolve(store: &dyn Store, letter: char, names: &[&str]) {
    let steward = store.take_steward(&id(letter), &WorkerId::new("w0"), TTL).await.unwrap().unwrap();
    let resolutions: Vec<_> =
        (0..).zip(names).map(|(seq, name)| (seq, Resolution::Change(user(name)))).collect();
    store.resolve(&steward, &resolutions).await.unwrap();
    store.finish_resolving(steward).await.unwrap();
}

/// Leases and finishes so many jobs in file order, with these outcomes.
async fn work(store: &dyn Store, letter: char, outcomes: &[Outcome]) {
    store.admit(&id(letter)).await.unwrap();
    assert_eq!(store.promote(&id(letter), CHUNK).await.unwrap(), 0);
    let (worker, only_run) = (WorkerId::new("w1"), Some(id(letter)));
    let ask = LeaseAsk {
        account: account(),
        worker: worker.clone(),
        leases: outcomes.len(),
        batch: 1,
        ttl: TTL,
        only_run,
        urgent_only: false,
        idle: false,
    };
    let leased = store.lease(&ask).await.unwrap();
    for (lease, outcome) in leased.leases.into_iter().zip(outcomes) {
        let verdict = if *outcome == Outcome::Applied { Verdict::Applied } else { Verdict::Transient };
        let (began_at, ended_at, worker) = (lease.granted_at, lease.granted_at, worker.clone());
        let attempt = Attempt { began_at, ended_at, calls: 1, http: None, verdict, code: None, worker };
        let then = Then::Finish { outcome: *outcome, code: None, message: None };
        let report = JobReport { seq: lease.jobs[0].seq, attempt: Some(attempt), throttled: 0, then };
        store.finish(lease, vec![report]).await.unwrap();
    }
}

/// Writes it all into a store.
pub async fn write(store: &dyn Store) {
    for pattern in ["*@board.example", "role:7"] {
        store.protect(&account(), &protection(pattern)).await.unwrap();
    }
    resolved(store, '2', &["plan0", "plan1"], terms()).await;
    let RunNotes { plan: Some(plan), held, go: Some(go), .. } = notes() else { unreachable!() };
    store.note(&id('2'), &Note::Plan(plan)).await.unwrap();
    store.note(&id('2'), &Note::Held(held)).await.unwrap();
    store.confirm(&id('2'), &Confirmation::Apply(go)).await.unwrap();
    let counted = store.reserve(&id('2'), DAY, &["a".into(), "b".into()], 2).await.unwrap();
    assert_eq!(counted, Reserved::Counted { used: 2 });

    resolved(store, '3', &["late0", "late1"], Terms::default()).await;
    assert_eq!(store.end(&id('3'), &Ending::deadline(), CHUNK).await.unwrap(), 0);
    resolved(store, '4', &["done", "again"], Terms::default()).await;
    work(store, '4', &[Outcome::Applied, Outcome::Exhausted]).await;
    assert_eq!(store.reopen(&id('4'), &[0, 1]).await.unwrap(), 1);

    for (what, detail) in
        [(AuditKind::Submitted, "one"), (AuditKind::Applied, "\"é\"\n"), (AuditKind::Held, "")]
    {
        store.tell(&event(what, detail)).await.unwrap();
    }
    assert!(store.seal_audit(None, &["a".repeat(64), "b".repeat(64)]).await.unwrap());
}

/// Sees that it is there, and does what comes next.
pub async fn check_and_go_on(store: &dyn Store) {
    let list = store.protections(&account()).await.unwrap();
    assert_eq!((list.version, list.list), (2, vec![protection("*@board.example"), protection("role:7")]));

    let planned = store.run(&id('2')).await.unwrap().unwrap();
    assert_eq!((planned.run.terms, planned.notes), (terms(), notes()));
    assert_eq!((planned.phase, planned.fresh_at), (RunPhase::Resolved, None));
    let read = store.planned(&id('2'), 0, 9).await.unwrap();
    assert_eq!((read.len(), read[1].request.restore.clone()), (2, Some(restore())));
    assert_eq!(read[1].resolution, Resolution::Change(user("plan1")));
    let over = store.reserve(&id('2'), DAY, &["b".into(), "c".into()], 2).await.unwrap();
    assert_eq!(over, Reserved::Over { used: 2 });
    assert_eq!(store.unreserve(&id('2'), DAY).await.unwrap(), 0);
    assert_eq!(store.reserve(&id('2'), DAY, &[], 2).await.unwrap(), Reserved::Counted { used: 0 });
    resolve(store, '2', &["plan0", "plan1"]).await;
    work(store, '2', &[Outcome::Applied, Outcome::Applied]).await;

    let late = store.run(&id('3')).await.unwrap().unwrap();
    assert_eq!((late.state(), late.notes.ending), (RunState::Expired, Some(Ending::deadline())));

    let again = store.run(&id('4')).await.unwrap().unwrap();
    assert_eq!((again.phase, again.paused, again.counters.pending), (RunPhase::Sealed, true, 1));
    store.resume(&id('4')).await.unwrap();
    let now = UserState { status: Status::Inactive, license: None, role: None, groups: vec![] };
    let found = ResolvedUser { before: now, ..user("again") };
    let steward = store.take_steward(&id('4'), &WorkerId::new("w0"), TTL).await.unwrap().unwrap();
    store.resolve(&steward, &[(1, Resolution::Change(found))]).await.unwrap();
    store.finish_resolving(steward).await.unwrap();
    work(store, '4', &[Outcome::Applied]).await;
    let row = store.outcomes(&id('4'), 1, 1).await.unwrap().remove(0);
    assert_eq!((row.outcome, row.attempts, row.resolved), (Outcome::Applied, 2, Some(user("again"))));

    let entries = store.audit(1, 9).await.unwrap();
    assert_eq!(entries[1].read(), Some(event(AuditKind::Applied, "\"é\"\n")));
    let head = AuditHead { number: 2, seal: "b".repeat(64) };
    assert_eq!((entries.len(), store.audit_head().await.unwrap()), (3, Some(head.clone())));
    assert!(store.seal_audit(Some(&head), &["c".repeat(64)]).await.unwrap());
    assert_eq!(store.tell(&event(AuditKind::Pruned, "")).await.unwrap(), 4);
    for letter in ['2', '3', '4'] {
        assert!(store.run(&id(letter)).await.unwrap().unwrap().phase.is_over(), "{letter}");
    }
}

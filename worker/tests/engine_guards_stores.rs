//! Caps, approval, drift and the audit on both real stores, in real time.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::sync::Arc;

use engine_support::*;
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    audit::{AuditKind, verify},
    config::{ApprovalConfig, ApprovalRequired, Caps, ProtectedPattern, Role, Submitter, TokenConfig},
    identity::{PersonalToken, approval_text},
    store::{Store, redis::RedisStore, sqlite::SqliteStore},
    *,
};
use usher_worker::{
    Engine, EngineConfig,
    admit::Rules,
    audit::{AuditSealing, audit_key_file},
    boot_clock::SystemBootClock,
};

/// A run over the caps waits without a call; approved, it leaves out who has changed; a run that nobody may approve is
/// refused by the day's cap; and all of it is in the audit.
async fn guards_hold(store: Arc<dyn Store>) {
    let mut vendor = Arc::into_inner(Vendor::new(200.0, |_, _| Step::Done)).unwrap();
    vendor.listed = 400;
    let vendor = Arc::new(vendor);
    let bob = PersonalToken::generate().unwrap();
    let token = TokenConfig { key: bob.key().unwrap(), roles: vec![Role::Approve], accounts: None };
    let approval = ApprovalConfig {
        required: ApprovalRequired::OverCap,
        submitter: Submitter::Anyone,
        ..ApprovalConfig::default()
    };
    let caps = Caps { users_per_run: Some(50), users_per_day: Some(110), ..Caps::default() };
    let folder = tempfile::tempdir().unwrap();
    let (key, head_file) = audit_key_file(folder.path()).unwrap();
    let mut config = EngineConfig {
        clock: Arc::new(SystemClock),
        boot_clock: Arc::new(SystemBootClock::new()),
        audit: Some(AuditSealing { key: key.clone(), head_file: Some(head_file) }),
        ..config(Arc::clone(&store), TokioClock::new(), &[("zoom-main", &vendor)])
    };
    config.accounts[0].rules =
        Rules { caps, approval: Some(approval), tokens: [("bob".to_owned(), token)].into() };
    let engine = Engine::start(config).await.unwrap();

    let run = submit(&*store, 1, "zoom-main", users(100)).await;
    until_held(&*store, &run, HeldReason::OverRunCap).await;
    vendor.change(|seen| {
        for name in users(30) {
            seen.status.insert(name, Status::Inactive);
        }
    });
    assert_eq!(vendor.starts().len(), 0);
    let pattern = ProtectedPattern::new("user99@corp.example").unwrap();
    let at = store.now().await.unwrap();
    let protection = Protection { pattern, reason: None, by: "cli:ann@host".into(), at };
    store.protect(&account("zoom-main"), &protection).await.unwrap();
    let plan = store.run(&run).await.unwrap().unwrap().notes.plan.unwrap().hash;
    let signature = bob.sign(&approval_text(&run, &plan, "bob", at)).unwrap();
    let approval = Approval { by: "bob".into(), at, plan, signature };
    store.confirm(&run, &Confirmation::Approve(approval)).await.unwrap();
    let status = until(&*store, &run, |status| status.phase.is_over()).await;
    let counted = |outcome| status.counters.of(outcome);
    let found = (counted(Outcome::Drifted), counted(Outcome::Applied), counted(Outcome::Protected));
    assert_eq!(found, (30, 69, 1), "{:?}", status.counters);

    // 69 of 110 are counted.
    let fits = submit(&*store, 2, "zoom-main", users(141).into_iter().skip(100)).await;
    assert_eq!(until_over(&*store, &fits).await.counters.of(Outcome::Applied), 41);
    let full = submit(&*store, 3, "zoom-main", users(142).into_iter().skip(141)).await;
    until_held(&*store, &full, HeldReason::OverDayCap).await;
    engine.shutdown().await;
    assert_eq!(vendor.starts().len(), 69 + 41);

    let entries = store.audit(1, 100).await.unwrap();
    assert_eq!(verify(&key, &entries, &[]).1, vec![]);
    assert!(entries.iter().all(|entry| entry.seal.is_some()));
    let kinds: Vec<AuditKind> = entries
        .iter()
        .filter_map(|entry| entry.read().filter(|event| event.run.as_ref() == Some(&run)))
        .map(|event| event.what)
        .collect();
    use AuditKind::{Admitted, Finished, Held, Resolved};
    assert_eq!(kinds, [Resolved, Held, Admitted, Finished]);
}

#[tokio::test]
async fn guards_hold_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("usher.db"), Arc::new(SystemClock)).unwrap();
    guards_hold(Arc::new(store)).await;
}

#[tokio::test]
async fn guards_hold_on_redis() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    guards_hold(Arc::new(store)).await;
}

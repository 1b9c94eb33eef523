//! What holds a run to its time, its protected users, its workers' agreement, and its record, in virtual time.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::{sync::Arc, time::Duration};

use engine_support::*;
use usher_shared::{
    audit::{AuditHead, AuditKey, AuditKind, verify},
    config::{Caps, ProtectedPattern},
    store::Store,
    *,
};
use usher_worker::{Engine, EngineConfig, admit::Rules, audit::AuditSealing};

/// A vendor of so many calls a second, with a listing.
fn listed(per_second: f64) -> Arc<Vendor> {
    let mut vendor = Arc::into_inner(Vendor::new(per_second, |_, _| Step::Done)).unwrap();
    vendor.listed = 400;
    Arc::new(vendor)
}

async fn audited(store: &dyn Store) -> Vec<audit::AuditEvent> {
    let entries = store.audit(1, 5_000).await.unwrap();
    entries.iter().map(|entry| entry.read().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn no_call_starts_after_the_deadline_and_who_was_not_done_ends_as_expired() {
    let vendor = listed(20.0);
    let (store, config) = one(&vendor);
    let mut new = new_run(&*store, 1).await;
    new.terms.deadline = Some(new.created_at.after(Duration::from_secs(5)));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    let run = submit_run(&*store, new, Action::Deactivate, users(300)).await;
    let engine = Engine::start(config).await.unwrap();
    let status = until(&*store, &run, |status| status.phase.is_over()).await;
    engine.shutdown().await;
    assert_eq!(status.state(), RunState::Expired);
    let (applied, expired) = (status.counters.of(Outcome::Applied), status.counters.of(Outcome::Expired));
    assert_eq!(applied + expired, 300, "{:?}", status.counters);
    assert!((80..=101).contains(&applied), "{applied} in 5 s at 20 a second");
    assert!(vendor.starts().iter().all(|start| *start <= deadline), "a call started after the deadline");
    let kinds: Vec<AuditKind> = audited(&*store).await.iter().map(|event| event.what).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == AuditKind::Expired).count(), 1, "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_time_has_not_come_makes_no_call_of_any_kind_until_then() {
    let vendor = listed(200.0);
    let (store, config) = one(&vendor);
    let mut new = new_run(&*store, 1).await;
    let at = tokio::time::Instant::now() + Duration::from_secs(1_800);
    new.terms.not_before = Some(new.created_at.after(Duration::from_secs(1_800)));
    let run = submit_run(&*store, new, Action::Deactivate, users(20)).await;
    let engine = Engine::start(config).await.unwrap();
    until_held(&*store, &run, HeldReason::NotBefore).await;
    assert_eq!(store.run(&run).await.unwrap().unwrap().state(), RunState::Scheduled);
    tokio::time::sleep_until(at - Duration::from_secs(1)).await;
    assert_eq!(vendor.seen.lock().unwrap().pages, 0, "nobody is looked up before");
    let status = until(&*store, &run, |status| status.phase.is_over()).await;
    engine.shutdown().await;
    assert_eq!((status.counters.of(Outcome::Applied), status.notes.held), (20, None));
    assert!(vendor.starts().iter().all(|start| *start >= at));
    assert_eq!(store.calls("note"), 3, "that it waits, that it does not any more, and its plan");
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_protected_in_the_middle_of_a_run_is_not_touched() {
    let vendor = listed(20.0);
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(100)).await;
    let engine = Engine::start(config).await.unwrap();
    vendor.until_begun(20).await;
    let protection = Protection {
        pattern: ProtectedPattern::new("user9*@corp.example").unwrap(),
        reason: Some("a wish of the board".into()),
        by: "cli:ann@host".into(),
        at: store.now().await.unwrap(),
    };
    store.protect(&account("zoom-main"), &protection).await.unwrap();
    let leased_before: Vec<String> = vendor.seen.lock().unwrap().calls.keys().cloned().collect();
    let status = until(&*store, &run, |status| status.phase.is_over()).await;
    engine.shutdown().await;
    let protected: Vec<String> = (90..100).map(|n| format!("user{n}@corp.example")).collect();
    assert!(protected.iter().all(|name| !leased_before.contains(name) && vendor.calls(name) == 0));
    assert_eq!(status.counters.of(Outcome::Protected), 10, "{:?}", status.counters);
    let rows = store.outcomes(&run, 95, 1).await.unwrap();
    assert_eq!(rows[0].code.as_deref(), Some("user9*@corp.example"));
    let words = rows[0].message.as_deref().unwrap();
    assert!(words.contains("cli:ann@host") && words.contains("a wish of the board"), "{words}");
    assert!(store.calls("protections") <= 3, "read when it has changed, not at each lease");
}

#[tokio::test(start_paused = true)]
async fn workers_who_disagree_hold_the_account_until_one_of_them_is_gone() {
    let vendor = listed(20.0);
    let (store, config) = one(&vendor);
    let mut other = EngineConfig { worker: WorkerId::new("test:2"), ..config.clone() };
    let caps = Caps { users_per_run: Some(1_000), ..Caps::default() };
    other.accounts[0].rules = Rules { caps, ..Rules::default() };
    let run = submit(&*store, 1, "zoom-main", users(300)).await;
    let engine = Engine::start(config).await.unwrap();
    vendor.until_begun(10).await;
    let second = Engine::start(other).await.unwrap();
    let held = until(&*store, &run, |status| status.hold.is_some()).await.hold.unwrap();
    assert_eq!(held.reason, HoldReason::Disagreement);
    for words in ["test:1", "test:2", "caps", "usher.toml"] {
        assert!(held.message.contains(words), "{}", held.message);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begun = vendor.starts().len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(vendor.starts().len(), begun, "nothing goes on while it lasts");
    second.shutdown().await;
    let status = until(&*store, &run, |status| status.phase.is_over()).await;
    engine.shutdown().await;
    assert_eq!(status.counters.of(Outcome::Applied), 300);
}

#[tokio::test(start_paused = true)]
async fn what_the_worker_does_is_told_once_and_sealed_and_a_cut_off_tail_shows() {
    let vendor = listed(200.0);
    let (store, config) = one(&vendor);
    let folder = tempfile::tempdir().unwrap();
    let (key, head_file) = usher_worker::audit::audit_key_file(folder.path()).unwrap();
    let sealing =
        |key: &AuditKey| Some(AuditSealing { key: key.clone(), head_file: Some(head_file.clone()) });
    let config = EngineConfig { audit: sealing(&key), ..config };
    let two = EngineConfig { worker: WorkerId::new("test:2"), ..config.clone() };
    let engine = Engine::start(config).await.unwrap();
    let second = Engine::start(two).await.unwrap();
    let run = submit(&*store, 1, "zoom-main", users(60)).await;
    until(&*store, &run, |status| status.phase.is_over()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    engine.shutdown().await;
    second.shutdown().await;
    let events = audited(&*store).await;
    let kinds: Vec<AuditKind> = events.iter().map(|event| event.what).collect();
    use AuditKind::{Admitted, Finished, Resolved};
    assert_eq!(kinds, [Resolved, Admitted, Finished]);
    let plan = store.run(&run).await.unwrap().unwrap().notes.plan.unwrap();
    assert_eq!((events[0].plan.as_ref(), events[1].plan.as_ref()), (Some(&plan.hash), Some(&plan.hash)));
    let resolved = events[0].detail.as_deref().unwrap();
    assert!(resolved.contains("60 deactivate, asked for by test"), "{resolved}");
    assert!(events[2].detail.as_deref().unwrap().contains("applied 60"), "{:?}", events[2]);
    let entries = store.audit(1, 100).await.unwrap();
    let noted: AuditHead = std::fs::read_to_string(&head_file).unwrap().parse().unwrap();
    assert_eq!(verify(&key, &entries, std::slice::from_ref(&noted)), (Some(noted.clone()), vec![]));
    assert_eq!(noted.number, 3, "the last thing told is sealed before the worker ends");
    assert!(!verify(&key, &entries[..2], &[noted]).1.is_empty());
}

#[tokio::test(start_paused = true)]
async fn runs_that_ended_long_ago_are_forgotten_and_the_audit_says_so() {
    let vendor = Vendor::new(200.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(3)).await;
    let status = work_out(config.clone(), &run).await;
    assert!(status.phase.is_over());
    let days = |days: u64| Duration::from_secs(days * 24 * 3_600);
    tokio::time::sleep(days(29)).await;
    let engine = Engine::start(EngineConfig { keep: Some(30), ..config.clone() }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    engine.shutdown().await;
    assert!(store.run(&run).await.unwrap().is_some(), "it is kept for 30 days");
    tokio::time::sleep(days(1)).await;
    let engine = Engine::start(EngineConfig { keep: Some(30), ..config }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    engine.shutdown().await;
    assert_eq!(store.run(&run).await.unwrap(), None);
    let last = audited(&*store).await.pop().unwrap();
    assert_eq!((last.what, last.run), (AuditKind::Pruned, Some(run)));
}

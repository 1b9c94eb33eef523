//! Time passes: a run that stood still is resolved again before it goes on, whatever made it stand. In virtual time, and on
//! both real stores.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::{sync::Arc, time::Duration};

use engine_support::*;
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    config::ProtectedPattern,
    store::{Store, memory::MemoryStore, redis::RedisStore, sqlite::SqliteStore},
    *,
};
use usher_worker::{Engine, EngineConfig, boot_clock::SystemBootClock};

const HOUR: Duration = Duration::from_secs(3_600);
/// Not much longer: a virtual hour is some seconds of looking whether there is something to do.
const OVER_AN_HOUR: Duration = Duration::from_secs(3_660);

fn name(n: usize) -> String {
    format!("user{n}@corp.example")
}

/// A vendor of one call a second, so that a run of some users is easily stopped on its way.
fn slow() -> Arc<Vendor> {
    let mut vendor = Arc::into_inner(Vendor::new(1.0, |_, _| Step::Done)).unwrap();
    vendor.listed = 400;
    Arc::new(vendor)
}

/// Somebody makes one an admin and deletes another.
fn time_passes_at(vendor: &Vendor, admin: usize, gone: usize) {
    vendor.change(|seen| {
        seen.admins.insert(name(admin));
        seen.gone.insert(name(gone));
    });
}

/// Looks seldom: hours of virtual time go by.
async fn until_over_some_day(store: &dyn Store, run: &RunId) -> RunStatus {
    for _ in 0..10_000 {
        let status = store.run(run).await.unwrap().unwrap();
        assert!(status.counters.add_up(), "{:?}", status.counters);
        if status.phase.is_over() {
            return status;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    panic!("not over after a day");
}

/// Sees that nobody was touched who has become an admin (`admin`) or is gone, and that the outcomes say why.
async fn check_untouched(store: &dyn Store, vendor: &Vendor, run: &RunId, admin: usize, gone: usize) {
    for n in [admin, gone] {
        assert_eq!(vendor.calls(&name(n)), 0, "{} was touched", name(n));
    }
    let rows = store.outcomes(run, 0, 5_000).await.unwrap();
    let row = |n: usize| rows.iter().find(|row| row.user.as_str() == name(n)).unwrap();
    assert_eq!((row(admin).outcome, row(admin).code.as_deref()), (Outcome::Protected, Some("admin")));
    assert_eq!(row(gone).outcome, Outcome::NotFound);
    let words = row(gone).message.as_deref().unwrap();
    assert!(words.contains("no such user any more"), "{words}");
    // What was known of who is gone is not forgotten.
    assert!(row(gone).resolved.is_some());
    for row in &rows {
        let expected = row.user.as_str() != name(admin) && row.user.as_str() != name(gone);
        assert_eq!(row.outcome == Outcome::Applied, expected, "{row:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_paused_for_over_an_hour_touches_nobody_by_old_knowledge() {
    let vendor = slow();
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(60)).await;
    let engine = Engine::start(config).await.unwrap();
    vendor.until_begun(10).await;
    store.pause(&run).await.unwrap();
    let pages = vendor.seen.lock().unwrap().pages;
    tokio::time::sleep(OVER_AN_HOUR).await;
    time_passes_at(&vendor, 50, 51);
    assert_eq!(vendor.seen.lock().unwrap().pages, pages, "nobody is looked for while it is paused");
    store.resume(&run).await.unwrap();
    let status = until_over_some_day(&*store, &run).await;
    engine.shutdown().await;
    check_untouched(&*store, &vendor, &run, 50, 51).await;
    assert_eq!(status.counters.of(Outcome::Applied), 58);
    let seen = vendor.seen.lock().unwrap();
    assert_eq!((seen.pages, seen.looks.len()), (pages + 1, 1), "one listing, and a look at who was missing");
    assert_eq!(seen.looks, [name(51)]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_paused_for_less_than_an_hour_goes_on_at_once() {
    let vendor = slow();
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(60)).await;
    let engine = Engine::start(config).await.unwrap();
    vendor.until_begun(10).await;
    store.pause(&run).await.unwrap();
    let pages = vendor.seen.lock().unwrap().pages;
    tokio::time::sleep(HOUR - Duration::from_secs(10)).await;
    store.resume(&run).await.unwrap();
    until_over_some_day(&*store, &run).await;
    engine.shutdown().await;
    let seen = vendor.seen.lock().unwrap();
    assert_eq!((seen.pages, seen.looks.len()), (pages, 0));
}

#[tokio::test(start_paused = true)]
async fn few_users_that_are_left_are_looked_up_each() {
    let vendor = Vendor::new(1.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(30)).await;
    let engine = Engine::start(config).await.unwrap();
    vendor.until_begun(20).await;
    store.pause(&run).await.unwrap();
    tokio::time::sleep(OVER_AN_HOUR).await;
    let (looked, left) = {
        let counters = store.run(&run).await.unwrap().unwrap().counters;
        (vendor.seen.lock().unwrap().looks.len(), counters.queued as usize)
    };
    time_passes_at(&vendor, 28, 29);
    store.resume(&run).await.unwrap();
    until_over_some_day(&*store, &run).await;
    engine.shutdown().await;
    check_untouched(&*store, &vendor, &run, 28, 29).await;
    assert_eq!(vendor.seen.lock().unwrap().looks.len(), looked + left, "those that are left, once each");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_parked_until_midnight_touches_nobody_by_old_knowledge() {
    let mut vendor = Arc::into_inner(slow()).unwrap();
    (vendor.per_second, vendor.per_day) = (80.0, Some(60));
    let vendor = Arc::new(vendor);
    // 2025-10-09T22:58:00Z, so that it parks for a little more than an hour.
    let clock = TokioClock::beginning(Timestamp::from_millis(1_760_050_680_000));
    let store = Arc::new(MemoryStore::new(Arc::new(clock)));
    let config = config(store.clone(), clock, &[("zoom-main", &vendor)]);
    let run = submit(&*store, 1, "zoom-main", users(70)).await;
    let engine = Engine::start(config).await.unwrap();
    tokio::time::sleep(HOUR / 2).await;
    let before = store.run(&run).await.unwrap().unwrap().counters;
    assert!(before.queued > 20, "{before:?}");
    time_passes_at(&vendor, 68, 69);
    let status = until_over_some_day(&*store, &run).await;
    engine.shutdown().await;
    check_untouched(&*store, &vendor, &run, 68, 69).await;
    assert_eq!(status.counters.of(Outcome::Applied), 68);
    let pages = vendor.seen.lock().unwrap().pages;
    assert!(pages <= 12, "{pages} pages for a run that stood still for an hour");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_hold_halted_for_over_an_hour_touches_nobody_by_old_knowledge() {
    let vendor = slow();
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(60)).await;
    let engine = Engine::start(config).await.unwrap();
    vendor.until_begun(10).await;
    let since = store.now().await.unwrap();
    let message = "the token lacks a scope".to_owned();
    let hold = Hold { reason: HoldReason::Scope, message, since, until: None };
    store.hold(&account("zoom-main"), &hold).await.unwrap();
    tokio::time::sleep(OVER_AN_HOUR).await;
    let pages = vendor.seen.lock().unwrap().pages;
    let made = vendor.starts().len();
    assert!(pages == 1 && made < 20, "{pages} pages, {made} calls: a hold forbids calls of any kind");
    time_passes_at(&vendor, 58, 59);
    store.release(&account("zoom-main")).await.unwrap();
    until_over_some_day(&*store, &run).await;
    engine.shutdown().await;
    check_untouched(&*store, &vendor, &run, 58, 59).await;
}

/// A worker that died left a run half done, one attempt of it with its reply lost. Three hours later another one starts, with
/// one more protected user in its configuration.
async fn a_worker_comes_hours_later(store: Arc<dyn Store>, clock: &Arc<ManualClock>) {
    let mut vendor = Arc::into_inner(Vendor::new(200.0, |user, call| match (user.id.as_str(), call) {
        ("user3@corp.example" | "user4@corp.example", 1) => Step::DoneUnsaid,
        _ => Step::Done,
    }))
    .unwrap();
    vendor.listed = 400;
    let vendor = Arc::new(vendor);
    let config = || EngineConfig {
        clock: Arc::clone(clock) as _,
        boot_clock: Arc::new(SystemBootClock::new()),
        ..config(Arc::clone(&store), TokioClock::new(), &[("zoom-main", &vendor)])
    };
    let run = submit(&*store, 1, "zoom-main", users(300)).await;
    let engine = Engine::start(config()).await.unwrap();
    vendor.until_begun(30).await;
    engine.shutdown().await;
    let before = store.run(&run).await.unwrap().unwrap();
    assert!(before.counters.queued > 200 && before.effort.retries == 2, "{before:?}");

    clock.advance(HOUR * 3);
    time_passes_at(&vendor, 298, 299);
    // One of those whose reply was lost is an admin by now: what was done to it is told as done.
    vendor.change(|seen| {
        seen.admins.insert(name(4));
    });
    let mut later = config();
    later.accounts[0].protected = vec![ProtectedPattern::new("user29*@corp.example").unwrap()];
    let engine = Engine::start(later).await.unwrap();
    let status = tokio::time::timeout(Duration::from_secs(60), until_over(&*store, &run)).await.unwrap();
    engine.shutdown().await;

    assert!(status.counters.add_up(), "{:?}", status.counters);
    let rows = store.outcomes(&run, 0, 5_000).await.unwrap();
    let row = |n: usize| rows.iter().find(|row| row.user.as_str() == name(n)).unwrap();
    let protected = Some("user29*@corp.example");
    for n in [29, 290, 297, 298] {
        if vendor.calls(&name(n)) == 0 {
            assert_eq!((row(n).outcome, row(n).code.as_deref()), (Outcome::Protected, protected), "{n}");
        }
    }
    assert_eq!(vendor.calls(&name(290)) + vendor.calls(&name(298)) + vendor.calls(&name(299)), 0);
    assert_eq!(row(299).outcome, Outcome::NotFound);
    for n in [3, 4] {
        assert_eq!(row(n).outcome, Outcome::Applied, "{:?}", row(n));
        let was = row(n).resolved.as_ref().unwrap().before.status;
        assert_eq!(was, Status::Active, "an undo puts back what was there before our own doing");
    }
    assert_eq!((vendor.calls(&name(3)), vendor.calls(&name(4))), (2, 1));
    let attempts = store.attempts(&run, 4).await.unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt.verdict).collect::<Vec<_>>(), [Verdict::Transient]);
    assert!(row(4).message.as_deref().unwrap().contains("lost"), "{:?}", row(4));
    let applied = rows.iter().filter(|row| row.outcome == Outcome::Applied).count();
    assert!(applied >= 287, "{applied}");
}

fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_795_000_000_000)))
}

#[tokio::test]
async fn a_worker_that_comes_hours_later_resolves_again_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let store = SqliteStore::open(&folder.path().join("usher.db"), clock.clone()).unwrap();
    a_worker_comes_hours_later(Arc::new(store), &clock).await;
}

#[tokio::test]
async fn a_worker_that_comes_hours_later_resolves_again_on_redis() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let clock = manual_clock();
    let store = RedisStore::connect(&server.url(), Some(clock.clone())).await.unwrap();
    a_worker_comes_hours_later(Arc::new(store), &clock).await;
}

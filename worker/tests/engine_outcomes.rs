//! What becomes of a job for everything a vendor can answer, through the whole engine, in virtual time.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::time::Duration;

use engine_support::*;
use usher_shared::{store::Store, *};
use usher_worker::{
    Engine, EngineConfig, RunEnd,
    decide::POISON_DEATHS,
    provider::{Reply, Throttle},
};

#[tokio::test(start_paused = true)]
async fn every_answer_ends_in_the_outcome_that_is_true() {
    let vendor = Vendor::new(80.0, |user, call| match (user.id.as_str(), call) {
        ("lost@x", 1) => Step::DoneUnsaid,
        ("there@x", _) => Step::verdict(Verdict::AlreadyApplied),
        ("no@x", _) => Step::verdict(Verdict::Rejected),
        ("odd@x", _) => Step::verdict(Verdict::Unknown),
        ("left@x", _) => Step::verdict(Verdict::NotFound),
        ("slow@x", 1..=3) => Step::busy(),
        ("broken@x", _) => Step::busy(),
        _ => Step::Done,
    });
    let (store, config) = one(&vendor);
    let names = [
        "plain@x", "lost@x", "there@x", "no@x", "odd@x", "left@x", "slow@x", "broken@x", "admin@x",
        "nobody@x",
    ];
    let run = submit(&*store, 1, "zoom-main", names.map(String::from)).await;
    let status = work_out(config, &run).await;
    use Outcome::*;
    let expected = [
        ("plain@x", Applied),
        ("lost@x", Applied),
        ("there@x", AlreadyApplied),
        ("no@x", Rejected),
        ("odd@x", Rejected),
        ("left@x", NotFound),
        ("slow@x", Applied),
        ("broken@x", Exhausted),
        ("admin@x", Protected),
        ("nobody@x", NotFound),
    ];
    assert_eq!(
        outcomes(&*store, &run).await,
        expected.map(|(user, outcome)| (user.to_owned(), outcome)).into()
    );
    assert_eq!(status.counters.finished, 10);
    assert_eq!((vendor.calls("broken@x"), vendor.calls("slow@x"), vendor.calls("admin@x")), (8, 4, 0));
    assert!(!vendor.seen.lock().unwrap().met_on_one_user);
}

#[tokio::test(start_paused = true)]
async fn throttled_attempt_does_not_consume_budget() {
    let vendor = Vendor::new(80.0, |_, call| match call {
        1..=20 => Step::throttled(Throttle::PerSecond),
        21..=27 => Step::busy(),
        _ => Step::Done,
    });
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(1)).await;
    let status = work_out(config, &run).await;
    assert_eq!(status.counters.of(Outcome::Applied), 1);
    assert_eq!((status.effort.throttled, status.effort.calls), (20, 28));
    let attempts = store.attempts(&run, 0).await.unwrap();
    assert_eq!(attempts.iter().filter(|attempt| attempt.verdict == Verdict::Throttled).count(), 20);
    assert_eq!(attempts.last().unwrap().verdict, Verdict::Applied);
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_before_the_named_time_after_a_refusal_apart_from_what_was_in_flight() {
    let clock = TokioClock::new();
    let vendor = Vendor::new(80.0, move |user, call| match (user.id.as_str(), call) {
        ("user40@corp.example", 1) => Step::Say(Reply {
            retry_at: Some(Clock::now(&clock).after(Duration::from_secs(5))),
            throttle: Some(Throttle::PerSecond),
            ..Reply::of(Verdict::Throttled)
        }),
        _ => Step::Done,
    });
    let (store, config) = one(&vendor);
    let config = EngineConfig { clock: std::sync::Arc::new(clock), ..config };
    let run = submit(&*store, 1, "zoom-main", users(200)).await;
    let status = work_out(config, &run).await;
    assert_eq!(status.counters.of(Outcome::Applied), 200);
    let starts = vendor.starts();
    let (before, after): (Vec<_>, Vec<_>) =
        starts.windows(2).partition(|pair| pair[1] - pair[0] < Duration::from_secs(4));
    assert_eq!(after.len(), 1, "one gap alone");
    assert!(after[0][1] - after[0][0] >= Duration::from_millis(4_900), "{:?}", after[0][1] - after[0][0]);
    assert!(before.len() > 190);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_provider_fails_that_attempt_alone() {
    let vendor = Vendor::new(80.0, |user, call| match (user.id.as_str(), call) {
        ("user3@corp.example", 1) => Step::Panic,
        ("user5@corp.example", _) => Step::Panic,
        _ => Step::Done,
    });
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(30)).await;
    let status = work_out(config, &run).await;
    assert_eq!((status.counters.of(Outcome::Applied), status.counters.of(Outcome::Exhausted)), (29, 1));
    let attempts = store.attempts(&run, 3).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].code.as_deref()), (2, Some("panic")));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_is_cut_off_and_tried_again() {
    let vendor = Vendor::new(80.0, |user, call| match (user.id.as_str(), call) {
        ("user1@corp.example", 1) => Step::Hang,
        _ => Step::Done,
    });
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(5)).await;
    let status = work_out(config, &run).await;
    assert_eq!(status.counters.of(Outcome::Applied), 5);
    let attempts = store.attempts(&run, 1).await.unwrap();
    assert_eq!(attempts[0].code.as_deref(), Some("timeout"));
    assert_eq!((status.effort.lost, attempts.len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_missing_scope_holds_the_account_says_which_and_fails_no_user() {
    let vendor = Vendor::new(80.0, |_, _| {
        Step::Say(Reply { message: Some("needs user:update:status".into()), ..Reply::of(Verdict::Forbidden) })
    });
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(100)).await;
    let engine = Engine::start(EngineConfig { only_run: Some(run.clone()), ..config }).await.unwrap();
    let RunEnd::Held(hold, status) = engine.run_until_over().await else { panic!() };
    assert_eq!((hold.reason, hold.until), (HoldReason::Scope, None));
    assert!(hold.message.contains("needs user:update:status"), "{}", hold.message);
    assert_eq!((status.state(), status.counters.finished), (RunState::Halted, 0));
    let made = vendor.starts().len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(vendor.starts().len(), made, "calls went out while the account was on hold");
    assert!(made < 30, "{made} calls before the hold took effect");
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn three_refused_tokens_in_a_row_hold_the_account_and_one_does_not() {
    let vendor = Vendor::new(
        80.0,
        |_, call| if call == 1 { Step::verdict(Verdict::Unauthorized) } else { Step::Done },
    );
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(1)).await;
    assert_eq!(work_out(config.clone(), &run).await.counters.of(Outcome::Applied), 1);

    let vendor = Vendor::new(80.0, |_, _| Step::verdict(Verdict::Unauthorized));
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(50)).await;
    let engine = Engine::start(EngineConfig { only_run: Some(run), ..config }).await.unwrap();
    let RunEnd::Held(hold, status) = engine.run_until_over().await else { panic!() };
    assert_eq!((hold.reason, status.counters.finished), (HoldReason::Credentials, 0));
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_opens_the_breaker_and_spends_no_more_than_the_attempts_that_found_it() {
    let began = tokio::time::Instant::now();
    let vendor =
        Vendor::new(
            80.0,
            move |_, _| {
                if began.elapsed() < Duration::from_secs(120) { Step::busy() } else { Step::Done }
            },
        );
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(200)).await;
    let status = work_out(config, &run).await;
    assert_eq!(status.counters.of(Outcome::Applied), 200, "{:?}", status.counters);
    assert!(status.effort.retries < 60, "{} attempts spent on an outage", status.effort.retries);
    assert!(vendor.starts().len() < 200 + 100, "{} calls", vendor.starts().len());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_killed_workers_runs_alone_and_one_that_killed_them_alone_is_only_looked_at() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(60)).await;
    store.pretend_deaths(&run, 7, POISON_DEATHS - 1);
    store.pretend_deaths(&run, 9, POISON_DEATHS);
    vendor.seen.lock().unwrap().status.insert("user11@corp.example".into(), Status::Inactive);
    store.pretend_deaths(&run, 11, POISON_DEATHS);
    work_out(config, &run).await;
    let outcomes = outcomes(&*store, &run).await;
    assert_eq!(outcomes["user7@corp.example"], Outcome::Applied);
    assert_eq!((outcomes["user9@corp.example"], vendor.calls("user9@corp.example")), (Outcome::Poisoned, 0));
    assert_eq!((outcomes["user11@corp.example"], vendor.calls("user11@corp.example")), (Outcome::Applied, 0));
    assert_eq!(outcomes.values().filter(|outcome| **outcome == Outcome::Applied).count(), 59);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_loses_nothing() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(400)).await;
    let engine = Engine::start(config).await.unwrap();
    for calls in [50, 150, 250] {
        vendor.until_begun(calls).await;
        store.set_away(true);
        tokio::time::sleep(Duration::from_secs(4)).await;
        store.set_away(false);
    }
    let status = until_over(&*store, &run).await;
    assert_eq!(status.counters.of(Outcome::Applied), 400);
    assert_eq!(vendor.starts().len(), 400, "a job ran twice");
    engine.shutdown().await;
}

//! What a fleet shares through Redis: the scripts' own replies, their keys, and the share of work that is not urgent.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod redis_support;

use std::{sync::Arc, time::Duration};

use redis_support::{
    raw::{Raw, START},
    *,
};
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    Clock, LanePulse, ManualClock, Priority, Pulse, QuotaWindow, Timestamp,
    store::{LeaseAsk, PULSE_LASTS, Refresh, Store, StoreError, redis::RedisStore},
};

const HOUR: i64 = 3_600_000;
/// 2026-09-21T13:33:20Z is START: its hour, and its day.
const THIS_HOUR: i64 = START / HOUR * HOUR;
const TODAY: i64 = START / (24 * HOUR) * 24 * HOUR;

async fn on_manual_clock(server: &RedisServer) -> (RedisStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
    let store = RedisStore::connect(&server.url(), Some(Arc::clone(&clock) as Arc<dyn Clock>)).await.unwrap();
    (store, clock)
}

#[tokio::test]
async fn an_hour_s_calls_are_kept_for_49_hours_and_the_key_goes_by_itself() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut raw = Raw::of(&server, "quota").await;
    let drawn = raw.call("quota", START, &["light", "utc_day", "10", "100"]).await;
    assert_eq!(drawn, [START.to_string(), "10".into(), "10".into(), THIS_HOUR.to_string()]);
    let left: i64 = raw.get("PTTL", ":quota:light", &[]).await;
    assert!((48 * HOUR..=49 * HOUR).contains(&left), "{left}");
    for (later, hours_kept) in [(48, 2), (49, 2), (50, 2)] {
        let now = THIS_HOUR + later * HOUR;
        raw.call("quota", now, &["light", "utc_day", "1", "100"]).await;
        let kept: Vec<String> = raw.get("HKEYS", ":quota:light", &[]).await;
        let gone = later >= 49;
        assert_eq!(kept.contains(&THIS_HOUR.to_string()), !gone, "{later} h later: {kept:?}");
        assert!(kept.len() >= hours_kept, "{kept:?}");
    }
}

#[tokio::test]
async fn a_draw_stops_at_the_cap_and_a_return_never_goes_below_nothing() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut raw = Raw::of(&server, "quota").await;
    let now = START.to_string();
    let hour = THIS_HOUR.to_string();
    let steps: [(i64, &[&str], &[&str]); 9] = [
        (START, &["light", "utc_day", "0", "100"], &[&now, "0", "0", ""]),
        (START, &["light", "utc_day", "60", "100"], &[&now, "60", "60", &hour]),
        (START, &["light", "utc_day", "60", "100"], &[&now, "40", "100", &hour]),
        (START, &["light", "utc_day", "1", "100"], &[&now, "0", "100", &hour]),
        // A cap that has come down meanwhile: nothing is granted, and what was used is told as it is.
        (START, &["light", "utc_day", "1", "50"], &[&now, "0", "100", &hour]),
        (START, &["medium", "utc_day", "1", "50"], &[&now, "1", "1", &hour]),
        (START, &["light", "return", "30", &now], &["0"]),
        (START, &["light", "return", "300", &now], &["0"]),
        (START, &["light", "rolling24h", "0", "100"], &[&now, "0", "0", ""]),
    ];
    for (i, (at, args, expected)) in steps.into_iter().enumerate() {
        assert_eq!(raw.call("quota", at, args).await, expected, "step {i}");
    }
    let left: Vec<String> = raw.get("HKEYS", ":quota:light", &[]).await;
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_rolling_window_counts_24_whole_hours_and_a_day_ends_at_midnight() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let (store, clock) = on_manual_clock(&server).await;
    let account = account("quota");
    let draw = |window, calls| store.draw_quota(&account, "light", window, calls, 6_000);
    assert_eq!(draw(QuotaWindow::Rolling24h, 100).await.unwrap().used, 100);
    until(&clock, Timestamp::from_millis(TODAY + 24 * HOUR - 1));
    let seen = draw(QuotaWindow::UtcDay, 0).await.unwrap();
    assert_eq!((seen.used, seen.frees_at.as_millis()), (100, TODAY + 24 * HOUR));
    until(&clock, seen.frees_at);
    assert_eq!(draw(QuotaWindow::UtcDay, 0).await.unwrap().used, 0);
    let seen = draw(QuotaWindow::Rolling24h, 0).await.unwrap();
    assert_eq!((seen.used, seen.frees_at.as_millis()), (100, THIS_HOUR + 25 * HOUR));
    until(&clock, Timestamp::from_millis(seen.frees_at.as_millis() - 1));
    assert_eq!(draw(QuotaWindow::Rolling24h, 0).await.unwrap().used, 100);
    until(&clock, seen.frees_at);
    assert_eq!(draw(QuotaWindow::Rolling24h, 0).await.unwrap().used, 0);
}

/// Moves the clock on to a moment.
fn until(clock: &ManualClock, at: Timestamp) {
    clock.advance(at.since(clock.now()));
}

fn pulse(name: &str, at: Timestamp, started: f64) -> Pulse {
    let lane = LanePulse { label: "light".into(), started, ..LanePulse::default() };
    Pulse {
        active_users: None,
        policy: None,
        account: account("pulse"),
        worker: worker(name),
        at,
        in_flight: 3,
        lanes: vec![lane],
    }
}

#[tokio::test]
async fn a_worker_that_falls_silent_vanishes_and_leaves_nothing_behind() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let (store, clock) = on_manual_clock(&server).await;
    let mut raw = Raw::of(&server, "pulse").await;
    let begin = clock.now();
    for (name, started) in [("b:1:x", 1.0), ("a:1:x", 2.0), ("b:1:x", 3.0)] {
        store.publish_pulse(&pulse(name, begin, started)).await.unwrap();
    }
    let told = store.pulses(&account("pulse")).await.unwrap();
    assert_eq!(told, [pulse("a:1:x", begin, 2.0), pulse("b:1:x", begin, 3.0)]);
    clock.advance(PULSE_LASTS.saturating_sub(Duration::from_millis(1)));
    assert_eq!(store.pulses(&account("pulse")).await.unwrap().len(), 2);
    store.publish_pulse(&pulse("a:1:x", clock.now(), 4.0)).await.unwrap();
    clock.advance(Duration::from_millis(1));
    let told = store.pulses(&account("pulse")).await.unwrap();
    assert_eq!(told.iter().map(|pulse| pulse.worker.as_str()).collect::<Vec<_>>(), ["a:1:x"]);
    // What has lapsed goes at the next telling, and the keys by themselves.
    store.publish_pulse(&pulse("a:1:x", clock.now(), 5.0)).await.unwrap();
    assert_eq!(raw.get::<u64>("HLEN", ":pulses", &[]).await, 1);
    for key in [":pulses", ":pulse_ends"] {
        let left: i64 = raw.get("PTTL", key, &[]).await;
        assert!((1..=60_000).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn every_answer_about_a_token_has_its_code() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut raw = Raw::of(&server, "token").await;
    let ends = (START + 5_000).to_string();
    let steps: [(i64, &[&str], &[&str]); 18] = [
        (0, &["show"], &["0"]),
        (0, &["claim", "a", "", "5000"], &["0", "1"]),
        (1, &["claim", "b", "", "5000"], &["2", &ends]),
        (1, &["claim", "a", "", "5000"], &["2", &ends]),
        (2, &["shelve", "1", "first", "8000"], &["0", "1"]),
        // Sent again after its reply was lost: nothing is shelved twice.
        (3, &["shelve", "1", "first", "8000"], &["0", "1"]),
        (3, &["show"], &["1", "1", "first"]),
        (3, &["claim", "b", "", "5000"], &["1", "1", "first"]),
        (3, &["claim", "b", "1", "5000"], &["0", "2"]),
        (4, &["abandon", "1"], &["0"]),
        (4, &["shelve", "1", "late", "8000"], &["0", "1"]),
        (4, &["abandon", "2"], &["0"]),
        (4, &["claim", "c", "1", "5000"], &["0", "3"]),
        // The claim lapses, and so does the token. Another claim outweighs the lapsed one, which outlived nothing.
        (8_003, &["show"], &["0"]),
        (8_003, &["claim", "d", "1", "5000"], &["0", "4"]),
        (8_004, &["shelve", "3", "too late", "8000"], &["-1"]),
        // A claim that lapsed while nobody else asked may still shelve; the generation has gone on growing.
        (60_000, &["shelve", "4", "second", "8000"], &["0", "2"]),
        (60_001, &["show"], &["1", "2", "second"]),
    ];
    for (i, (at, args, expected)) in steps.into_iter().enumerate() {
        assert_eq!(raw.call("token", START + at, args).await, expected, "step {i}");
    }
    let left: i64 = raw.get("PTTL", ":token", &[]).await;
    assert!((1..=68_000).contains(&left), "{left}");
    let kept: i64 = raw.get("PTTL", ":refresh", &[]).await;
    assert_eq!(kept, -1, "generations are never forgotten");
}

#[tokio::test]
async fn of_many_who_ask_at_once_to_replace_a_token_one_gets_the_right() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let (store, _clock) = on_manual_clock(&server).await;
    let store = Arc::new(store);
    let asked = (0..40).map(|i| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let asker = worker(&format!("w:{i}"));
            store.claim_refresh(&account("token"), &asker, None, TTL).await.unwrap()
        })
    });
    let mut claims = vec![];
    for answer in asked.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            Refresh::Yours(claim) => claims.push(claim),
            Refresh::Underway(until) => assert_eq!(until.as_millis(), START + 15_000),
            newer @ Refresh::Newer(_) => panic!("{newer:?}"),
        }
    }
    assert_eq!(claims.len(), 1);
    let sealed = [0, 255, 31, 13, 10];
    assert_eq!(store.shelve_token(claims.remove(0), &sealed, TTL).await.unwrap(), 1);
    assert_eq!(store.token(&account("token")).await.unwrap().unwrap().sealed, sealed);
}

#[tokio::test]
async fn a_claim_that_another_took_shelves_nothing() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let (store, clock) = on_manual_clock(&server).await;
    let name = account("token");
    let Refresh::Yours(first) = store.claim_refresh(&name, &worker("a"), None, SECOND).await.unwrap() else {
        panic!("nobody else asks");
    };
    clock.advance(SECOND);
    let Refresh::Yours(second) = store.claim_refresh(&name, &worker("b"), None, SECOND).await.unwrap() else {
        panic!("the first claim is over");
    };
    let refused = store.shelve_token(first, b"first", TTL).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLapsed(_)), "{refused}");
    assert_eq!(store.shelve_token(second, b"second", TTL).await.unwrap(), 1);
}

fn ranks(leased: &[usher_shared::store::Lease]) -> String {
    leased.iter().map(|lease| &lease.priority.as_str()[..1]).collect()
}

#[tokio::test]
async fn one_lease_in_ten_is_the_others_across_connections_and_sizes_of_asks() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let (one, _clock) = on_manual_clock(&server).await;
    let (other, _clock) = on_manual_clock(&server).await;
    submitted_users(&one, "share", 0..30, Priority::Bulk).await;
    submitted_users(&one, "share", 100..130, Priority::Normal).await;
    submitted_users(&one, "share", 1_000..1_100, Priority::Urgent).await;
    let mut granted = String::new();
    for (i, leases) in [1, 8, 1, 12, 3, 15].into_iter().enumerate() {
        let store = if i % 2 == 0 { &one } else { &other };
        let leased = store.lease(&ask("share", leases, 1)).await.unwrap().leases;
        assert_eq!(leased.len(), leases);
        granted += &ranks(&leased);
    }
    assert_eq!(granted, "uuuuuuuuunuuuuuuuuubuuuuuuuuunuuuuuuuuub");
}

#[tokio::test]
async fn who_asks_for_urgent_work_alone_gets_no_other_and_is_not_called_for_it() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let (store, clock) = on_manual_clock(&server).await;
    let urgent_only = |leases| LeaseAsk { urgent_only: true, ..ask("urgent", leases, 1) };
    submitted_users(&store, "urgent", 0..5, Priority::Normal).await;
    let leased = store.lease(&urgent_only(3)).await.unwrap();
    assert!(leased.leases.is_empty() && leased.next_due.is_none(), "{leased:?}");
    // A normal job that comes due later is no news either; an urgent one is.
    let mut normal = store.lease(&ask("urgent", 1, 1)).await.unwrap().leases;
    let later = clock.now().after(SECOND);
    let retry = |seq| report(seq, None, usher_shared::Then::Retry { at: later });
    let lease = normal.remove(0);
    let reports = vec![retry(lease.jobs[0].seq)];
    store.finish(lease, reports).await.unwrap();
    assert_eq!(store.lease(&urgent_only(3)).await.unwrap().next_due, None);
    submitted_users(&store, "urgent", 10..12, Priority::Urgent).await;
    let mut urgent = store.lease(&urgent_only(3)).await.unwrap().leases;
    assert_eq!(ranks(&urgent), "uu");
    let lease = urgent.remove(0);
    let reports = vec![retry(lease.jobs[0].seq)];
    store.finish(lease, reports).await.unwrap();
    assert_eq!(store.lease(&urgent_only(3)).await.unwrap().next_due, Some(later));
    clock.advance(SECOND);
    assert_eq!(ranks(&store.lease(&urgent_only(3)).await.unwrap().leases), "u");
    assert_eq!(ranks(&store.lease(&ask("urgent", 9, 1)).await.unwrap().leases), "nnnnn");
}

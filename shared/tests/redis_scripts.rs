//! The Lua scripts, raw: their reply codes, what a lost reply leaves behind, and that the queue's structures agree with
//! the counters after every step of a random run.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod redis_support;

use std::sync::Arc;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use redis::FromRedisValue;
use redis_support::{
    raw::{FS, Raw, START},
    structures::check,
    *,
};
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    Clock, Ending, ManualClock, Priority, RunId, SnoozeReason, Then, Timestamp, Verdict,
    store::{Lease, Store, StoreError, redis::RedisStore},
};

const RUN: &str = "20261120-k3f9zm";
const OTHER: &str = "20261120-k3f9zn";

/// A finish of the job at place 0: F, R or S. One call, no 429, begun at 1 and ended at 88 ms; it may have reached the
/// vendor.
fn finish(member: &str, again: u8, kind: char, head: &str, attempt: &str) -> Vec<Vec<u8>> {
    let (due, text) = match (kind, attempt) {
        ('F', "") => (0, head.to_owned()),
        ('F', _) => (0, format!("{head}{FS}{attempt}")),
        _ => (head.parse().unwrap(), attempt.to_owned()),
    };
    let mut packed = vec!["FRS".find(kind).unwrap() as u8, u8::from(!attempt.is_empty()), 1];
    packed.extend(0_u32.to_le_bytes());
    for moment in [due, 1, 88_i64] {
        packed.extend(moment.to_le_bytes());
    }
    packed.extend([1_u32.to_le_bytes(), [0; 4]].concat());
    vec![member.into(), vec![again, 1, 0], packed, text.into()]
}

#[tokio::test]
async fn every_refusal_has_its_code() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut raw = Raw::of(&server, "codes").await;
    for (name, args) in [
        ("append", vec![RUN, "0", "x"]),
        ("discard", vec![RUN, ""]),
        ("steward", vec![RUN, "take", "w", "1"]),
        ("resolve", vec![RUN, "1", "0", "D1"]),
        ("admit", vec![RUN]),
        ("promote", vec![RUN, "1"]),
        ("steer", vec![RUN, "pause", "0"]),
        ("end", vec![RUN, "1", "c\u{1f}\u{1f}", "{}"]),
        ("reopen", vec![RUN, "0"]),
        ("note", vec![RUN, "held", "{}"]),
        ("confirm", vec![RUN, "go", "{}"]),
        ("reserve", vec![RUN, "1", "count", "5", "15000", "u"]),
        ("reserve", vec![RUN, "1", "back", "15000"]),
        ("seal", vec![RUN, "1", "{}", "k", "d", "1"]),
    ] {
        assert_eq!(raw.call(name, START, &args).await[0], "-2", "{name} of a run that there is not");
    }
    raw.call("open", START, &[RUN, "1", "{}"]).await;
    assert_eq!(raw.call("open", START, &[RUN, "1", "{}"]).await, ["-4"]);
    assert_eq!(raw.call("admit", START, &[RUN]).await, ["-2"], "an open run is seen by nobody");
    assert_eq!(raw.call("seal", START, &[RUN, "1", "{}", "k", "d", "1"]).await, ["-5", "0"]);
    assert_eq!(raw.call("discard", START, &[RUN, &(START - 1).to_string()]).await, ["1"]);
    assert_eq!(raw.call("discard", START, &[RUN, ""]).await, ["0"]);
    raw.sealed(RUN, 2).await;
    assert_eq!(raw.call("append", START, &[RUN, "2", "x"]).await, ["-3", "s"]);
    assert_eq!(raw.call("discard", START, &[RUN, ""]).await, ["-3", "s"]);
    assert_eq!(raw.call("admit", START, &[RUN]).await, ["-3", "s"]);
    assert_eq!(raw.call("promote", START, &[RUN, "1"]).await, ["-3", "s"]);
    raw.call("open", START, &[OTHER, "1", "{}"]).await;
    raw.call("append", START, &[OTHER, "0", "d1\u{1f}x"]).await;
    assert_eq!(raw.call("seal", START, &[OTHER, "1", "{}", RUN, "else", "1"]).await, ["-6", RUN]);
    let token = raw.call("steward", START, &[RUN, "take", "w", "1000"]).await.remove(1);
    assert_eq!(raw.call("steward", START, &[RUN, "take", "v", "1000"]).await, ["1"]);
    assert_eq!(raw.call("resolve", START, &[RUN, &token, "7", "D1"]).await, ["-7", "7"]);
    assert_eq!(raw.call("resolve", START, &[RUN, "99", "0", "D1"]).await, ["-1"]);
    assert_eq!(raw.call("steward", START, &[RUN, "finish", &token, "0"]).await, ["1", "s"]);
    assert_eq!(raw.call("steward", START + 1000, &[RUN, "renew", &token, "1000"]).await, ["-1"]);
    assert_eq!(raw.call("renew", START, &["99", "1000"]).await, ["-1"]);
    assert_eq!(
        raw.call(
            "finish",
            START,
            &finish(&format!("{RUN}{FS}0{FS}99{FS}1{FS}w"), 0, 'F', "a\u{1f}\u{1f}", "")
        )
        .await,
        ["-1"]
    );
    assert_eq!(raw.call("hold", START, &["", ""]).await, ["1"]);
}

#[tokio::test]
async fn a_finish_that_is_sent_again_is_recognised_and_counted_once() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut raw = Raw::of(&server, "again").await;
    raw.queued(RUN, 1).await;
    let attempt = format!("{START}{FS}87{FS}1{FS}{FS}X{FS}{FS}w");
    let due = (START + 1000).to_string();
    let token = raw.lease(START, "1", "1", "0").await.remove(0);
    assert_eq!(raw.call("finish", START, &finish(&token, 0, 'R', &due, &attempt)).await, ["0"]);
    // Sent for the first time, it is late; sent again, the ledger shows that it was written.
    assert_eq!(raw.call("finish", START, &finish(&token, 0, 'R', &due, &attempt)).await, ["-1"]);
    assert_eq!(raw.call("finish", START, &finish(&token, 1, 'R', &due, &attempt)).await, ["0"]);
    let token = raw.lease(START + 1000, "1", "2", "1").await.remove(0);
    let done = format!("a{FS}{FS}");
    let last = attempt.replace(&START.to_string(), &(START + 1000).to_string());
    for again in [0, 1, 1] {
        assert_eq!(raw.call("finish", START + 1001, &finish(&token, again, 'F', &done, &last)).await, ["0"]);
    }
    let other = format!("r{FS}{FS}");
    assert_eq!(raw.call("finish", START + 1001, &finish(&token, 1, 'F', &other, "")).await, ["-1"]);
    let counted = [("attempts", 2), ("calls", 2), ("retries", 1), ("done", 1), ("o:a", 1), ("leased", 0)];
    for (field, expected) in counted {
        assert_eq!(raw.counter(RUN, field).await, expected, "{field}");
    }
    assert_eq!(raw.steered(RUN).await, ('f', false, false));
}

#[tokio::test]
async fn leases_that_are_finished_in_one_call_are_answered_one_by_one() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut raw = Raw::of(&server, "together").await;
    raw.queued(RUN, 4).await;
    let held = raw.lease(START, "3", "1", "0").await;
    let attempt = format!("{START}{FS}87{FS}1{FS}{FS}A{FS}{FS}w");
    let unknown = format!("{RUN}{FS}3{FS}99{FS}{START}{FS}w");
    let one = |member: &str, seq: u8, kind, head: &str| {
        let mut lease = finish(member, 0, kind, head, &attempt);
        lease[2][3] = seq;
        lease
    };
    let due = (START + 1000).to_string();
    let done = format!("a{FS}{FS}");
    let together = [
        one(&held[2], 2, 'F', &done),
        one(&unknown, 3, 'F', &done),
        one(&held[0], 0, 'F', &done),
        // Named twice, it is finished once.
        one(&held[2], 2, 'F', &done),
        one(&held[1], 1, 'R', &due),
    ];
    assert_eq!(raw.call("finish", START, &together.concat()).await, ["0", "-1", "0", "-1", "0"]);
    let counted = [
        ("attempts", 3),
        ("calls", 3),
        ("retries", 1),
        ("done", 2),
        ("o:a", 2),
        ("leased", 0),
        ("queued", 2),
    ];
    for (field, expected) in counted {
        assert_eq!(raw.counter(RUN, field).await, expected, "{field}");
    }
    for seq in ["0", "2"] {
        let record: String = raw.get("HGET", &format!(":run:{RUN}:jobs:0"), &[seq]).await;
        assert!(record.ends_with(&format!("a{FS}{FS}{FS}{attempt}")), "{record:?}");
    }
    assert_eq!(raw.get::<u64>("SCARD", ":busy", &[]).await, 0);
    assert_eq!(raw.get::<u64>("ZCOUNT", ":leases", &["-inf", "(inf"]).await, 0);
}

#[tokio::test]
async fn a_finish_that_a_lapse_overtook_stays_refused() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut raw = Raw::of(&server, "overtaken").await;
    raw.queued(RUN, 1).await;
    let token = raw.lease(START, "1", "1", "0").await.remove(0);
    let attempt = format!("{START}{FS}87{FS}1{FS}{FS}A{FS}{FS}w");
    let done = format!("a{FS}{FS}");
    let late = START + 15_000;
    assert_eq!(raw.call("finish", late, &finish(&token, 1, 'F', &done, &attempt)).await, ["-1"]);
    assert_eq!(raw.lease(late, "1", "2", "1").await.len(), 1, "reclaimed, and leased again");
    assert_eq!(raw.call("finish", late, &finish(&token, 1, 'F', &done, &attempt)).await, ["-1"]);
    assert_eq!((raw.counter(RUN, "lost").await, raw.counter(RUN, "done").await), (1, 0));
}

#[tokio::test]
async fn an_ask_that_arrives_after_a_later_one_grants_nothing() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut raw = Raw::of(&server, "late").await;
    raw.queued(RUN, 5).await;
    assert_eq!(raw.lease(START, "1", "7", "0").await.len(), 1);
    assert!(raw.lease(START, "1", "6", "0").await.is_empty());
    assert!(raw.lease(START, "1", "7", "0").await.is_empty());
    // The reply to ask 8 is lost: ask 9 takes back what it granted, and nothing of ask 7.
    let lost = raw.lease(START, "2", "8", "7").await;
    assert_eq!(raw.lease(START, "9", "9", "7").await.len(), 4);
    let done = format!("a{FS}{FS}");
    assert_eq!(raw.call("finish", START, &finish(&lost[0], 0, 'F', &done, "")).await, ["-1"]);
    assert_eq!((raw.counter(RUN, "leased").await, raw.counter(RUN, "lost").await), (5, 0));
}

#[tokio::test]
async fn one_call_does_no_more_than_a_chunk_of_work() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    let older = submitted(&store, "chunk", 1_700, Priority::Bulk).await;
    submitted(&store, "chunk", 1_700, Priority::Bulk).await;
    // All of the older run is superseded: that takes four looks, and each says at once that there is more.
    let before = store.now().await.unwrap();
    let leased = store.lease(&only(ask("chunk", 1_000, 10), &older)).await.unwrap();
    assert!(leased.leases.is_empty() && leased.next_due.is_some_and(|due| due >= before));
    assert_eq!(store.run(&older).await.unwrap().unwrap().counters.finished, 500);
    for _ in 0..3 {
        store.lease(&only(ask("chunk", 1_000, 10), &older)).await.unwrap();
    }
    assert_eq!(store.run(&older).await.unwrap().unwrap().counters.finished, 1_700);
    let leased = store.lease(&ask("chunk", 1_000, 10)).await.unwrap();
    assert_eq!(leased.leases.iter().map(|lease| lease.jobs.len()).sum::<usize>(), 500);
}

#[tokio::test]
async fn an_account_s_keys_carry_its_tag() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    submitted(&store, "tagged", 3, Priority::Bulk).await;
    store.lease(&ask("tagged", 1, 1)).await.unwrap();
    let keys: Vec<String> =
        FromRedisValue::from_redis_value(raw(&server, redis::cmd("KEYS").arg("*")).await).unwrap();
    let global = ["usher:schema", "usher:runs", "usher:newest", "usher:accounts"];
    for key in &keys {
        assert!(key.starts_with("usher:{tagged}") || global.contains(&key.as_str()), "{key}");
    }
    assert!(keys.len() > 10);
}

/// What a random step may meet: the run is over already.
fn allowed<T>(result: Result<T, StoreError>) {
    if let Err(error) = result {
        assert!(matches!(error, StoreError::WrongPhase { .. }), "{error}");
    }
}

async fn one_step(
    store: &RedisStore,
    clock: &ManualClock,
    random: &mut StdRng,
    runs: &[RunId],
    held: &mut Vec<Lease>,
) {
    let run = &runs[random.random_range(0..runs.len())];
    match random.random_range(0..100) {
        0..35 => {
            let mut ask = ask("random", random.random_range(1..4), random.random_range(1..4));
            ask.idle = held.is_empty();
            held.extend(store.lease(&ask).await.unwrap().leases);
        }
        35..75 if !held.is_empty() => {
            let lease = held.swap_remove(random.random_range(0..held.len()));
            let now = clock.now();
            let mut reports = Vec::new();
            for job in lease.jobs.iter() {
                let tried = Some(attempt(now, Verdict::Transient, 1));
                let later = now.after(SECOND * random.random_range(0..20));
                reports.push(match random.random_range(0..5) {
                    0 => continue,
                    1 => report(job.seq, tried, Then::Retry { at: later }),
                    2 => report(job.seq, None, Then::Snooze { until: later, reason: SnoozeReason::Returned }),
                    _ => applied_at(job.seq, now),
                });
            }
            match store.finish(lease, reports).await {
                Ok(()) | Err(StoreError::LeaseLapsed(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        75..80 => clock.advance(SECOND * random.random_range(1..25)),
        80..84 => allowed(store.pause(run).await),
        84..92 => allowed(store.resume(run).await),
        92..95 => allowed(store.set_priority(run, Priority::ALL[random.random_range(0..3)]).await),
        95 => allowed(store.end(run, &Ending::deadline(), random.random_range(1..4)).await),
        _ => {
            // A worker that forgets what it holds: its leases lapse in their time.
            held.clear();
        }
    }
}

#[tokio::test]
async fn structures_and_counters_agree_after_every_step_of_a_random_run() {
    let seed = rand::rng().random::<u64>();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), Some(Arc::clone(&clock) as Arc<dyn Clock>)).await.unwrap();
    let mut raw = Raw::of(&server, "random").await;
    let mut runs = Vec::new();
    for n in [12, 8, 20] {
        runs.push(submitted(&store, "random", n, Priority::ALL[random.random_range(0..3)]).await);
    }
    let mut held = Vec::new();
    for _ in 0..300 {
        one_step(&store, &clock, &mut random, &runs, &mut held).await;
        check(&mut raw, &runs).await;
    }
    // In the end every job has one outcome.
    for run in &runs {
        allowed(store.resume(run).await);
        if store.run(run).await.unwrap().unwrap().cancelled {
            allowed(store.end(run, &Ending::cancelled(), 500).await);
        }
    }
    for _ in 0..2_000 {
        if store.unfinished(&account("random")).await.unwrap().is_empty() {
            break;
        }
        for lease in store.lease(&idle(ask("random", 9, 3))).await.unwrap().leases {
            let reports = lease.jobs.iter().map(|job| applied_at(job.seq, clock.now())).collect();
            store.finish(lease, reports).await.unwrap();
        }
        clock.advance(SECOND);
    }
    check(&mut raw, &runs).await;
    for (run, n) in runs.iter().zip([12, 8, 20]) {
        let status = store.run(run).await.unwrap().unwrap();
        assert!(status.phase.is_over() && status.counters.add_up(), "seed {seed}: {status:?}");
        let rows = store.outcomes(run, 0, 100).await.unwrap();
        assert_eq!(rows.len(), n, "seed {seed}");
        for row in rows {
            // Snoozes without an attempt leave no trace; every other try is there once.
            let ledger = store.attempts(run, row.seq).await.unwrap();
            assert_eq!(ledger.len(), row.attempts as usize, "seed {seed}: {row:?} {ledger:?}");
        }
    }
}

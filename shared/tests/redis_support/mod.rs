//! What the tests of the store on Redis have in common: runs, users, asks and reports.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test program uses what it needs"
)]

pub mod raw;
pub mod structures;

use std::{collections::BTreeMap, time::Duration};

use rand::RngExt;
use usher_shared::{
    AccountName, Action, Attempt, JobReport, NewRun, Outcome, Priority, Request, ResolvedUser, RunId, Status,
    Then, Timestamp, UserState, Verdict, WorkerId,
    store::{CHUNK, Idempotency, LeaseAsk, Resolution, Seal, Sealed, Store, StoreError, redis::RedisStore},
};

use usher_redis_server::{RedisServer, unique};

pub const SECOND: Duration = Duration::from_secs(1);
pub const TTL: Duration = Duration::from_secs(15);

pub fn account(name: &str) -> AccountName {
    name.parse().unwrap()
}

pub fn worker(name: &str) -> WorkerId {
    WorkerId::new(name)
}

/// User `n` as the vendor knows it.
pub fn user(n: u64) -> ResolvedUser {
    ResolvedUser {
        id: format!("KDcuGIm1QgePTO8{n:07}"),
        email: Some(format!("user{n}@corp.example")),
        before: UserState {
            status: Status::Active,
            license: Some("2".into()),
            role: Some("2".into()),
            groups: Vec::new(),
        },
    }
}

pub fn request(n: u64) -> Request {
    let user = format!("user{n}@corp.example").parse().unwrap();
    Request { restore: None, line: n + 1, user, action: Action::Deactivate, reason: None }
}

pub fn new_run(account_name: &str, priority: Priority) -> NewRun {
    let created_at = Timestamp::from_millis(1_790_000_000_000 + i64::try_from(unique()).unwrap());
    NewRun {
        terms: Default::default(),
        id: RunId::new(created_at, &mut rand::rng()),
        account: account(account_name),
        priority,
        reason: Some("left".into()),
        asked_by: "test".into(),
        source: None,
        created_at,
    }
}

async fn opened(store: &RedisStore, account_name: &str, n: u64, priority: Priority) -> RunId {
    let run = new_run(account_name, priority);
    store.open_run(&run).await.unwrap();
    let requests: Vec<_> = (0..n).map(request).collect();
    for (i, chunk) in requests.chunks(CHUNK).enumerate() {
        store.append(&run.id, (i * CHUNK) as u64, chunk).await.unwrap();
    }
    run.id
}

pub fn seal(n: u64, key: &str, digest: &str) -> Seal {
    let idempotency = Idempotency { key: key.into(), digest: digest.into(), again_after_end: true };
    Seal { total: n, by_action: BTreeMap::from([(Action::Deactivate, n)]), idempotency }
}

pub async fn sealed(
    store: &RedisStore,
    account_name: &str,
    n: u64,
    key: &str,
    digest: &str,
) -> Result<(RunId, Sealed), StoreError> {
    let run = opened(store, account_name, n, Priority::Normal).await;
    let sealed = store.seal(&run, &seal(n, key, digest)).await?;
    Ok((run, sealed))
}

/// A run that is queued: sealed, resolved, admitted, promoted.
pub async fn submitted(store: &RedisStore, account_name: &str, n: u64, priority: Priority) -> RunId {
    submitted_users(store, account_name, 0..n, priority).await
}

/// The same, of these users.
pub async fn submitted_users(
    store: &RedisStore,
    account_name: &str,
    users: std::ops::Range<u64>,
    priority: Priority,
) -> RunId {
    let n = users.end - users.start;
    let run = opened(store, account_name, n, priority).await;
    let key = format!("{}", rand::rng().random::<u64>());
    assert_eq!(store.seal(&run, &seal(n, &key, "digest")).await.unwrap(), Sealed::New { previous: None });
    let steward = store.take_steward(&run, &worker("steward"), TTL).await.unwrap().unwrap();
    for from in (0..n).step_by(CHUNK) {
        let part: Vec<_> = (from..n.min(from + CHUNK as u64))
            .map(|seq| (seq, Resolution::Change(user(users.start + seq))))
            .collect();
        store.resolve(&steward, &part).await.unwrap();
    }
    store.finish_resolving(steward).await.unwrap();
    store.admit(&run).await.unwrap();
    while store.promote(&run, CHUNK).await.unwrap() > 0 {}
    run
}

pub fn ask(account_name: &str, leases: usize, batch: usize) -> LeaseAsk {
    LeaseAsk {
        account: account(account_name),
        worker: worker("host:1:abc"),
        leases,
        batch,
        ttl: TTL,
        only_run: None,
        urgent_only: false,
        idle: false,
    }
}

pub fn idle(ask: LeaseAsk) -> LeaseAsk {
    LeaseAsk { idle: true, ..ask }
}

pub fn only(ask: LeaseAsk, run: &RunId) -> LeaseAsk {
    LeaseAsk { only_run: Some(run.clone()), ..ask }
}

pub fn attempt(at: Timestamp, verdict: Verdict, calls: u32) -> Attempt {
    Attempt {
        began_at: at,
        ended_at: at.after(Duration::from_millis(87)),
        calls,
        http: Some(204),
        verdict,
        code: None,
        worker: worker("host:1:abc"),
    }
}

pub fn report(seq: u64, attempt: Option<Attempt>, then: Then) -> JobReport {
    JobReport { seq, attempt, throttled: 0, then }
}

pub fn applied_at(seq: u64, at: Timestamp) -> JobReport {
    let then = Then::Finish { outcome: Outcome::Applied, code: None, message: None };
    report(seq, Some(attempt(at, Verdict::Applied, 1)), then)
}

pub fn applied(seq: u64) -> JobReport {
    applied_at(seq, Timestamp::from_millis(1_790_000_000_000))
}

/// Sends a command past the store.
pub async fn raw(server: &RedisServer, command: &redis::Cmd) -> redis::Value {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

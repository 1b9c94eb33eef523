//! What people do to runs, on Redis: what lies there after each step, what a call that is sent again does, and what goes on
//! from where another was cut short.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod redis_support;

use std::sync::Arc;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use redis_support::{
    raw::{FS, Raw, START},
    structures::check,
    *,
};
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    Approval, Clock, Confirmation, Ending, ManualClock, Outcome, Priority, RunId, RunPhase, Then, Timestamp,
    Verdict,
    audit::{AuditEvent, AuditHead, AuditKind},
    store::{CHUNK, RESERVING, Reserved, Resolution, STANDS_STILL, Store, StoreError, redis::RedisStore},
};

const RUN: &str = "20261120-k3f9zm";
const ACCOUNT: &str = "operated";

struct Ground {
    _server: RedisServer,
    clock: Arc<ManualClock>,
    store: RedisStore,
    raw: Raw,
}

async fn ground() -> Ground {
    let server = RedisServer::start(Durability::Memory, &[]);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
    let store = RedisStore::connect(&server.url(), Some(Arc::clone(&clock) as Arc<dyn Clock>)).await.unwrap();
    let raw = Raw::of(&server, ACCOUNT).await;
    Ground { _server: server, clock, store, raw }
}

impl Ground {
    /// A run of `n` that is resolved and not admitted.
    async fn resolved(&self, n: u64) -> RunId {
        let key = format!("{}", rand::rng().random::<u64>());
        let (run, _) = sealed(&self.store, ACCOUNT, n, &key, "digest").await.unwrap();
        self.resolve(&run).await;
        run
    }

    /// Resolves all requests to the users that they name.
    async fn resolve(&self, run: &RunId) {
        let steward = self.store.take_steward(run, &worker("steward"), TTL).await.unwrap().unwrap();
        let requests = self.store.requests(run, 0, usize::MAX).await.unwrap();
        for chunk in requests.chunks(CHUNK) {
            let part: Vec<_> = chunk.iter().map(|(seq, _)| (*seq, Resolution::Change(user(*seq)))).collect();
            self.store.resolve(&steward, &part).await.unwrap();
        }
        self.store.finish_resolving(steward).await.unwrap();
    }

    /// Admits a resolved run and puts all of it into the queue.
    async fn begin(&self, run: &RunId) {
        self.store.admit(run).await.unwrap();
        while self.store.promote(run, CHUNK).await.unwrap() > 0 {}
    }

    /// Works one job of the run that comes next; its place.
    async fn work(&self, run: &RunId, verdict: Verdict, outcome: Outcome) -> u64 {
        let leased = self.store.lease(&only(ask(ACCOUNT, 1, 1), run)).await.unwrap();
        let lease = leased.leases.into_iter().next().unwrap();
        let seq = lease.jobs[0].seq;
        let then = Then::Finish { outcome, code: None, message: None };
        let tried = Some(attempt(self.clock.now(), verdict, 1));
        self.store.finish(lease, vec![report(seq, tried, then)]).await.unwrap();
        seq
    }

    /// Works all that is left of a run as applied.
    async fn work_all(&self, run: &RunId) {
        while !self.store.run(run).await.unwrap().unwrap().phase.is_over() {
            self.work(run, Verdict::Applied, Outcome::Applied).await;
        }
    }

    async fn phase(&self, run: &RunId) -> RunPhase {
        self.store.run(run).await.unwrap().unwrap().phase
    }
}

fn approval(clock: &ManualClock) -> Confirmation {
    let plan = "ab".repeat(32).parse().unwrap();
    Confirmation::Approve(Approval { by: "ann".into(), at: clock.now(), plan, signature: "c2ln".into() })
}

#[tokio::test]
async fn a_confirmed_run_is_numbered_anew_and_resolved_again_by_whoever_begins_now() {
    let mut ground = ground().await;
    let run = ground.resolved(3).await;
    let newer = ground.resolved(3).await;
    assert_eq!(ground.raw.counter(run.as_str(), "adm").await, 1);
    // Somebody has begun to resolve it again, and what he knows is from before.
    ground.clock.advance(STANDS_STILL + SECOND);
    let early = ground.store.take_steward(&run, &worker("early"), TTL).await.unwrap().unwrap();
    let confirmation = approval(&ground.clock);
    ground.store.confirm(&run, &confirmation).await.unwrap();
    assert_eq!(ground.raw.counter(run.as_str(), "adm").await, 3, "over the run that was sealed later");
    let late = ground.store.finish_resolving(early).await;
    assert!(matches!(late, Err(StoreError::LeaseLapsed(_))), "{late:?}");
    assert!(matches!(ground.store.admit(&run).await, Err(StoreError::WrongPhase { .. })));
    ground.resolve(&run).await;
    ground.resolve(&newer).await;
    // Sent again, it changes nothing: neither now nor once the run is admitted.
    ground.store.confirm(&run, &confirmation).await.unwrap();
    assert_eq!(ground.store.admit(&run).await.unwrap(), 3);
    ground.store.confirm(&run, &confirmation).await.unwrap();
    let another = approval(&ManualClock::new(Timestamp::from_millis(1)));
    assert!(matches!(ground.store.confirm(&run, &another).await, Err(StoreError::WrongPhase { .. })));
    assert_eq!(ground.store.admit(&newer).await.unwrap(), 2);
    check(&mut ground.raw, &[run, newer]).await;
}

#[tokio::test]
async fn jobs_that_are_tried_again_keep_their_attempts_and_nothing_else_of_their_past() {
    let mut ground = ground().await;
    let run = ground.resolved(5).await;
    ground.begin(&run).await;
    ground.work(&run, Verdict::Applied, Outcome::Applied).await;
    ground.work(&run, Verdict::Rejected, Outcome::Rejected).await;
    ground.work(&run, Verdict::Transient, Outcome::Exhausted).await;
    // A worker dies with the fourth; the fifth is cancelled with the run, and so is the fourth as it comes back.
    ground.store.lease(&only(ask(ACCOUNT, 1, 1), &run)).await.unwrap();
    assert_eq!(ground.store.end(&run, &Ending::deadline(), 1).await.unwrap(), 1);
    ground.clock.advance(TTL);
    ground.store.end(&run, &Ending::cancelled(), 1).await.unwrap();
    ground.store.lease(&ask(ACCOUNT, 1, 1)).await.unwrap();
    let status = ground.store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.phase, &status.notes.ending), (RunPhase::Cancelled, &Some(Ending::deadline())));
    assert_eq!(status.counters.of(Outcome::Expired), 2, "the first ending stands: {status:?}");
    let key = format!(":run:{run}:tries");
    let lost: String = ground.raw.get("HGET", &format!(":run:{run}:jobs:0"), &["3"]).await;
    assert!(lost.contains(&format!("e{FS}deadline{FS}")) && lost.contains(&format!("{FS}L{FS}")), "{lost:?}");

    assert_eq!(ground.store.reopen(&run, &[4, 1, 0, 4, 99]).await.unwrap(), 2);
    assert_eq!(ground.store.reopen(&run, &[4, 1]).await.unwrap(), 0, "sent again");
    assert_eq!(ground.store.reopen(&run, &[3, 2]).await.unwrap(), 2);
    let status = ground.store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.phase, status.paused, status.cancelled), (RunPhase::Sealed, true, false));
    assert_eq!((status.counters.pending, status.counters.finished), (4, 1));
    assert_eq!((&status.notes.ending, status.finished_at), (&None, None));
    check(&mut ground.raw, std::slice::from_ref(&run)).await;
    // spent, deaths, whether one may have applied: not after a refusal, but after a lost reply or a dead worker.
    for (seq, head) in [("1", "0,0,0,"), ("2", "0,0,1,"), ("3", "0,0,1,")] {
        let tries: String = ground.raw.get("HGET", &key, &[seq]).await;
        assert!(tries.starts_with(head), "{seq}: {tries:?}");
    }
    let users: Vec<String> = ground.raw.get("HKEYS", ":users", &[]).await;
    assert_eq!(users, [user(0).id], "only what was done decides");
    // One that may have applied keeps what was there before it, once it is resolved again.
    ground.store.resume(&run).await.unwrap();
    ground.resolve(&run).await;
    let planned = ground.store.planned(&run, 0, 10).await.unwrap();
    assert_eq!(planned.len(), 5);
    ground.begin(&run).await;
    check(&mut ground.raw, std::slice::from_ref(&run)).await;
    for seq in 1..5 {
        let leased = ground.store.lease(&ask(ACCOUNT, 1, 1)).await.unwrap().leases.remove(0);
        let job = &leased.jobs[0];
        assert_eq!((job.seq, job.attempt, job.deaths), (seq, 1, 0));
        assert_eq!(job.may_have_applied, seq == 2 || seq == 3);
        ground.store.finish(leased, vec![applied_at(seq, ground.clock.now())]).await.unwrap();
    }
    assert_eq!(ground.phase(&run).await, RunPhase::Finished);
    for (row, attempts) in ground.store.outcomes(&run, 0, 10).await.unwrap().iter().zip([1, 2, 2, 2, 1]) {
        assert_eq!((row.outcome, row.attempts), (Outcome::Applied, attempts), "{row:?}");
        assert_eq!(ground.store.attempts(&run, row.seq).await.unwrap().len(), attempts as usize);
    }
    assert_eq!(ground.store.reopen(&run, &[0, 1, 2]).await.unwrap(), 0);
    assert_eq!(ground.phase(&run).await, RunPhase::Finished, "nothing of it is tried again");
}

/// Ends of all kinds, retried again and again, with everything in between.
#[tokio::test]
async fn structures_and_counters_agree_however_often_jobs_are_tried_again() {
    let seed = rand::rng().random::<u64>();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut ground = ground().await;
    let runs = [ground.resolved(12).await, ground.resolved(7).await];
    for _ in 0..400 {
        let run = &runs[random.random_range(0..2)];
        let status = ground.store.run(run).await.unwrap().unwrap();
        match (status.phase, random.random_range(0..10)) {
            (_, 0) => ground.clock.advance(SECOND * random.random_range(1..20)),
            (RunPhase::Finished | RunPhase::Cancelled, _) => {
                let some = (0..14).filter(|_| random.random_bool(0.3)).collect::<Vec<u64>>();
                ground.store.reopen(run, &some).await.unwrap();
            }
            (_, 1) if !status.cancelled => {
                let ending = if random.random() { Ending::cancelled() } else { Ending::deadline() };
                ground.store.end(run, &ending, random.random_range(0..4)).await.unwrap();
            }
            _ if status.cancelled => {
                ground.store.end(run, &Ending::cancelled(), random.random_range(1..4)).await.unwrap();
                drop(ground.store.lease(&ask(ACCOUNT, 0, 0)).await.unwrap());
            }
            (RunPhase::Sealed, 2) if status.paused => {
                ground.store.reopen(run, &[random.random_range(0..12)]).await.unwrap();
            }
            (RunPhase::Sealed, _) => {
                ground.store.resume(run).await.unwrap();
                let steward = ground.store.take_steward(run, &worker("s"), TTL).await.unwrap().unwrap();
                let all = ground.store.requests(run, 0, 100).await.unwrap();
                let known = |seq: u64, random: &mut StdRng| match random.random_range(0..12) {
                    0 if seq > 0 => Resolution::Duplicate { of_line: 1 },
                    1 => Resolution::Settled {
                        outcome: Outcome::NotFound,
                        code: None,
                        message: None,
                        user: None,
                    },
                    _ => Resolution::Change(user(seq)),
                };
                let found: Vec<_> = all.iter().map(|(seq, _)| (*seq, known(*seq, &mut random))).collect();
                ground.store.resolve(&steward, &found).await.unwrap();
                check(&mut ground.raw, &runs).await;
                ground.store.finish_resolving(steward).await.unwrap();
            }
            (RunPhase::Resolved, _) if status.stood_still(ground.clock.now()).is_some() => {
                let steward = ground.store.take_steward(run, &worker("s"), TTL).await.unwrap().unwrap();
                ground.store.finish_resolving(steward).await.unwrap();
            }
            (RunPhase::Resolved, 3) => ground.store.confirm(run, &approval(&ground.clock)).await.unwrap(),
            (RunPhase::Resolved, _) => drop(ground.store.admit(run).await.unwrap()),
            (_, 4) => drop(ground.store.promote(run, random.random_range(1..5)).await.unwrap()),
            _ => {
                let leased = ground.store.lease(&idle(ask(ACCOUNT, 2, 2))).await.unwrap();
                for lease in leased.leases {
                    if random.random_bool(0.2) {
                        continue;
                    }
                    let now = ground.clock.now();
                    let ends = [Outcome::Applied, Outcome::Rejected, Outcome::Exhausted, Outcome::Poisoned];
                    let report = |job: &usher_shared::store::LeasedJob, outcome| {
                        let then = Then::Finish { outcome, code: None, message: None };
                        report(job.seq, Some(attempt(now, Verdict::Transient, 1)), then)
                    };
                    let reports =
                        lease.jobs.iter().map(|job| report(job, ends[random.random_range(0..4)])).collect();
                    ground.store.finish(lease, reports).await.unwrap();
                }
            }
        }
        check(&mut ground.raw, &runs).await;
    }
}

#[tokio::test]
async fn a_run_is_forgotten_in_chunks_and_gone_for_everybody_from_the_first_on() {
    let ground = ground().await;
    let n = 2 * CHUNK as u64 + 5;
    let run = ground.resolved(n).await;
    ground.begin(&run).await;
    ground.store.end(&run, &Ending::cancelled(), CHUNK).await.unwrap();
    while ground.store.end(&run, &Ending::cancelled(), CHUNK).await.unwrap() > 0 {}
    let ended = ground.clock.now();
    assert_eq!(ground.store.prune(ended).await.unwrap(), None, "not before it ended");
    ground.clock.advance(SECOND);
    let before = ground.clock.now();
    assert_eq!(ground.store.prune(before).await.unwrap(), Some((run.clone(), false)));
    assert_eq!(ground.store.run(&run).await.unwrap(), None);
    assert!(ground.store.runs(None, 10).await.unwrap().is_empty());
    assert!(matches!(ground.store.reopen(&run, &[0]).await, Err(StoreError::NoSuchRun(_))));
    assert_eq!(ground.store.prune(before).await.unwrap(), Some((run.clone(), false)));
    assert_eq!(ground.store.prune(before).await.unwrap(), Some((run.clone(), true)));
    assert_eq!(ground.store.prune(before).await.unwrap(), None);
}

#[tokio::test]
async fn who_was_cut_short_in_forgetting_a_run_is_followed_by_another() {
    let mut ground = ground().await;
    let run = ground.resolved(3).await;
    ground.begin(&run).await;
    ground.work_all(&run).await;
    ground.clock.advance(SECOND);
    let (now, before) = (ground.clock.now().as_millis(), ground.clock.now().as_millis().to_string());
    // All rows, and then no more.
    assert_eq!(ground.raw.call("prune", now, &["rows", run.as_str(), &before]).await, ["0", "0"]);
    assert_eq!(ground.store.prune(ground.clock.now()).await.unwrap(), Some((run.clone(), true)));
    assert_eq!(ground.raw.call("prune", now, &["rows", run.as_str(), &before]).await, ["1"]);
    assert_eq!(ground.raw.call("prune", now, &["gone", run.as_str()]).await, ["1"]);
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("usher:*").query_async(&mut ground.raw.connection).await.unwrap();
    let kept = ["usher:schema", "usher:accounts", "usher:{operated}", "usher:{operated}:leases"];
    let rest: Vec<_> =
        keys.iter().filter(|key| !kept.contains(&key.as_str()) && !key.contains(":ask:")).collect();
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn what_a_forgotten_run_decided_stands_until_no_older_run_can_ask() {
    let mut ground = ground().await;
    let older = ground.resolved(4).await;
    ground.begin(&older).await;
    let newer = ground.resolved(3).await;
    ground.begin(&newer).await;
    ground.work_all(&newer).await;
    ground.clock.advance(SECOND);
    assert_eq!(ground.store.prune(ground.clock.now()).await.unwrap(), Some((newer.clone(), true)));
    assert_eq!(ground.store.prune(ground.clock.now()).await.unwrap(), None);
    assert_eq!(ground.raw.get::<u64>("HLEN", ":outlived", &[]).await, 1);
    ground.work(&older, Verdict::Applied, Outcome::Applied).await;
    let rows = ground.store.outcomes(&older, 0, 10).await.unwrap();
    let superseded: Vec<_> = rows.iter().filter(|row| row.outcome == Outcome::Superseded).collect();
    assert_eq!(superseded.len(), 3);
    assert!(superseded.iter().all(|row| row.code.as_deref() == Some(newer.as_str())));
    assert_eq!(ground.phase(&older).await, RunPhase::Finished);
    ground.clock.advance(SECOND);
    assert_eq!(ground.store.prune(ground.clock.now()).await.unwrap(), Some((older, true)));
    assert_eq!(ground.store.prune(ground.clock.now()).await.unwrap(), None);
    for key in [":outlived", ":users", ":admissions", ":keys", ":ended"] {
        let there: bool = ground.raw.get("EXISTS", key, &[]).await;
        assert!(!there, "{key}");
    }
}

#[tokio::test]
async fn users_are_counted_once_a_day_by_one_run_at_a_time() {
    let mut ground = ground().await;
    let (one, other) = (ground.resolved(1).await, ground.resolved(1).await);
    let users = |from: usize, to: usize| (from..to).map(|n| format!("user{n}")).collect::<Vec<_>>();
    let store = &ground.store;
    let counted = |used| Reserved::Counted { used };
    assert_eq!(store.reserve(&one, 7, &users(0, 500), 1_100).await.unwrap(), counted(500));
    assert_eq!(store.reserve(&one, 7, &users(400, 900), 1_100).await.unwrap(), counted(900));
    assert_eq!(store.reserve(&one, 7, &users(400, 900), 1_100).await.unwrap(), counted(900), "sent again");
    assert_eq!(
        store.reserve(&one, 7, &users(800, 1_101), 1_100).await.unwrap(),
        Reserved::Over { used: 900 }
    );
    assert_eq!(store.reserve(&one, 8, &users(0, 3), 3).await.unwrap(), counted(3), "another day");
    assert_eq!(store.reserve(&other, 9, &users(0, 1), 9).await.unwrap(), Reserved::Busy(one.clone()));
    ground.clock.advance(RESERVING);
    assert_eq!(store.reserve(&other, 7, &users(0, 1), 9).await.unwrap(), counted(900), "counted already");
    assert_eq!(store.reserve(&one, 7, &users(0, 1), 9).await.unwrap(), Reserved::Busy(other.clone()));
    store.admit(&other).await.unwrap();
    assert_eq!(store.reserve(&one, 7, &[], 9).await.unwrap(), counted(900));
    assert!(matches!(store.reserve(&other, 7, &[], 9).await, Err(StoreError::WrongPhase { .. })));
    assert_eq!(store.unreserve(&one, 7).await.unwrap(), 400);
    assert_eq!(store.unreserve(&one, 7).await.unwrap(), 0);
    assert_eq!(store.unreserve(&one, 7).await.unwrap(), 0);
    let left: Vec<String> = ground.raw.get("HGETALL", ":counted:7", &[]).await;
    assert_eq!(left, ["user0", "1"], "whom another run has counted, too");
    assert_eq!(store.unreserve(&other, 7).await.unwrap(), 0);
    for key in [":counted:7", &format!(":counted:7:{one}"), &format!(":counted:7:{other}")] {
        let there: bool = ground.raw.get("EXISTS", key, &[]).await;
        assert!(!there, "{key}");
    }
    assert!(ground.raw.get::<i64>("PTTL", ":counted:8", &[]).await > 0, "gone by itself");
    // Who is over counts no more.
    assert_eq!(store.reserve(&one, 9, &users(0, 1), 9).await.unwrap(), counted(1));
    let next = ground.resolved(1).await;
    assert_eq!(store.reserve(&next, 9, &users(0, 1), 9).await.unwrap(), Reserved::Busy(one.clone()));
    assert_eq!(store.end(&one, &Ending::over_cap("too many".into()), 9).await.unwrap(), 0);
    assert_eq!(store.reserve(&next, 9, &users(0, 1), 9).await.unwrap(), counted(1));
}

#[tokio::test]
async fn a_lease_tells_the_version_of_the_protected_users_late_asks_too() {
    let mut ground = ground().await;
    let mut version = async |ask: &str| {
        let args = ["w", "1", "1", "15000", "", "0", "session", ask, "0", "0", "10"];
        ground.raw.call("lease", START, &args).await.pop().unwrap()
    };
    assert_eq!(version("1").await, "0");
    let entry = usher_shared::Protection {
        pattern: "role:1".to_owned().try_into().unwrap(),
        reason: None,
        by: "cli:ann".into(),
        at: Timestamp::from_millis(START),
    };
    ground.store.protect(&account(ACCOUNT), &entry).await.unwrap();
    ground.store.protect(&account(ACCOUNT), &entry).await.unwrap();
    let list = ground.store.protections(&account(ACCOUNT)).await.unwrap();
    assert_eq!((list.version, list.list), (2, vec![entry]));
    assert!(ground.store.unprotect(&account(ACCOUNT), "role:1").await.unwrap());
    assert!(!ground.store.unprotect(&account(ACCOUNT), "role:1").await.unwrap());
    let mut version = async |ask: &str| {
        let args = ["w", "1", "1", "15000", "", "0", "session", ask, "0", "0", "10"];
        ground.raw.call("lease", START, &args).await.pop().unwrap()
    };
    assert_eq!(version("3").await, "3");
    assert_eq!(version("2").await, "3", "an ask that comes late");
}

fn event(n: u64) -> AuditEvent {
    AuditEvent {
        what: AuditKind::Paused,
        by: format!("cli:{n}"),
        from: None,
        account: None,
        run: Some(RUN.parse().unwrap()),
        plan: None,
        detail: None,
    }
}

#[tokio::test]
async fn the_audit_goes_on_over_its_pages_and_each_entry_is_sealed_once() {
    let mut ground = ground().await;
    let store = &ground.store;
    let mut tell = redis::cmd("FCALL");
    let script = usher_shared::store::redis::script::AUDIT;
    tell.arg(script.function()).arg(1).arg("usher:{_audit}").arg(START).arg("tell").arg("{}");
    for _ in 0..4_094 {
        let _: redis::Value = tell.query_async(&mut ground.raw.connection).await.unwrap();
    }
    for number in 4_095..4_100 {
        assert_eq!(store.tell(&event(number)).await.unwrap(), number);
    }
    let entries = store.audit(4_090, 8).await.unwrap();
    assert_eq!(
        entries.iter().map(|entry| entry.number).collect::<Vec<_>>(),
        (4_090..4_098).collect::<Vec<_>>()
    );
    assert_eq!(entries[6].read(), Some(event(4_096)));
    assert_eq!(store.audit(0, 1).await.unwrap()[0].number, 1);
    assert_eq!(store.audit(4_100, 9).await.unwrap(), []);
    assert_eq!(store.audit(1, usize::MAX).await.unwrap().len(), 4_099);

    assert_eq!(store.audit_head().await.unwrap(), None);
    let seals = |from: u64, to: u64| (from..to).map(|n| format!("{n:064x}")).collect::<Vec<_>>();
    let head = |number: u64| AuditHead { number, seal: format!("{number:064x}") };
    assert!(store.seal_audit(None, &seals(1, 401)).await.unwrap());
    assert!(!store.seal_audit(None, &seals(1, 401)).await.unwrap(), "sent again");
    assert!(!store.seal_audit(None, &seals(2, 402)).await.unwrap(), "another was quicker");
    assert!(!store.seal_audit(Some(&head(399)), &seals(400, 500)).await.unwrap());
    assert_eq!(store.audit_head().await.unwrap(), Some(head(400)));
    let mut number = 400;
    while number < 4_099 {
        let next = (number + 500).min(4_099);
        assert!(store.seal_audit(Some(&head(number)), &seals(number + 1, next + 1)).await.unwrap());
        number = next;
    }
    assert!(
        !store.seal_audit(Some(&head(4_099)), &seals(4_100, 4_101)).await.unwrap(),
        "there is no such entry"
    );
    let sealed = store.audit(4_090, 100).await.unwrap();
    assert!(sealed.iter().all(|entry| entry.seal == Some(head(entry.number).seal)), "{sealed:?}");
    let _: u64 = redis::cmd("HDEL")
        .arg("usher:{_audit}:entries:1")
        .arg(4_097)
        .query_async(&mut ground.raw.connection)
        .await
        .unwrap();
    let numbers: Vec<u64> = store.audit(4_096, 3).await.unwrap().iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [4_096, 4_098], "what somebody removed shows as a gap");
}

/// Whoever has what the documentation says can do all of it.
#[tokio::test]
async fn the_documented_rights_are_enough_for_what_people_do() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut grant = redis::cmd("ACL");
    grant.arg("SETUSER").arg("usher").arg("on").arg(">secret");
    for rule in usher_shared::store::redis::rights::rules().split_whitespace() {
        grant.arg(rule);
    }
    redis_support::raw(&server, &grant).await;
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
    let url = server.url().replace("redis://", "redis://usher:secret@");
    let store = RedisStore::connect(&url, Some(Arc::clone(&clock) as Arc<dyn Clock>)).await.unwrap();
    let run = submitted(&store, ACCOUNT, 3, Priority::Normal).await;
    assert_eq!(store.end(&run, &Ending::deadline(), CHUNK).await.unwrap(), 0);
    assert_eq!(store.reopen(&run, &[0, 1]).await.unwrap(), 2);
    store.resume(&run).await.unwrap();
    let steward = store.take_steward(&run, &worker("steward"), TTL).await.unwrap().unwrap();
    let all: Vec<_> = (0..3).map(|seq| (seq, Resolution::Change(redis_support::user(seq)))).collect();
    store.resolve(&steward, &all).await.unwrap();
    store.finish_resolving(steward).await.unwrap();
    store.note(&run, &usher_shared::Note::Held(None)).await.unwrap();
    store.confirm(&run, &approval(&clock)).await.unwrap();
    assert_eq!(store.planned(&run, 0, 9).await.unwrap().len(), 3);
    assert_eq!(store.reserve(&run, 7, &["a".into()], 9).await.unwrap(), Reserved::Counted { used: 1 });
    assert_eq!(store.unreserve(&run, 7).await.unwrap(), 0);
    assert_eq!(store.end(&run, &Ending::cancelled(), CHUNK).await.unwrap(), 0);
    clock.advance(SECOND);
    assert_eq!(store.prune(clock.now()).await.unwrap(), Some((run, true)));
    assert_eq!(store.prune(clock.now()).await.unwrap(), None);
    assert!(!store.unprotect(&account(ACCOUNT), "role:1").await.unwrap());
    assert_eq!(store.tell(&event(1)).await.unwrap(), 1);
    assert!(store.seal_audit(None, &["5".repeat(64)]).await.unwrap());
    assert_eq!(store.audit(1, 9).await.unwrap().len(), 1);
}

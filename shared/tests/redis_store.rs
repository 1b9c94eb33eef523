//! The store on Redis through its own interface: what the conformance suite can't see, such as lost replies, restarts,
//! logins, and being woken.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod redis_support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis_support::*;
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    Clock, Hold, HoldReason, ManualClock, Outcome, Priority, RunPhase, SnoozeReason, Then, Timestamp,
    Verdict,
    store::{Resolution, Sealed, Store, StoreError, redis::RedisStore},
};

#[tokio::test]
async fn a_run_goes_all_the_way_and_its_ledger_reads_back() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    let run = submitted(&store, "all-the-way", 1200, Priority::Normal).await;
    let status = store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.phase, status.counters.queued), (RunPhase::Admitted, 1200));
    let mut finished = 0;
    loop {
        let leased = store.lease(&ask("all-the-way", 100, 1)).await.unwrap();
        if leased.leases.is_empty() {
            break;
        }
        let status = store.run(&run).await.unwrap().unwrap();
        assert!(status.counters.add_up(), "{:?}", status.counters);
        for lease in leased.leases {
            assert_eq!(lease.jobs[0].seq, finished, "jobs come in file order");
            finished += 1;
            store.finish(lease, vec![applied(finished - 1)]).await.unwrap();
        }
    }
    let status = store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.phase, status.counters.of(Outcome::Applied)), (RunPhase::Finished, 1200));
    assert!(status.counters.add_up() && status.finished_at.is_some());
    assert_eq!((status.effort.attempts, status.effort.calls), (1200, 1200));
    let rows = store.outcomes(&run, 0, 5000).await.unwrap();
    assert_eq!(rows.len(), 1200);
    assert_eq!((rows[7].seq, rows[7].attempts, rows[7].outcome), (7, 1, Outcome::Applied));
    assert_eq!(rows[7].resolved.as_ref().unwrap(), &user(7));
    assert_eq!(store.attempts(&run, 7).await.unwrap().len(), 1);
    assert!(store.unfinished(&account("all-the-way")).await.unwrap().is_empty());
    assert_eq!(store.runs(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_is_lost_when_the_server_is_killed_and_started_again() {
    let mut server = RedisServer::start(Durability::Always, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    let run = submitted(&store, "restart", 50, Priority::Bulk).await;
    let mut leased = store.lease(&ask("restart", 10, 1)).await.unwrap().leases;
    for lease in leased.drain(..5) {
        let seq = lease.jobs[0].seq;
        store.finish(lease, vec![applied(seq)]).await.unwrap();
    }
    server.kill();
    let down = store.run(&run).await.unwrap_err();
    assert!(matches!(down, StoreError::Unavailable(_)) && down.is_retryable(), "{down}");
    assert!(store.lease(&ask("restart", 1, 1)).await.is_err());
    // These are sent while there is no server, and again until there is one.
    let store = Arc::new(store);
    let kept = leased.pop().unwrap();
    let finishing: Vec<_> = leased
        .into_iter()
        .map(|lease| {
            let (store, seq) = (Arc::clone(&store), lease.jobs[0].seq);
            tokio::spawn(async move { store.finish(lease, vec![applied(seq)]).await })
        })
        .collect();
    server.start_again();
    for finish in finishing {
        finish.await.unwrap().unwrap();
    }
    // An ask that never arrived granted nothing: what was granted before it is kept.
    let granted = store.lease(&ask("restart", 1, 1)).await.unwrap().leases;
    assert_eq!(granted[0].jobs[0].seq, 10);
    store.finish(kept, vec![applied(9)]).await.unwrap();
    let status = store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.counters.finished, status.counters.leased, status.counters.queued), (10, 1, 39));
    assert_eq!(store.lease(&ask("restart", 40, 1)).await.unwrap().leases.len(), 39);
}

#[tokio::test]
async fn a_password_and_an_acl_user_are_used_and_never_shown() {
    let mut options = vec!["--requirepass", "s3cret-of-all", "--user", "ann"];
    options.extend(["on", ">s3cret-of-ann", "~usher:*", "&usher:*", "+@all", "-@dangerous"]);
    let server = RedisServer::start(Durability::Memory, &options);
    let at = |login: &str| format!("redis://{login}127.0.0.1:{}/2", server.port());
    for login in [":s3cret-of-all@", "ann:s3cret-of-ann@"] {
        let store = RedisStore::connect(&at(login), None).await.unwrap();
        let name = format!("acl-{}", login.len());
        let run = submitted(&store, &name, 3, Priority::Normal).await;
        for lease in store.lease(&ask(&name, 3, 1)).await.unwrap().leases {
            let seq = lease.jobs[0].seq;
            store.finish(lease, vec![applied(seq)]).await.unwrap();
        }
        assert_eq!(store.run(&run).await.unwrap().unwrap().phase, RunPhase::Finished);
        assert!(store.expire_open_runs().await.unwrap() == 0);
        assert!(!format!("{store:?}").contains("s3cret"));
    }
    for login in ["", ":s3cret-wrong@", "ann:s3cret-wrong@"] {
        let error = RedisStore::connect(&at(login), None).await.unwrap_err();
        assert!(matches!(error, StoreError::Address { .. }), "{error:?}");
        assert!(!error.is_retryable() && !format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_functions_is_told_them_again() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    submitted(&store, "told", 2, Priority::Normal).await;
    raw(&server, redis::cmd("FUNCTION").arg("FLUSH")).await;
    let leases = store.lease(&ask("told", 1, 1)).await.unwrap().leases;
    assert_eq!(leases[0].jobs[0].seq, 0);
}

#[tokio::test]
async fn a_full_memory_refuses_new_work_and_still_records_what_was_done() {
    let server = RedisServer::start(Durability::Memory, &["--maxmemory-policy", "noeviction"]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    let run = submitted(&store, "full", 20, Priority::Normal).await;
    let leases = store.lease(&ask("full", 5, 1)).await.unwrap().leases;
    raw(&server, redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1mb")).await;
    let error = store.open_run(&new_run("full", Priority::Normal)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(_)) && error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("OOM"), "{error}");
    for lease in leases {
        let seq = lease.jobs[0].seq;
        store.finish(lease, vec![applied(seq)]).await.unwrap();
    }
    assert!(matches!(store.lease(&ask("full", 5, 1)).await, Err(StoreError::Refused(_))));
    let status = store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.counters.finished, status.counters.queued), (5, 15));
    raw(&server, redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("0")).await;
    assert_eq!(store.lease(&ask("full", 50, 1)).await.unwrap().leases.len(), 15);
}

#[tokio::test]
async fn a_server_that_stands_still_is_unavailable_and_its_late_grants_are_taken_back() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = Arc::new(RedisStore::connect(&server.url(), None).await.unwrap());
    let run = submitted(&store, "still", 4, Priority::Normal).await;
    server.signal("STOP");
    let asked = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.lease(&ask("still", 2, 1)).await })
    };
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    // The server now grants what nobody will be told of.
    server.signal("CONT");
    let leased = store.lease(&ask("still", 4, 1)).await.unwrap();
    assert_eq!(leased.leases.len(), 4, "what the lost reply granted is granted again at once");
    assert!(leased.leases.iter().all(|lease| lease.jobs[0].attempt == 1 && lease.jobs[0].deaths == 0));
    let status = store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.counters.leased, status.effort.lost), (4, 0));
    assert!(status.counters.add_up());
}

#[tokio::test]
async fn a_waiter_is_woken_by_a_seal_within_moments() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = Arc::new(RedisStore::connect(&server.url(), None).await.unwrap());
    let name = account("woken");
    let at_most = Duration::from_secs(60);
    // The first wait ends when the subscription stands.
    store.wait_for_work(&name, at_most).await;
    assert!(store.lease(&ask("woken", 1, 1)).await.unwrap().leases.is_empty());
    let began = Instant::now();
    let waiting = {
        let (store, name) = (Arc::clone(&store), name.clone());
        tokio::spawn(async move { store.wait_for_work(&name, at_most).await })
    };
    let run = submitted(&store, "woken", 1, Priority::Urgent).await;
    waiting.await.unwrap();
    assert!(began.elapsed() < at_most / 2);
    // What rings between the lease and the wait is not missed.
    assert_eq!(store.lease(&ask("woken", 1, 1)).await.unwrap().leases.len(), 1);
    store.pause(&run).await.unwrap();
    store.resume(&run).await.unwrap();
    store.wait_for_work(&name, at_most).await;
    assert!(began.elapsed() < at_most);
    // Nothing new: the wait lasts as long as it may.
    store.lease(&ask("woken", 1, 1)).await.unwrap();
    store.wait_for_work(&name, Duration::from_millis(30)).await;
}

#[tokio::test]
async fn waiters_are_woken_again_after_the_server_was_restarted() {
    let mut server = RedisServer::start(Durability::Always, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    let name = account("rewoken");
    store.wait_for_work(&name, Duration::from_secs(60)).await;
    server.kill();
    server.start_again();
    // Connecting again rings, for what may have been missed.
    let began = Instant::now();
    store.wait_for_work(&name, Duration::from_secs(60)).await;
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_cancelled_run_supersedes_nothing_even_where_a_third_run_stood_between() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    let oldest = submitted(&store, "claims", 2, Priority::Bulk).await;
    let middle = submitted(&store, "claims", 1, Priority::Bulk).await;
    let newest = submitted(&store, "claims", 2, Priority::Bulk).await;
    assert_eq!(store.cancel(&newest, 500).await.unwrap(), 0);
    let leases = store.lease(&ask("claims", 10, 1)).await.unwrap().leases;
    let jobs: Vec<_> = leases.iter().map(|lease| (&lease.run, lease.jobs[0].seq)).collect();
    assert_eq!(jobs, [(&oldest, 1), (&middle, 0)]);
    let rows = store.outcomes(&oldest, 0, 10).await.unwrap();
    assert_eq!((rows[0].outcome, rows[0].code.as_deref()), (Outcome::Superseded, Some(middle.as_str())));
    assert_eq!(store.run(&newest).await.unwrap().unwrap().phase, RunPhase::Cancelled);
}

#[tokio::test]
async fn a_cancel_that_is_half_done_outweighs_only_where_it_was_carried_out() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_000)));
    let store = RedisStore::connect(&server.url(), Some(Arc::clone(&clock) as Arc<dyn Clock>)).await.unwrap();
    let older = submitted(&store, "half", 4, Priority::Bulk).await;
    let newer = submitted(&store, "half", 4, Priority::Bulk).await;
    // The newer run has changed user 0 and is about to change user 1 when it is cancelled; only user 2 is cancelled yet.
    let mut leases = store.lease(&only(ask("half", 2, 1), &newer)).await.unwrap().leases;
    let in_flight = leases.remove(1);
    store.finish(leases.remove(0), vec![applied(0)]).await.unwrap();
    assert_eq!(store.cancel(&newer, 1).await.unwrap(), 2);
    let seqs = async || {
        let leased = store.lease(&ask("half", 9, 1)).await.unwrap();
        leased.leases.iter().map(|lease| lease.jobs[0].seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs().await, [2, 3]);
    let rows = store.outcomes(&older, 0, 9).await.unwrap();
    assert_eq!((rows.len(), rows[0].seq, rows[0].outcome), (1, 0, Outcome::Superseded));
    // User 1 waits for what becomes of it in the newer run: it is handed back, and so cancelled.
    store.finish(in_flight, Vec::new()).await.unwrap();
    assert_eq!(store.cancel(&newer, 1).await.unwrap(), 0);
    assert_eq!(store.run(&newer).await.unwrap().unwrap().phase, RunPhase::Cancelled);
    clock.advance(Duration::from_millis(200));
    assert_eq!(seqs().await, [1]);
}

#[tokio::test]
async fn pages_of_records_are_crossed_without_losing_place() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    let run = submitted(&store, "pages", 9_000, Priority::Bulk).await;
    let mut expected = 0;
    loop {
        let leases = store.lease(&ask("pages", 3, 200)).await.unwrap().leases;
        if leases.is_empty() {
            break;
        }
        for lease in leases {
            let reports = lease.jobs.iter().map(|job| applied(job.seq)).collect();
            assert!(lease.jobs.iter().all(|job| {
                expected += 1;
                job.seq == expected - 1 && job.user == user(job.seq)
            }));
            store.finish(lease, reports).await.unwrap();
        }
    }
    assert_eq!(expected, 9_000);
    let rows = store.outcomes(&run, 4_000, 300).await.unwrap();
    assert_eq!((rows.len(), rows[0].seq, rows[299].seq), (300, 4_000, 4_299));
    assert_eq!(store.requests(&run, 4_090, 10).await.unwrap().len(), 10);
}

#[tokio::test]
async fn the_tries_of_a_job_are_told_to_its_next_holder_and_stay_in_its_ledger() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_000)));
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), Some(Arc::clone(&clock) as Arc<dyn Clock>)).await.unwrap();
    let run = submitted(&store, "tries", 1, Priority::Normal).await;
    let take = async || store.lease(&idle(ask("tries", 1, 1))).await.unwrap().leases.remove(0);
    let lease = take().await;
    let at = clock.now();
    let retry = report(0, Some(attempt(at, Verdict::Transient, 1)), Then::Retry { at: at.after(SECOND) });
    store.finish(lease, vec![retry]).await.unwrap();
    assert_eq!(store.lease(&ask("tries", 1, 1)).await.unwrap().next_due, Some(at.after(SECOND)));
    clock.advance(SECOND);
    let lease = take().await;
    assert_eq!((lease.jobs[0].attempt, lease.jobs[0].may_have_applied), (2, true));
    assert_eq!(lease.jobs[0].first_attempt_at, Some(at));
    // A snooze is in the ledger and spends nothing.
    let until = clock.now().after(SECOND);
    let snooze = Then::Snooze { until, reason: SnoozeReason::Throttled };
    store
        .finish(lease, vec![report(0, Some(attempt(clock.now(), Verdict::Throttled, 1)), snooze)])
        .await
        .unwrap();
    clock.advance(SECOND);
    assert_eq!(take().await.jobs[0].attempt, 2);
    // Two deaths: it is given to the idle alone.
    for deaths in 1..=2 {
        clock.advance(TTL);
        let leased = store.lease(&ask("tries", 1, 1)).await.unwrap();
        if deaths == 1 {
            assert_eq!(leased.leases[0].jobs[0].deaths, 1);
        } else {
            assert_eq!((leased.leases.len(), leased.alone_waiting), (0, 1));
        }
    }
    let lease = take().await;
    assert_eq!((lease.jobs[0].attempt, lease.jobs[0].deaths), (4, 2));
    store.finish(lease, vec![applied_at(0, clock.now())]).await.unwrap();
    let ledger: Vec<_> =
        store.attempts(&run, 0).await.unwrap().iter().map(|attempt| attempt.verdict).collect();
    let lost = Verdict::Lost;
    assert_eq!(ledger, [Verdict::Transient, Verdict::Throttled, lost, lost, Verdict::Applied]);
    let status = store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.effort.attempts, status.effort.retries, status.effort.lost), (5, 1, 2));
    let row = &store.outcomes(&run, 0, 1).await.unwrap()[0];
    assert_eq!((row.attempts, row.first_attempt_at), (5, Some(at)));
}

#[tokio::test]
async fn the_same_content_is_the_same_run_until_it_is_over() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    let first = sealed(&store, "twice", 2, "key", "digest").await.unwrap();
    let (run, Sealed::New { previous: None }) = first else { panic!("{first:?}") };
    let (discarded, again) = sealed(&store, "twice", 2, "key", "digest").await.unwrap();
    assert_eq!(again, Sealed::Existing(run.clone()));
    assert_eq!(store.run(&discarded).await.unwrap(), None);
    let conflict = sealed(&store, "twice", 2, "key", "other").await.unwrap_err();
    assert!(matches!(conflict, StoreError::Conflict { existing, .. } if existing == run));
    store.cancel(&run, 500).await.unwrap();
    let (_, after) = sealed(&store, "twice", 2, "key", "digest").await.unwrap();
    assert_eq!(after, Sealed::New { previous: Some(run) });
    assert_eq!(store.runs(None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn settled_and_duplicate_requests_end_at_the_promotion() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), None).await.unwrap();
    let (run, _) = sealed(&store, "settled", 3, "key", "digest").await.unwrap();
    let steward = store.take_steward(&run, &worker("w1"), SECOND).await.unwrap().unwrap();
    assert!(store.take_steward(&run, &worker("w2"), SECOND).await.unwrap().is_none());
    let settled = |outcome| Resolution::Settled {
        outcome,
        code: Some("rule".into()),
        message: Some("two\u{1f}fields \\ \u{1e}parts".into()),
        user: Some(user(0)),
    };
    store.resolve(&steward, &[(0, settled(Outcome::Protected))]).await.unwrap();
    let early = store.take_steward(&run, &worker("w1"), SECOND).await.unwrap().unwrap();
    let error = store.finish_resolving(early).await.unwrap_err();
    assert!(matches!(error, StoreError::WrongPhase { .. }), "{error:?}");
    let rest = [(1, Resolution::Duplicate { of_line: 1 }), (2, settled(Outcome::NotFound))];
    store.resolve(&steward, &rest).await.unwrap();
    store.resolve(&steward, &rest).await.unwrap();
    store.finish_resolving(steward).await.unwrap();
    store.admit(&run).await.unwrap();
    assert_eq!(store.promote(&run, 500).await.unwrap(), 0);
    let status = store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.phase, status.counters.total, status.counters.duplicates), (RunPhase::Finished, 2, 1));
    assert!(status.counters.add_up());
    let rows = store.outcomes(&run, 0, 10).await.unwrap();
    assert_eq!(rows[0].message.as_deref(), Some("two\u{1f}fields \\ \u{1e}parts"));
    assert_eq!((rows[0].resolved.as_ref(), rows[0].attempts, rows[1].seq), (Some(&user(0)), 0, 2));
    assert_eq!(store.duplicates(&run).await.unwrap(), [(2, "user1@corp.example".to_owned(), 1)]);
}

#[tokio::test]
async fn an_account_on_hold_gives_nothing_until_the_hold_is_over() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_000)));
    let server = RedisServer::start(Durability::Memory, &[]);
    let store = RedisStore::connect(&server.url(), Some(Arc::clone(&clock) as Arc<dyn Clock>)).await.unwrap();
    let run = submitted(&store, "held", 1, Priority::Normal).await;
    let until = Some(clock.now().after(SECOND));
    let hold = Hold { reason: HoldReason::Breaker, message: "{\"x\"}".into(), since: clock.now(), until };
    store.hold(&account("held"), &hold).await.unwrap();
    let leased = store.lease(&ask("held", 1, 1)).await.unwrap();
    assert_eq!((leased.leases.len(), leased.hold.as_ref()), (0, Some(&hold)));
    assert_eq!(store.run(&run).await.unwrap().unwrap().hold, Some(hold.clone()));
    clock.advance(SECOND);
    assert_eq!(store.run(&run).await.unwrap().unwrap().hold, None);
    assert!(!store.release(&account("held")).await.unwrap());
    store.hold(&account("held"), &Hold { until: None, ..hold }).await.unwrap();
    assert!(store.release(&account("held")).await.unwrap());
    assert_eq!(store.lease(&ask("held", 1, 1)).await.unwrap().leases.len(), 1);
}

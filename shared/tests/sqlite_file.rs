//! The embedded store is one private file: whose it is, who may work from it, and what it bears.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use futures::poll;
use usher_shared::{
    AccountName, Action, Attempt, JobReport, ManualClock, NewRun, Outcome, Priority, Request, ResolvedUser,
    RunId, RunPhase, Status, Then, Timestamp, UserState, Verdict, WorkerId,
    store::{CHUNK, Idempotency, Lease, LeaseAsk, Resolution, Seal, Store, StoreError, sqlite::SqliteStore},
};

const TTL: Duration = Duration::from_secs(15);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_763_600_000_000)))
}

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, clock())
}

fn account() -> AccountName {
    "zoom-main".parse().unwrap()
}

fn run_id(n: usize) -> RunId {
    format!("20261120-22222{}", char::from(b"23456789abcdefghjk"[n])).parse().unwrap()
}

fn user(n: u64) -> ResolvedUser {
    let before = UserState { status: Status::Active, license: None, role: None, groups: vec![] };
    ResolvedUser { id: format!("id-{n}"), email: None, before }
}

async fn submit(store: &SqliteStore, run: &RunId, size: u64) {
    let new = NewRun {
        terms: Default::default(),
        id: run.clone(),
        account: account(),
        priority: Priority::Normal,
        reason: None,
        asked_by: "test".into(),
        source: None,
        created_at: Timestamp::from_millis(1_763_600_000_000),
    };
    store.open_run(&new).await.unwrap();
    let requests: Vec<Request> = (0..size)
        .map(|n| Request {
            restore: None,
            line: n + 1,
            user: format!("user{n}@corp.example").parse().unwrap(),
            action: Action::Deactivate,
            reason: None,
        })
        .collect();
    for (chunk, first) in requests.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        store.append(run, first, chunk).await.unwrap();
    }
    let idempotency = Idempotency { key: run.to_string(), digest: run.to_string(), again_after_end: true };
    let by_action = BTreeMap::from([(Action::Deactivate, size)]);
    store.seal(run, &Seal { total: size, by_action, idempotency }).await.unwrap();
}

/// Submits a run over users 0.. and brings it into the queue.
async fn queue(store: &SqliteStore, run: &RunId, size: u64) {
    submit(store, run, size).await;
    let steward = store.take_steward(run, &WorkerId::new("w"), TTL).await.unwrap().unwrap();
    let resolved: Vec<_> = (0..size).map(|n| (n, Resolution::Change(user(n)))).collect();
    for chunk in resolved.chunks(CHUNK) {
        store.resolve(&steward, chunk).await.unwrap();
    }
    store.finish_resolving(steward).await.unwrap();
    store.admit(run).await.unwrap();
    while store.promote(run, CHUNK).await.unwrap() > 0 {}
}

fn ask(leases: usize) -> LeaseAsk {
    LeaseAsk {
        account: account(),
        worker: WorkerId::new("w1"),
        leases,
        batch: 1,
        ttl: TTL,
        only_run: None,
        urgent_only: false,
        idle: false,
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_folder_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/usher/usher.db");
    let store = open(&path).unwrap();
    queue(&store, &run_id(0), 1).await;
    let _seat = store.take_seat(&WorkerId::new("w")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
}

#[test]
fn a_store_that_a_newer_usher_wrote_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usher.db");
    drop(open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 99, supported: 5 }), "{error:?}");
    let words = error.to_string();
    assert!(
        words.contains("99") && words.contains("up to 5") && words.contains("use a newer usher"),
        "{words}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Every table and index, with its columns.
fn shape(path: &Path) -> Vec<(String, String)> {
    let conn = rusqlite::Connection::open(path).unwrap();
    let mut select = conn
        .prepare(
            "SELECT s.name, coalesce(group_concat(c.name || ' ' || c.type || ' ' || c.\"notnull\", ', '), '')
             FROM sqlite_schema s LEFT JOIN pragma_table_info(s.name) c GROUP BY s.name ORDER BY s.name",
        )
        .unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Brought up to date whole or not at all: half of it would be a format that nobody knows.
#[test]
fn a_file_that_can_not_be_brought_up_to_date_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(include_str!("sqlite_formats/1.sql")).unwrap();
    // Somebody else's table stands where the last of the new ones is to be.
    conn.execute_batch("CREATE TABLE tokens (theirs)").unwrap();
    let before = shape(&path);
    assert!(open(&path).is_err());
    assert_eq!(shape(&path), before);
    assert_eq!(conn.query_row("PRAGMA user_version", [], |row| row.get::<_, u64>(0)).unwrap(), 1);
}

#[test]
fn what_is_no_store_of_ours_is_refused_by_name_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("browser.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE history (url)").unwrap();
    let text = folder.path().join("leavers.csv");
    fs::write(&text, "email\n".repeat(2_000)).unwrap();
    for path in [foreign, text] {
        let before = fs::read(&path).unwrap();
        match open(&path).unwrap_err() {
            StoreError::Address { address, .. } => assert_eq!(address, path.display().to_string()),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    assert!(matches!(open(folder.path()), Err(StoreError::Address { .. })));
}

#[test]
fn a_folder_that_can_not_be_made_is_a_refusal_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = open(&file.join("usher.db")).unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_damaged_store_says_that_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usher.db");
    let store = open(&path).unwrap();
    queue(&store, &run_id(0), 2_000).await;
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[8_192..length].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let error = match open(&path) {
        Ok(store) => store.runs(None, 10).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::Corrupt(..)), "{error:?}");
}

#[tokio::test]
async fn what_was_answered_is_there_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usher.db");
    let store = open(&path).unwrap();
    queue(&store, &run_id(0), 3).await;
    let before = store.run(&run_id(0)).await.unwrap().unwrap();
    drop(store);
    assert_eq!(open(&path).unwrap().run(&run_id(0)).await.unwrap().unwrap(), before);
}

#[tokio::test]
async fn two_handles_that_open_a_new_store_at_once_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usher.db");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || open(&path).unwrap())
        })
        .collect();
    let stores: Vec<SqliteStore> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for (n, store) in stores.iter().enumerate() {
        submit(store, &run_id(n), 2).await;
    }
    for store in &stores {
        assert_eq!(store.runs(None, 10).await.unwrap().len(), 4);
    }
}

#[tokio::test]
async fn one_process_works_and_others_submit_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usher.db");
    let (one, other) = (open(&path).unwrap(), open(&path).unwrap());
    let seat = one.take_seat(&WorkerId::new("w1")).await.unwrap();
    let refused = other.take_seat(&WorkerId::new("w2")).await.unwrap_err();
    assert!(matches!(refused, StoreError::SeatTaken(_)) && refused.to_string().contains("redis://"));
    queue(&other, &run_id(0), 2).await;
    other.pause(&run_id(0)).await.unwrap();
    assert!(one.lease(&ask(1)).await.unwrap().leases.is_empty());
    other.resume(&run_id(0)).await.unwrap();
    assert_eq!(one.lease(&ask(1)).await.unwrap().leases.len(), 1);

    drop(seat);
    let _seat = other.take_seat(&WorkerId::new("w2")).await.unwrap();
    let status = other.run(&run_id(0)).await.unwrap().unwrap();
    assert_eq!((status.counters.leased, status.counters.queued, status.effort.lost), (0, 2, 1));
    let attempts = other.attempts(&run_id(0), 0).await.unwrap();
    assert_eq!((attempts[0].verdict, attempts[0].worker.as_str()), (Verdict::Lost, "w1"));
}

#[tokio::test]
async fn an_ask_given_up_leaves_no_job_behind_and_is_no_death() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("usher.db")).unwrap();
    queue(&store, &run_id(0), 1).await;
    {
        let asked = ask(1);
        let mut given_up = std::pin::pin!(store.lease(&asked));
        drop(poll!(given_up.as_mut()));
    }
    for _ in 0..100 {
        if let Some(lease) = store.lease(&ask(1)).await.unwrap().leases.pop() {
            assert_eq!((lease.jobs[0].deaths, lease.jobs[0].attempt), (0, 1));
            return;
        }
        store.wait_for_work(&account(), Duration::from_secs(1)).await;
    }
    panic!("the job was never given back");
}

/// However many older jobs a newer run has claimed: each call passes over some of them, and says that there is more.
#[tokio::test]
async fn one_ask_passes_over_a_bounded_number_of_superseded_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("usher.db")).unwrap();
    let (older, newer) = (run_id(0), run_id(1));
    queue(&store, &older, 1_200).await;
    queue(&store, &newer, 1_200).await;
    let only_older = LeaseAsk { only_run: Some(older.clone()), ..ask(5) };
    let mut superseded = Vec::new();
    for _ in 0..4 {
        let leased = store.lease(&only_older).await.unwrap();
        assert!(leased.leases.is_empty());
        let counters = store.run(&older).await.unwrap().unwrap().counters;
        assert_eq!(leased.next_due.is_some(), counters.queued > 0);
        superseded.push(counters.of(Outcome::Superseded));
    }
    assert_eq!(superseded, [500, 1_000, 1_200, 1_200]);
    assert_eq!(store.run(&older).await.unwrap().unwrap().phase, RunPhase::Finished);
}

/// The counters of many finishes are written once: whoever reads them in the same commit must find them written, and a
/// finish that is refused among them must leave no trace.
#[tokio::test]
async fn finishes_that_share_a_commit_with_a_cancel_leave_counters_that_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("usher.db")).unwrap();
    let run = run_id(0);
    queue(&store, &run, 60).await;
    let mut leases = store.lease(&ask(50)).await.unwrap().leases;
    let renamed = leases.pop().unwrap();
    let stolen = Lease { worker: WorkerId::new("w2"), ..renamed };
    let report = |seq| {
        let then = Then::Finish { outcome: Outcome::Applied, code: None, message: None };
        vec![JobReport { seq, attempt: None, throttled: 1, then }]
    };
    let refused = store.finish(stolen, report(49));
    let cancelled = store.cancel(&run, CHUNK);
    let finishes = leases.into_iter().map(|lease| {
        let seq = lease.jobs[0].seq;
        store.finish(lease, report(seq))
    });
    let (finished, refused, left) = futures::join!(futures::future::join_all(finishes), refused, cancelled);
    assert!(finished.iter().all(Result::is_ok), "{finished:?}");
    assert!(matches!(refused, Err(StoreError::LeaseLapsed(_))), "{refused:?}");
    // What the cancel counted as left is in flight: the refused one at least, and finishes that came behind it.
    assert!((1..=50).contains(&left.unwrap()));
    let status = store.run(&run).await.unwrap().unwrap();
    assert!(status.counters.add_up(), "{:?}", status.counters);
    let (applied, ended) = (status.counters.of(Outcome::Applied), status.counters.of(Outcome::Cancelled));
    assert_eq!((applied, ended, status.counters.leased, status.effort.throttled), (49, 10, 1, 49));
}

/// What retention takes away is gone from the file, but for what an older run may still come round to.
#[tokio::test]
async fn a_run_that_was_forgotten_leaves_nothing_behind_once_no_older_one_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usher.db");
    let store = open(&path).unwrap();
    let (older, newer) = (run_id(0), run_id(1));
    queue(&store, &older, 3).await;
    store.pause(&older).await.unwrap();
    let size = CHUNK as u64 + 200;
    queue(&store, &newer, size).await;
    for lease in store.lease(&ask(100)).await.unwrap().leases {
        let then = Then::Finish { outcome: Outcome::Applied, code: None, message: None };
        let worker = WorkerId::new("w1");
        let (began_at, ended_at, verdict) = (lease.granted_at, lease.granted_at, Verdict::Applied);
        let attempt = Attempt { began_at, ended_at, calls: 1, http: None, verdict, code: None, worker };
        let seq = lease.jobs[0].seq;
        let report = JobReport { seq, attempt: Some(attempt), throttled: 0, then };
        store.finish(lease, vec![report]).await.unwrap();
    }
    while store.cancel(&newer, CHUNK).await.unwrap() > 0 {}
    let later = store.now().await.unwrap().after(TTL);
    let forget = async || while store.prune(later).await.unwrap().is_some() {};
    let conn = rusqlite::Connection::open(&path).unwrap();
    let rows = |table: &str| -> u64 {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    forget().await;
    // 100 users were changed, and the older run is about three of them.
    assert_eq!((rows("runs"), rows("jobs"), rows("attempts"), rows("claims")), (1, 3, 0, 103));
    while store.cancel(&older, CHUNK).await.unwrap() > 0 {}
    forget().await;
    for table in ["runs", "jobs", "attempts", "claims", "outcomes", "duplicates", "idempotency", "leases"] {
        assert_eq!(rows(table), 0, "{table}");
    }
}

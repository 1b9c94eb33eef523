//! What was stored by an older usher is read and worked to its end; what was stored by a newer one is refused, by whoever
//! comes and by whoever is still running.
//!
//! `sqlite_formats/` and `redis_formats/` keep a fixture of each format as the program of its time wrote it. A new format
//! comes with a new fixture: `USHER_WRITE_FORMATS=1 cargo test -p usher-shared --test stored_formats` writes the newest;
//! the others are never changed.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod format_support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use format_support::{operated, redis_text, services, sqlite_text, story};
use redis::aio::MultiplexedConnection;
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    Clock, ManualClock, Outcome, QuotaWindow, RunPhase, Timestamp, Verdict, WorkerId,
    store::{CHUNK, LeaseAsk, Resolution, Store, StoreError, redis::RedisStore, sqlite::SqliteStore},
};

const TTL: Duration = Duration::from_secs(15);

/// The time at which the story of the fixtures ends.
fn story_ends() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(story::BEGINS.after(TTL * 2)))
}

/// Sees that the fixture of the newest format is what this program writes; or writes it, where that was asked for.
fn compare(name: &str, written: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    if std::env::var_os("USHER_WRITE_FORMATS").is_some() {
        fs::write(&path, written).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    let differs = kept.lines().zip(written.lines()).find(|(kept, written)| kept != written);
    assert!(
        differs.is_none() && kept.len() == written.len(),
        "{name} is not what this program writes: is this a new format? {differs:?}"
    );
}

// -- SQLite ------------------------------------------------------------------------------------------------------------

const SQLITE: [(u64, &str); 4] = [
    (2, include_str!("sqlite_formats/2.sql")),
    (3, include_str!("sqlite_formats/3.sql")),
    (4, include_str!("sqlite_formats/4.sql")),
    (5, include_str!("sqlite_formats/5.sql")),
];

fn file_of(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("usher.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch(text).unwrap();
    path
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

#[tokio::test]
async fn the_newest_file_is_what_this_program_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usher.db");
    let clock = Arc::new(ManualClock::new(story::BEGINS));
    let store = SqliteStore::open(&path, clock.clone()).unwrap();
    story::write(&store, &clock).await;
    story::check(&store).await;
    operated::write(&store).await;
    services::write(&store).await;
    drop(store);
    compare("sqlite_formats/5.sql", &sqlite_text::write(&rusqlite::Connection::open(&path).unwrap()));
}

#[tokio::test]
async fn a_file_of_each_format_is_brought_up_to_date_and_worked_to_its_end() {
    let fresh = tempfile::tempdir().unwrap();
    let new = fresh.path().join("new.db");
    drop(SqliteStore::open(&new, story_ends()).unwrap());
    for (format, text) in SQLITE {
        let folder = tempfile::tempdir().unwrap();
        let path = file_of(&folder, text);
        let clock = story_ends();
        let store = SqliteStore::open(&path, clock.clone()).unwrap();
        assert_eq!(shape(&path), shape(&new), "format {format}");
        story::check(&store).await;
        // Nobody noted since when those runs stand still: they are resolved again before anything of them is leased.
        assert_eq!(story::leasable(&store).await.is_empty(), format < 3, "format {format}");
        drop(store);
        let store = SqliteStore::open(&path, clock.clone()).unwrap();
        // Before that, nobody told, noted or protected anything.
        if format >= 4 {
            operated::check_and_go_on(&store).await;
        }
        if format >= 5 {
            services::check_and_go_on(&store).await;
        }
        story::work_to_the_end(&store, &clock).await;
        story::check_the_end(&store).await;
    }
}

/// The first format, which has no story yet: a run half worked and a sealed one.
#[tokio::test]
async fn a_file_of_the_first_format_is_brought_up_to_date_and_worked_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of(&folder, include_str!("sqlite_formats/1.sql"));
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_763_600_000_000)));
    let store = SqliteStore::open(&path, clock.clone()).unwrap();
    let (half, sealed) = ("20261120-222222".parse().unwrap(), "20261120-222223".parse().unwrap());
    let before = store.run(&half).await.unwrap().unwrap().counters;
    assert_eq!((before.total, before.finished, before.leased, before.queued), (5, 1, 1, 3));
    assert_eq!(store.run(&sealed).await.unwrap().unwrap().phase, RunPhase::Sealed);
    assert_eq!(store.attempts(&half, 1).await.unwrap()[0].verdict, Verdict::Transient);
    let drawn = store.draw_quota(&story::account(), "light", QuotaWindow::UtcDay, 7, 10).await.unwrap();
    assert_eq!((drawn.granted, drawn.used), (7, 7));
    // The lease of the old program lapses like any other.
    clock.advance(TTL);
    assert_eq!(story::leasable(&store).await, []);
    let steward = store.take_steward(&half, &WorkerId::new("w9"), TTL).await.unwrap().unwrap();
    let remaining = store.remaining(&half, 0, CHUNK).await.unwrap();
    assert_eq!(remaining.iter().map(|job| job.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let same: Vec<_> = remaining.into_iter().map(|job| (job.seq, Resolution::Change(job.user))).collect();
    store.resolve(&steward, &same).await.unwrap();
    store.finish_resolving(steward).await.unwrap();
    let gone = store.run(&half).await.unwrap().unwrap();
    assert_eq!((gone.counters.queued, gone.effort.lost), (4, 1));
    assert_eq!(story::leasable(&store).await, [half]);
}

/// A worker of this version goes on running while a newer one brings its file up to date.
#[tokio::test]
async fn a_file_that_a_newer_usher_takes_over_is_written_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of(&folder, SQLITE[3].1);
    let clock = story_ends();
    let store = SqliteStore::open(&path, clock.clone()).unwrap();
    let ask = LeaseAsk {
        account: story::account(),
        worker: WorkerId::new("w9"),
        leases: 1,
        batch: 1,
        ttl: TTL,
        only_run: Some(story::Which::HalfQueued.id()),
        urgent_only: false,
        idle: false,
    };
    let lease = store.lease(&ask).await.unwrap().leases.remove(0);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 6).unwrap();
    let before = sqlite_text::write(&other);
    let refused = [
        store.lease(&ask).await.err(),
        store.finish(lease, vec![]).await.err(),
        store.pause(&story::Which::HalfQueued.id()).await.err(),
        store.take_seat(&WorkerId::new("w9")).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(StoreError::TooNew { found: 6, supported: 5 })), "{error:?}");
    }
    assert_eq!(sqlite_text::write(&other), before);
}

// -- Redis -------------------------------------------------------------------------------------------------------------

const REDIS: [(u64, &str); 3] = [
    (1, include_str!("redis_formats/1.redis")),
    (2, include_str!("redis_formats/2.redis")),
    (3, include_str!("redis_formats/3.redis")),
];

/// The functions as format 1 had them.
const FIRST_LIBRARY: &str = include_str!("redis_formats/1.lua");

async fn connection(server: &RedisServer) -> MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn connect(server: &RedisServer, clock: &Arc<ManualClock>) -> Result<RedisStore, StoreError> {
    RedisStore::connect(&server.url(), Some(clock.clone())).await
}

/// A server with what a program of that format left there.
async fn server_of(text: &str) -> (RedisServer, MultiplexedConnection) {
    let server = RedisServer::start(Durability::Memory, &[]);
    let mut connection = connection(&server).await;
    redis_text::load(&mut connection, text).await;
    (server, connection)
}

#[tokio::test]
async fn the_newest_keys_are_what_this_program_writes() {
    let server = RedisServer::start(Durability::Memory, &[]);
    let clock = Arc::new(ManualClock::new(story::BEGINS));
    let store = connect(&server, &clock).await.unwrap();
    story::write(&store, &clock).await;
    story::check(&store).await;
    operated::write(&store).await;
    compare("redis_formats/3.redis", &redis_text::write(&mut connection(&server).await).await);
}

#[tokio::test]
async fn keys_of_each_format_are_taken_up_and_worked_to_their_end() {
    for (format, text) in REDIS {
        let (server, mut connection) = server_of(text).await;
        // What a test loads is what was written, to the byte.
        assert_eq!(redis_text::write(&mut connection).await, text, "format {format}");
        let clock = story_ends();
        let store = connect(&server, &clock).await.unwrap();
        story::check(&store).await;
        assert_eq!(story::leasable(&store).await.is_empty(), format < 2, "format {format}");
        if format >= 3 {
            operated::check_and_go_on(&store).await;
        }
        story::work_to_the_end(&store, &clock).await;
        story::check_the_end(&store).await;
        let schema: u64 = redis::cmd("GET").arg("usher:schema").query_async(&mut connection).await.unwrap();
        assert_eq!(schema, 3);
    }
}

/// Only the newest format keeps a list of them.
#[tokio::test]
async fn runs_that_ended_under_any_format_are_found_to_be_forgotten() {
    for (format, text) in REDIS {
        let (server, mut connection) = server_of(text).await;
        let clock = story_ends();
        let store = connect(&server, &clock).await.unwrap();
        if format >= 3 {
            operated::check_and_go_on(&store).await;
        }
        story::work_to_the_end(&store, &clock).await;
        let ended = store.runs(None, 100).await.unwrap().len();
        clock.advance(Duration::from_secs(1));
        let mut gone = Vec::new();
        while let Some((run, whole)) = store.prune(clock.now()).await.unwrap() {
            assert!(whole, "a chunk is enough for {run}");
            gone.push(run);
        }
        assert_eq!(gone.len(), ended, "format {format}");
        let first = gone.iter().position(|run| *run == story::Which::Done.id());
        assert!(first.is_some_and(|first| first < 3), "format {format}: {gone:?}");
        let left = redis_text::write(&mut connection).await;
        for run in gone {
            // The audit stays.
            let named = left.lines().find(|line| line.contains(run.as_str()) && !line.contains("{_audit}"));
            assert_eq!(named, None, "format {format}: {run}");
        }
        assert!(!left.contains(":users"), "format {format}: {left}");
    }
}

#[tokio::test]
async fn keys_that_a_newer_usher_wrote_are_refused_and_left_as_they_are() {
    let (server, mut connection) = server_of(REDIS[1].1).await;
    let _: () = redis::cmd("SET").arg("usher:schema").arg(99).query_async(&mut connection).await.unwrap();
    let before = redis_text::write(&mut connection).await;
    let error = connect(&server, &story_ends()).await.unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 99, supported: 3 }), "{error:?}");
    let words = error.to_string();
    assert!(words.contains("99") && words.contains('3') && words.contains("use a newer usher"), "{words}");
    assert_eq!(redis_text::write(&mut connection).await, before);
}

/// A worker of this version goes on running while a newer one takes its account up.
#[tokio::test]
async fn an_account_that_a_newer_usher_has_taken_up_is_written_no_more() {
    let (server, mut connection) = server_of(REDIS[1].1).await;
    let clock = story_ends();
    let store = connect(&server, &clock).await.unwrap();
    let run = story::Which::HalfQueued.id();
    let ask = LeaseAsk {
        account: story::account(),
        worker: WorkerId::new("w9"),
        leases: 1,
        batch: 1,
        ttl: TTL,
        only_run: Some(run.clone()),
        urgent_only: false,
        idle: false,
    };
    let lease = store.lease(&ask).await.unwrap().leases.remove(0);
    let mut take_up = redis::cmd("HSET");
    take_up.arg("usher:{zoom-main}").arg("format").arg(4);
    let _: () = take_up.query_async(&mut connection).await.unwrap();
    let before = redis_text::write(&mut connection).await;
    let refused = [
        store.lease(&ask).await.err(),
        store.finish(lease, vec![]).await.err(),
        store.pause(&run).await.err(),
        store.append(&story::Which::Open.id(), 2, &[]).await.err().or(store.cancel(&run, 1).await.err()),
        store.take_steward(&story::Which::Sealed.id(), &WorkerId::new("w9"), TTL).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(StoreError::TooNew { found: 4, supported: 3 })), "{error:?}");
    }
    assert_eq!(redis_text::write(&mut connection).await, before);
    // Another account, which nobody has taken up, goes on.
    assert!(store.release(&story::held_account()).await.unwrap());
}

/// A program of format 1 knows of no other format, and goes on beside a newer one until it is stopped.
struct Older {
    connection: MultiplexedConnection,
    digest: &'static str,
}

impl Older {
    async fn start(mut connection: MultiplexedConnection) -> Self {
        let digest = FIRST_LIBRARY.lines().next().unwrap().strip_prefix("#!lua name=usher_").unwrap();
        let mut load = redis::cmd("FUNCTION");
        let _: String = load.arg("LOAD").arg(FIRST_LIBRARY).query_async(&mut connection).await.unwrap();
        Self { connection, digest }
    }

    async fn call(&mut self, script: &str, now: Timestamp, arguments: &[&str]) -> Vec<redis::Value> {
        let mut call = redis::cmd("FCALL");
        call.arg(format!("usher_{}_{script}", self.digest)).arg(1).arg("usher:{zoom-main}");
        call.arg(now.as_millis()).arg(arguments);
        call.query_async(&mut self.connection).await.unwrap()
    }

    /// Leases one job; the lease as it is named in a finish, and its place. `None` where there is nothing.
    async fn lease(&mut self, now: Timestamp, ask: u64) -> Option<(String, u32)> {
        let (number, answered) = (ask.to_string(), (ask - 1).to_string());
        let arguments = ["old", "1", "1", "15000", "", "1", "old-session", &number, &answered, "0", "10"];
        let reply = self.call("lease", now, &arguments).await;
        let text = |at: usize| redis::from_redis_value::<String>(reply[at].clone()).unwrap();
        let (token, granted) = (text(4), text(5));
        let mut parts = granted.split('\u{1c}');
        let run = parts.next().filter(|head| !head.is_empty())?.split('\u{1f}').next()?;
        let seq = parts.next()?;
        Some((
            format!("{run}\u{1f}{seq}\u{1f}{token}\u{1f}{}\u{1f}old", now.as_millis()),
            seq.parse().unwrap(),
        ))
    }

    /// Finishes a lease of one job as applied.
    async fn finish(&mut self, now: Timestamp, lease: &str, seq: u32) {
        let at = now.as_millis();
        let mut report = vec![0, 1, 0];
        report.extend(seq.to_le_bytes());
        report.extend(0_i64.to_le_bytes());
        report.extend(at.to_le_bytes());
        report.extend(at.to_le_bytes());
        report.extend(1_u32.to_le_bytes());
        report.extend(0_u32.to_le_bytes());
        let mut call = redis::cmd("FCALL");
        call.arg(format!("usher_{}_finish", self.digest)).arg(1).arg("usher:{zoom-main}").arg(at);
        call.arg(lease).arg(&[0_u8, 1, 0][..]).arg(report);
        call.arg(format!("a\u{1f}\u{1f}\u{1f}{at}\u{1f}0\u{1f}1\u{1f}204\u{1f}A\u{1f}\u{1f}old"));
        let codes: Vec<i64> = call.query_async(&mut self.connection).await.unwrap();
        assert_eq!(codes, [0]);
    }
}

#[tokio::test]
async fn a_worker_of_the_first_format_that_is_still_running_spoils_nothing() {
    let (server, connection) = server_of(REDIS[0].1).await;
    let clock = story_ends();
    let mut older = Older::start(connection).await;
    // It holds a job when the newer one comes, and finishes it beside it.
    let (held, seq) = older.lease(clock.now(), 1).await.unwrap();
    let store = connect(&server, &clock).await.unwrap();
    assert_eq!(story::leasable(&store).await, []);
    older.finish(clock.now(), &held, seq).await;
    // Turn by turn: the newer one resolves again, the older one leases what there is, in the middle of that, too.
    let mut ask = 1;
    for turn in 0..40 {
        clock.advance(Duration::from_secs(1));
        for status in store.unfinished(&story::account()).await.unwrap() {
            assert!(status.counters.add_up(), "{status:?}");
            let run = &status.run.id;
            let worker = WorkerId::new("w9");
            if status.stood_still(clock.now()).is_none() || status.paused || status.cancelled {
                continue;
            }
            let Some(steward) = store.take_steward(run, &worker, TTL).await.unwrap() else { continue };
            let remaining = store.remaining(run, 0, CHUNK).await.unwrap();
            ask += 1;
            let taken = older.lease(clock.now(), ask).await;
            // Every fifth user is gone; a job that the older one has just leased is left to it.
            let gone =
                || Resolution::Settled { outcome: Outcome::NotFound, code: None, message: None, user: None };
            let resolved: Vec<_> = remaining
                .into_iter()
                .map(|job| (job.seq, if job.seq % 5 == 3 { gone() } else { Resolution::Change(job.user) }))
                .collect();
            store.resolve(&steward, &resolved).await.unwrap();
            if turn % 2 == 0 {
                store.finish_resolving(steward).await.unwrap();
            }
            if let Some((lease, seq)) = taken {
                older.finish(clock.now(), &lease, seq).await;
            }
        }
    }
    let status = store.run(&story::Which::Worked.id()).await.unwrap().unwrap();
    assert!(status.counters.finished > 4, "{status:?}");
    drop(older);
    story::work_to_the_end(&store, &clock).await;
    for status in store.runs(None, 100).await.unwrap() {
        let (counters, run) = (&status.counters, &status.run.id);
        assert!(
            status.phase.is_over() && counters.add_up() && counters.finished == counters.total,
            "{status:?}"
        );
        let rows = store.outcomes(run, 0, 100).await.unwrap();
        assert_eq!(rows.len() as u64, counters.total);
        let mut attempts = 0;
        for row in &rows {
            attempts += store.attempts(run, row.seq).await.unwrap().len() as u64;
        }
        assert_eq!(status.effort.attempts, attempts, "{status:?}");
    }
}

//! Whatever stands in a column, the store reads it as it stands or says that it is corrupt. `tests/fuzz` runs it for longer.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use rusqlite::{Connection, types::Value};

use super::{
    SqliteStore, auditing, capping, claiming, ending,
    errors::{StepResult, translate},
    leasing, listing,
    moves::Moves,
    noting, outbox, protecting, pruning, pulses, quotas, reopening, seeing, steward, submit, tokens,
    writer::Step,
};
use crate::{
    AccountName, Action, Attempt, Confirmation, Ending, Go, Hold, HoldReason, JobReport, ManualClock, NewRun,
    Note, Outcome, PlanNote, Priority, Protection, Pulse, QuotaWindow, Request, ResolvedUser, RunId, Status,
    Then, Timestamp, UserState, Verdict, WorkerId,
    audit::{AuditEvent, AuditKind},
    config::ProtectedPattern,
    store::{Idempotency, LeaseAsk, Message, Outbox, Refresh, Resolution, Seal, Store, StoreError, Tried},
};

const START: Timestamp = Timestamp::from_millis(1_795_176_000_000);
const RUNS: [&str; 2] = ["20261120-k3f9zm", "20261120-k3f9zn"];

fn account() -> AccountName {
    "zoom-main".parse().unwrap()
}

fn ask() -> LeaseAsk {
    LeaseAsk {
        account: account(),
        worker: WorkerId::new("w"),
        leases: 1,
        batch: 1,
        ttl: Duration::from_secs(15),
        only_run: None,
        urgent_only: false,
        idle: false,
    }
}

fn go() -> Go {
    Go { by: "cli:alice@host".into(), at: START, plan: "0".repeat(64).parse().unwrap() }
}

fn seal(total: u64) -> Seal {
    let idempotency = Idempotency { key: "k".into(), digest: "d".into(), again_after_end: true };
    Seal { total, by_action: BTreeMap::from([(Action::Deactivate, total)]), idempotency }
}

/// A store with something in every table: a run at work, one that waits for its steward, a hold that is over, a token.
async fn fill(store: &SqliteStore) -> Result<(), StoreError> {
    let worker = WorkerId::new("w");
    for (number, id) in RUNS.iter().enumerate() {
        let run = NewRun {
            terms: Default::default(),
            id: id.parse().unwrap(),
            account: account(),
            priority: Priority::Normal,
            reason: Some("left".into()),
            asked_by: "cli:alice@host".into(),
            source: None,
            created_at: START,
        };
        store.open_run(&run).await?;
        let requests: Vec<Request> = (1..=6)
            .map(|line| Request {
                restore: None,
                line,
                user: format!("u{line}-{number}@corp.example").parse().unwrap(),
                action: Action::Deactivate,
                reason: None,
            })
            .collect();
        store.append(&run.id, 0, &requests).await?;
        let mut seal = seal(6);
        seal.idempotency.key.push_str(id);
        store.seal(&run.id, &seal).await?;
    }
    let id: RunId = RUNS[0].parse().unwrap();
    let steward = store.take_steward(&id, &worker, Duration::from_secs(60)).await?.unwrap();
    let before =
        UserState { status: Status::Active, license: None, role: Some("2".into()), groups: vec!["g".into()] };
    let user = |id: &str| ResolvedUser { id: id.into(), email: Some("a@x".into()), before: before.clone() };
    let mut resolved: Vec<(u64, Resolution)> =
        (0..4).map(|seq| (seq, Resolution::Change(user(&format!("id{seq}"))))).collect();
    resolved.push((4, Resolution::Duplicate { of_line: 1 }));
    let (code, message) = (Some("role:owner".into()), Some("the owner".into()));
    let settled = Resolution::Settled { outcome: Outcome::Protected, code, message, user: Some(user("id5")) };
    resolved.push((5, settled));
    store.resolve(&steward, &resolved).await?;
    store.finish_resolving(steward).await?;
    store.reserve(&id, 1, &["a".into()], 10).await?;
    store
        .note(&id, &Note::Plan(PlanNote { hash: go().plan, at: START, change: 4, active_users: None }))
        .await?;
    store.admit(&id).await?;
    store.promote(&id, 100).await?;
    for then in [
        Then::Finish { outcome: Outcome::Applied, code: None, message: Some("done".into()) },
        Then::Retry { at: START.after(Duration::from_secs(5)) },
    ] {
        let lease = store.lease(&ask()).await?.leases.remove(0);
        let attempt = Attempt {
            began_at: START,
            ended_at: START,
            calls: 1,
            http: Some(204),
            verdict: Verdict::Applied,
            code: None,
            worker: worker.clone(),
        };
        let seq = lease.jobs.first().unwrap().seq;
        store.finish(lease, vec![JobReport { seq, attempt: Some(attempt), throttled: 0, then }]).await?;
    }
    // One stays in flight.
    store.lease(&ask()).await?;
    let (reason, message) = (HoldReason::Breaker, "out".to_owned());
    store.hold(&account(), &Hold { reason, message, since: START, until: Some(START) }).await?;
    let pulse = Pulse {
        active_users: None,
        policy: None,
        account: account(),
        worker: worker.clone(),
        at: START,
        in_flight: 1,
        lanes: vec![],
    };
    store.publish_pulse(&pulse).await?;
    let pattern = ProtectedPattern::new("role:7").unwrap();
    let protection = Protection { pattern, reason: None, by: "cli:alice@host".into(), at: START };
    store.protect(&account(), &protection).await?;
    let by = "cli:alice@host".to_owned();
    let event = AuditEvent {
        what: AuditKind::Paused,
        by,
        from: None,
        account: Some(account()),
        run: None,
        plan: None,
        detail: None,
    };
    for _ in 0..2 {
        store.tell(&event).await?;
    }
    store.seal_audit(None, &["a".repeat(64)]).await?;
    store.draw_quota(&account(), "light", QuotaWindow::UtcDay, 1, 100).await?;
    store.claim_key(&account(), "key", "somebody", Duration::from_secs(10)).await?;
    let message = |id: &str| Message {
        endpoint: "ops".into(),
        id: id.into(),
        kind: "run.held".into(),
        account: account(),
        body: "{}".into(),
    };
    store.post(&[message("a"), message("b"), message("c")]).await?;
    let mut taken = store.take_deliveries("ops", &worker, 2, Duration::from_secs(10)).await?;
    store.finish_delivery(taken.remove(0), Tried::GivenUp, "410 Gone").await?;
    let claim = store.claim_refresh(&account(), &worker, None, Duration::from_secs(10)).await?;
    let Refresh::Yours(claim) = claim else { panic!("nobody else is here") };
    store.shelve_token(claim, b"sealed", Duration::from_secs(3_600)).await.map(drop)
}

/// What a read or a step said: fine, the store's own answer, or corrupt; never "ask again", for nothing would change.
fn check<T: std::fmt::Debug>(said: StepResult<T>) {
    match said {
        Ok(value) => assert!(!format!("{value:?}").is_empty()),
        Err(error) => {
            let error = translate(Path::new("usher.db"), error);
            assert!(!error.is_retryable(), "{error:?}");
            assert!(!error.to_string().is_empty());
        }
    }
}

/// Reads everything there is, then takes every step that goes on from there.
fn go_through(conn: &Connection) {
    let account = account();
    let now = START.after(Duration::from_secs(30));
    check(listing::accounts(conn));
    check(listing::runs(conn, now, None, 10));
    check(listing::ended(conn, now, &account, START, 10));
    check(outbox::list(conn, "ops", None, 10));
    check(listing::unfinished(conn, now, &account));
    check(seeing::next_event(conn, now, &account));
    check(pulses::all(conn, START, &account));
    check(tokens::shelved(conn, START, &account));
    check(quotas::look(conn, START, &account, "light", QuotaWindow::UtcDay));
    let (mut wakes, mut deferred) = (Vec::new(), Moves::default());
    let mut step = Step::alone(conn, now, &mut wakes, &mut deferred);
    for id in RUNS {
        let id: RunId = id.parse().unwrap();
        check(seeing::run(conn, now, &id));
        check(seeing::requests(conn, &id, 0, 10));
        check(seeing::outcomes(conn, &id, 0, 10));
        check(seeing::attempts(conn, &id, 0));
        check(seeing::duplicates(conn, &id));
        check(seeing::planned(conn, &id, 0, 10));
        check(submit::seal(&mut step, &id, &seal(6)));
        check(steward::take(&mut step, &id, &WorkerId::new("w2"), Duration::from_secs(60)));
        check(steward::promote(&mut step, &id, 10));
    }
    check(claiming::claim(&mut step, &account, "key", "another", Duration::from_secs(10)));
    let taken = outbox::take(&mut step, "ops", &WorkerId::new("w2"), 10, Duration::from_secs(10));
    for delivery in taken.as_ref().into_iter().flatten() {
        check(outbox::finish(&mut step, delivery, Tried::Delivered, "200 OK"));
    }
    check(taken);
    check(outbox::repost(&mut step, "ops", "a"));
    check(outbox::sweep(&mut step));
    // A lapsed lease is taken back on the way.
    check(leasing::lease(&mut step, &ask()));
    check(quotas::draw(&mut step, &account, "light", QuotaWindow::UtcDay, 1, 100));
    check(tokens::claim(&mut step, &account, &WorkerId::new("w2"), Some(1), Duration::from_secs(10)));
    for id in RUNS {
        let id = id.parse().unwrap();
        check(noting::note(&mut step, &id, &Note::Held(None)));
        check(noting::confirm(&mut step, &id, &Confirmation::Apply(go())));
        check(capping::reserve(&mut step, &id, 1, &["a".into(), "b".into()], 10));
        check(capping::unreserve(&mut step, &id, 1));
        check(ending::end(&mut step, &id, &Ending::deadline(), 10));
        check(reopening::reopen(&mut step, &id, &[0, 1, 5]));
        check(steward::take(&mut step, &id, &WorkerId::new("w2"), Duration::from_secs(60)));
        check(ending::end(&mut step, &id, &Ending::deadline(), 10));
    }
    check(submit::expire(&mut step));
    check(protecting::list(conn, &account));
    check(protecting::unprotect(&mut step, &account, "role:7"));
    check(auditing::entries(conn, 1, 10));
    let head = auditing::head(conn).ok().flatten();
    check(auditing::seal(&mut step, head.as_ref(), &["b".repeat(64)]));
    for _ in 0..RUNS.len() {
        check(pruning::prune(&mut step, now.after(Duration::from_secs(1))));
    }
}

/// `table.column=tTEXT`, or with `i` and a number, `r` and a number, `b` and bytes, `n` for NULL.
fn put(conn: &Connection, columns: &[(String, String)], input: &[u8]) -> Option<()> {
    let equals = input.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (std::str::from_utf8(&input[..equals]).ok()?, &input[equals + 1..]);
    let (table, column) = columns.iter().find(|(table, column)| {
        name.split_once('.').is_some_and(|(one, other)| one == table && other == column)
    })?;
    let (kind, value) = value.split_first()?;
    let text = || String::from_utf8_lossy(value).into_owned();
    let value = match kind {
        b't' => Value::Text(text()),
        b'i' => Value::Integer(text().trim().parse().ok()?),
        b'r' => Value::Real(text().trim().parse().ok()?),
        b'b' => Value::Blob(value.to_vec()),
        b'n' => Value::Null,
        _ => return None,
    };
    // A type or a constraint that the table itself refuses can't stand there.
    conn.prepare_cached(&format!("UPDATE OR IGNORE {table} SET {column} = ?1"))
        .ok()?
        .execute([value])
        .ok()?;
    Some(())
}

/// An input is what to put into which column, a line each.
#[test]
fn whatever_stands_in_a_column_is_read_as_it_stands_or_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usher.db");
    {
        let store = SqliteStore::open(&path, Arc::new(ManualClock::new(START))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(fill(&store)).unwrap();
    }
    let conn = Connection::open(&path).unwrap();
    let columns: Vec<(String, String)> = conn
        .prepare(
            "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for table in [
        "runs",
        "jobs",
        "attempts",
        "leases",
        "in_flight",
        "duplicates",
        "pulses",
        "tokens",
        "quota_hours",
        "protections",
        "capped",
        "capped_days",
        "audit",
        "claimed_keys",
        "messages",
    ] {
        let rows: u64 =
            conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert!(rows > 0, "{table} is empty");
    }
    let (conn, columns) = (std::panic::AssertUnwindSafe(conn), columns);
    bolero::check!(name = "rows").with_iterations(200).for_each(|input: &[u8]| {
        conn.execute_batch("SAVEPOINT before").unwrap();
        for line in input.split(|byte| *byte == b'\n') {
            put(&conn, &columns, line);
        }
        go_through(&conn);
        conn.execute_batch("ROLLBACK TO before; RELEASE before").unwrap();
    });
}

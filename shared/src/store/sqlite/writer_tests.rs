//! The thread that writes: what a group of requests shares, and what it does not.

use super::*;
use crate::{ManualClock, RunId};

/// A writer over a file with one table.
fn start(folder: &Path) -> Writer {
    let path = folder.join("test.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE kept (what TEXT NOT NULL) STRICT").unwrap();
    Writer::start(conn, path, Arc::new(ManualClock::default()), Arc::default()).unwrap()
}

fn keep(what: String) -> impl FnOnce(&mut Step<'_>) -> StepResult<()> + Send {
    move |step| {
        step.conn.prepare_cached("INSERT INTO kept VALUES (?1)")?.execute([what])?;
        Ok(())
    }
}

fn count(step: &mut Step<'_>) -> StepResult<u64> {
    Ok(step.conn.query_row("SELECT count(*) FROM kept", [], |row| row.get(0))?)
}

#[tokio::test]
async fn a_request_that_fails_takes_nothing_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path());
    let run: RunId = "20261120-k3f9zm".parse().unwrap();
    let requests = (0..300).map(|n| {
        let run = run.clone();
        writer.ask(move |step| {
            keep(format!("of {n}"))(step)?;
            if n % 3 == 0 { Err(StoreError::NoSuchRun(run).into()) } else { Ok(()) }
        })
    });
    let answers = futures::future::join_all(requests).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 200);
    assert_eq!(writer.ask(count).await.unwrap(), 200);
}

#[tokio::test]
async fn a_full_disk_refuses_and_work_goes_on_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path());
    writer.ask(keep("before".into())).await.unwrap();
    let limit = |pages: u32| {
        move |step: &mut Step<'_>| -> StepResult<()> {
            Ok(step.conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
        }
    };
    writer.ask(limit(4)).await.unwrap();
    let refused = writer.ask(keep("x".repeat(100_000))).await.unwrap_err();
    assert!(refused.is_retryable() && refused.to_string().contains("make room"), "{refused}");
    writer.ask(limit(1_000)).await.unwrap();
    writer.ask(keep("x".repeat(100_000))).await.unwrap();
    assert_eq!(writer.ask(count).await.unwrap(), 2);
}

#[tokio::test]
async fn a_request_that_breaks_the_transaction_fails_its_group_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path());
    let broken = writer.ask(|step| {
        step.conn.execute_batch("ROLLBACK")?;
        Err::<(), _>(StoreError::NoSuchRun("20261120-k3f9zm".parse().unwrap()).into())
    });
    assert!(broken.await.is_err());
    writer.ask(keep("after".into())).await.unwrap();
    assert_eq!(writer.ask(count).await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_asked_for_before_the_end_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path());
    for n in 0..20 {
        // Dropped unanswered: the request is on its way all the same.
        let mut asked = std::pin::pin!(writer.ask(keep(format!("{n}"))));
        drop(futures::poll!(asked.as_mut()));
    }
    drop(writer);
    let conn = Connection::open(folder.path().join("test.db")).unwrap();
    let kept: u64 = conn.query_row("SELECT count(*) FROM kept", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 20);
}

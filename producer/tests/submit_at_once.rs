//! Small submissions: one call of the store, one run, whatever the store answers on the way.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use usher_producer::submit::{
    Contents, Description, FillOptions, Key, Patience, SubmitError, Submitted, submit_at_once,
};
use usher_shared::{
    Action, Clock, ManualClock, Request, RunId, Timestamp,
    store::{CHUNK, SharedStore, Store, StoreError, memory::MemoryStore},
};

const BEGIN: Timestamp = Timestamp::from_millis(1_760_000_000_000);

fn empty() -> (Arc<MemoryStore>, SharedStore) {
    let memory = Arc::new(MemoryStore::new(Arc::new(ManualClock::new(BEGIN))));
    (memory.clone(), memory)
}

fn options() -> FillOptions {
    FillOptions {
        clock: Arc::new(ManualClock::new(BEGIN)),
        random: Box::new(StdRng::seed_from_u64(7)),
        patience: Patience { calls: 3, first_pause: Duration::ZERO, longest_pause: Duration::ZERO },
        ..FillOptions::default()
    }
}

/// The first ids that [`options`] make.
fn ids(count: usize) -> Vec<RunId> {
    let mut random = StdRng::seed_from_u64(7);
    (0..count).map(|_| RunId::new(ManualClock::new(BEGIN).now(), &mut random)).collect()
}

fn deactivate(users: &[&str]) -> Vec<Request> {
    let request = |(line, user): (u64, &&str)| Request {
        line,
        user: user.parse().unwrap(),
        action: Action::Deactivate,
        reason: None,
        restore: None,
    };
    (1..).zip(users).map(request).collect()
}

async fn submit(
    store: &SharedStore,
    requests: Vec<Request>,
    key: Key,
) -> Result<(Submitted, Contents), SubmitError> {
    let description = Description::new("zoom-main".parse().unwrap(), "api:hr-portal");
    submit_at_once(store, description, requests, key, options()).await
}

fn key() -> Key {
    Key::Client { scope: "hr-portal".into(), key: "7".into() }
}

#[tokio::test]
async fn a_small_submission_is_one_call_and_one_run() {
    let (memory, store) = empty();
    let (submitted, contents) = submit(&store, deactivate(&["a@x", "A@x", "b@x"]), key()).await.unwrap();
    let run = ids(1).remove(0);
    assert_eq!(submitted, Submitted::New { run: run.clone(), previous: None });
    assert_eq!((contents.requests, contents.duplicates.total), (2, 1));
    assert_eq!(memory.requests(&run, 0, 9).await.unwrap().len(), 2);
    assert_eq!((memory.calls("submit"), memory.calls("open_run"), memory.calls("tell")), (1, 0, 0));
    let told = memory.audit(1, 9).await.unwrap().remove(0).read().unwrap();
    assert_eq!((told.run, told.by.as_str()), (Some(run), "api:hr-portal"));
}

#[tokio::test]
async fn the_same_key_twice_is_one_run_and_told_once() {
    let (memory, store) = empty();
    let (first, _) = submit(&store, deactivate(&["a@x"]), key()).await.unwrap();
    let again = Submitted::Existing { run: first.run().clone() };
    let later = FillOptions { random: Box::new(StdRng::seed_from_u64(8)), ..options() };
    let description = || Description::new("zoom-main".parse().unwrap(), "api:hr-portal");
    let same = submit_at_once(&store, description(), deactivate(&["a@x"]), key(), later).await.unwrap().0;
    assert_eq!(same, again);
    let later = FillOptions { random: Box::new(StdRng::seed_from_u64(9)), ..options() };
    let other = submit_at_once(&store, description(), deactivate(&["b@x"]), key(), later).await;
    match other {
        Err(SubmitError::Store(StoreError::Conflict { key, existing })) => {
            assert_eq!((&*key, &existing), ("7", first.run()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((memory.runs(None, 9).await.unwrap().len(), memory.open_runs()), (1, 0));
    assert_eq!(memory.audit_last().await.unwrap(), 1);
}

#[tokio::test]
async fn an_answer_that_was_lost_leads_to_the_same_run() {
    for key in [key(), Key::Content, Key::Fresh] {
        let (memory, store) = empty();
        memory.fail("submit", [StoreError::Unavailable("connection refused".into())]);
        memory.lose_answer("submit");
        let (submitted, _) = submit(&store, deactivate(&["a@x"]), key).await.unwrap();
        assert_eq!(submitted, Submitted::New { run: ids(1).remove(0), previous: None });
        assert_eq!(memory.calls("submit"), 3);
        assert_eq!((memory.runs(None, 9).await.unwrap().len(), memory.audit_last().await.unwrap()), (1, 1));
    }
}

#[tokio::test]
async fn an_id_that_is_taken_leads_to_another_and_patience_ends() {
    let (memory, store) = empty();
    let ids = ids(2);
    memory.fail("submit", [StoreError::IdTaken(ids[0].clone())]);
    let (submitted, _) = submit(&store, deactivate(&["a@x"]), key()).await.unwrap();
    assert_eq!(submitted.run(), &ids[1]);
    memory.set_away(true);
    let away = submit(&store, deactivate(&["b@x"]), Key::Content).await;
    assert!(matches!(away, Err(SubmitError::Store(StoreError::Unavailable(_)))), "{away:?}");
    assert_eq!(memory.calls("submit"), 2 + 3);
}

#[tokio::test]
async fn what_can_not_be_submitted_never_reaches_the_store() {
    let (memory, store) = empty();
    assert!(matches!(submit(&store, vec![], key()).await, Err(SubmitError::Empty)));
    let mut both = deactivate(&["a@x", "A@x"]);
    both[1].action = Action::Activate;
    assert!(matches!(submit(&store, both, key()).await, Err(SubmitError::Flawed { bad: 1, .. })));
    let bad = submit(&store, deactivate(&["a@x"]), Key::Own("a\nb".into())).await;
    assert!(matches!(bad, Err(SubmitError::Key(_))));
    assert_eq!(memory.calls("submit"), 0);
}

#[tokio::test]
async fn more_than_a_chunk_goes_chunk_by_chunk() {
    let (memory, store) = empty();
    let names: Vec<String> = (0..=CHUNK).map(|n| format!("u{n}@x")).collect();
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    let (submitted, contents) = submit(&store, deactivate(&users), key()).await.unwrap();
    assert_eq!(contents.requests, CHUNK as u64 + 1);
    assert_eq!(memory.run(submitted.run()).await.unwrap().unwrap().counters.total, CHUNK as u64 + 1);
    assert_eq!((memory.calls("submit"), memory.calls("append")), (0, 2));
    let (memory, store) = empty();
    let (_, contents) = submit(&store, deactivate(&users[..CHUNK]), Key::Content).await.unwrap();
    assert_eq!((contents.requests, memory.calls("submit")), (CHUNK as u64, 1));
}

//! A key is taken while a submission under it is on its way, and free again after it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use rand::rngs::StdRng;
use usher_producer::submit::{
    CLAIM_LASTS, Claim, Description, Draft, FillOptions, Filled, Key, Patience, SubmitError, Submitted,
    distinct,
};
use usher_shared::{
    AccountName, Action, ManualClock, Priority, Request, SystemClock, Timestamp,
    store::{SharedStore, StoreError, memory::MemoryStore, sqlite::SqliteStore},
};

const BEGIN: Timestamp = Timestamp::from_millis(1_760_000_000_000);

fn account() -> AccountName {
    "zoom-main".parse().unwrap()
}

fn key(key: &str) -> Key {
    Key::Client { scope: "hr-portal".into(), key: key.into() }
}

fn quick() -> Patience {
    Patience { calls: 2, first_pause: Duration::ZERO, longest_pause: Duration::ZERO }
}

async fn take(store: &SharedStore, key: &Key) -> Result<Option<Claim>, SubmitError> {
    let mut random = rand::make_rng::<StdRng>();
    Claim::take(store, &account(), key, &mut random, quick()).await
}

fn is_busy(taken: &Result<Option<Claim>, SubmitError>) -> bool {
    matches!(taken, Err(SubmitError::KeyBusy(key)) if key == "7")
}

/// Each store, by its name.
fn stores(folder: &tempfile::TempDir) -> [(&'static str, SharedStore); 2] {
    let memory = MemoryStore::new(Arc::new(SystemClock));
    let file = SqliteStore::open(&folder.path().join("usher.db"), Arc::new(SystemClock)).unwrap();
    [("memory", Arc::new(memory)), ("SQLite", Arc::new(file))]
}

#[tokio::test]
async fn a_key_is_busy_while_a_claim_on_it_is_kept_and_free_after() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in stores(&folder) {
        let claim = take(&store, &key("7")).await.unwrap().unwrap();
        assert_eq!(claim.stands_for(), None, "{name}");
        let busy = take(&store, &key("7")).await;
        assert!(is_busy(&busy), "{name}: {busy:?}");
        // Another client's key is another key, and so is one that no client sent.
        let other = Key::Client { scope: "siem".into(), key: "7".into() };
        assert!(take(&store, &other).await.unwrap().is_some(), "{name}");
        assert!(take(&store, &Key::Own("7".into())).await.unwrap().is_some(), "{name}");
        claim.release().await;
        assert!(take(&store, &key("7")).await.unwrap().is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_claim_that_is_dropped_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in stores(&folder) {
        drop(take(&store, &key("7")).await.unwrap());
        let freed = async {
            while is_busy(&take(&store, &key("7")).await) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(CLAIM_LASTS / 3, freed).await.expect(name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_renewed_for_as_long_as_it_is_kept_and_lapses_with_its_process() {
    let clock = Arc::new(ManualClock::new(BEGIN));
    let memory = Arc::new(MemoryStore::new(clock.clone()));
    let store: SharedStore = memory.clone();
    let claim = take(&store, &key("7")).await.unwrap().unwrap();
    // One renewal that fails is made good by the next.
    memory.fail("claim_key", [StoreError::Unavailable("connection refused".into())]);
    for _ in 0..40 {
        tokio::time::sleep(CLAIM_LASTS / 4).await;
        clock.advance(CLAIM_LASTS / 4);
        assert!(is_busy(&take(&store, &key("7")).await));
    }
    // As if the process had died: nothing is given up, nothing renewed.
    std::mem::forget(claim);
    memory.set_away(true);
    tokio::time::sleep(CLAIM_LASTS).await;
    memory.set_away(false);
    clock.advance(CLAIM_LASTS);
    assert!(take(&store, &key("7")).await.unwrap().is_some());
}

#[tokio::test]
async fn keys_made_of_the_content_are_not_claimed_and_bad_ones_are_refused() {
    let memory = Arc::new(MemoryStore::new(Arc::new(ManualClock::new(BEGIN))));
    let store: SharedStore = memory.clone();
    assert!(take(&store, &Key::Content).await.unwrap().is_none());
    assert!(take(&store, &Key::Fresh).await.unwrap().is_none());
    assert!(matches!(take(&store, &key("a\nb")).await, Err(SubmitError::Key(_))));
    assert_eq!(memory.calls("claim_key"), 0);
    memory.set_away(true);
    assert!(matches!(take(&store, &key("7")).await, Err(SubmitError::Store(StoreError::Unavailable(_)))));
    assert_eq!(memory.calls("claim_key"), 2);
}

async fn submit(
    store: &SharedStore,
    description: Description,
    users: &[&str],
) -> Result<Submitted, SubmitError> {
    let users: Vec<String> = users.iter().map(ToString::to_string).collect();
    let requests = (1..).zip(users).map(|(line, user)| Request {
        line,
        user: user.parse().unwrap(),
        action: Action::Deactivate,
        reason: None,
        restore: None,
    });
    let rows = distinct(requests.collect::<Vec<_>>());
    match Draft::fill(store, description, rows, FillOptions::default()).await? {
        Filled::Clean(draft) => draft.seal(key("7")).await,
        Filled::Flawed(_) => panic!("these rows are good"),
    }
}

#[tokio::test]
async fn a_clients_key_gives_back_its_run_for_good_and_refuses_whatever_is_asked_for_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in stores(&folder) {
        let asked = || Description::new(account(), "api:hr-portal");
        let first = submit(&store, asked(), &["a@x"]).await.unwrap();
        assert!(matches!(first, Submitted::New { .. }), "{name}");
        let same = Submitted::Existing { run: first.run().clone() };
        assert_eq!(submit(&store, asked(), &["a@x"]).await.unwrap(), same, "{name}");
        assert_eq!(store.cancel(first.run(), 10).await.unwrap(), 0);
        assert_eq!(submit(&store, asked(), &["a@x"]).await.unwrap(), same, "{name}");
        let claim = take(&store, &key("7")).await.unwrap().unwrap();
        assert_eq!(claim.stands_for(), Some(first.run()), "{name}");
        let others = [
            submit(&store, asked(), &["b@x"]).await,
            submit(&store, Description { priority: Priority::Urgent, ..asked() }, &["a@x"]).await,
            submit(&store, Description { reason: Some("left".into()), ..asked() }, &["a@x"]).await,
        ];
        for other in others {
            match other {
                Err(SubmitError::Store(StoreError::Conflict { key, existing })) => {
                    assert_eq!((&*key, &existing), ("7", first.run()), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(store.runs(None, 9).await.unwrap().len(), 1, "{name}");
    }
}

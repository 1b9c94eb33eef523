//! Idempotency keys are claimed while a submission under them is on its way.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, account, other_account},
    steps::Steps,
};
use crate::store::{KeyClaim, Sealed, SharedStore};

const TTL: Duration = Duration::from_secs(30);
const FREE: KeyClaim = KeyClaim::Granted { stands_for: None };

async fn claim(store: &SharedStore, key: &str, claimant: &str) -> KeyClaim {
    store.claim_key(&account(), key, claimant, TTL).await.unwrap()
}

pub async fn a_key_is_claimed_by_one_submission_at_a_time(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    assert_eq!(claim(&steps.store, "k", "one").await, FREE);
    assert_eq!(claim(&second, "k", "other").await, KeyClaim::Busy);
    // Keys are told apart to the letter, and by their accounts.
    for key in ["K", "k ", "é|\n:{}\u{1f}"] {
        assert_eq!(claim(&second, key, "other").await, FREE, "{key:?}");
    }
    assert_eq!(second.claim_key(&other_account(), "k", "other", TTL).await.unwrap(), FREE);
}

pub async fn of_many_that_claim_a_key_at_once_one_gets_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let names: Vec<String> = (0..20).map(|n| format!("claimant {n}")).collect();
    let claims = names
        .iter()
        .zip(0..)
        .map(|(name, n)| claim(if n % 2 == 0 { &steps.store } else { &second }, "k", name));
    let answers = futures::future::join_all(claims).await;
    assert_eq!(answers.iter().filter(|answer| **answer == FREE).count(), 1, "{answers:?}");
}

pub async fn a_claim_lapses_unless_it_is_renewed(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(claim(&steps.store, "k", "one").await, FREE);
    steps.pass(TTL - Duration::from_millis(1)).await;
    assert_eq!(claim(&steps.store, "k", "other").await, KeyClaim::Busy);
    assert_eq!(claim(&steps.store, "k", "one").await, FREE);
    steps.pass(TTL - Duration::from_millis(1)).await;
    assert_eq!(claim(&steps.store, "k", "other").await, KeyClaim::Busy);
    steps.pass(Duration::from_millis(1)).await;
    assert_eq!(claim(&steps.store, "k", "other").await, FREE);
    assert_eq!(claim(&steps.store, "k", "one").await, KeyClaim::Busy);
}

pub async fn a_claim_that_is_given_up_is_free_at_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    assert_eq!(claim(store, "k", "one").await, FREE);
    store.release_key(&account(), "k", "one").await.unwrap();
    assert_eq!(claim(store, "k", "other").await, FREE);
    // By the wrong one, again, and where there never was one: nothing is changed.
    store.release_key(&account(), "k", "one").await.unwrap();
    store.release_key(&account(), "never", "one").await.unwrap();
    store.release_key(&other_account(), "k", "other").await.unwrap();
    assert_eq!(claim(store, "k", "one").await, KeyClaim::Busy);
}

pub async fn a_claim_says_which_run_was_sealed_under_the_key(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1).keyed("k", "d", false)).await;
    let stands = KeyClaim::Granted { stands_for: Some(run.clone()) };
    assert_eq!(claim(&steps.store, "k", "one").await, stands);
    steps.work_to_the_end("w1").await;
    assert_eq!(claim(&steps.store, "k", "one").await, stands);
    assert_eq!(steps.store.claim_key(&other_account(), "k", "one", TTL).await.unwrap(), FREE);
    steps.pass(Duration::from_secs(60)).await;
    while steps.store.prune(steps.now()).await.unwrap().is_some() {}
    assert_eq!(claim(&steps.store, "k", "one").await, FREE);
}

pub async fn a_claim_keeps_nobody_from_sealing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(claim(&steps.store, "k", "one").await, FREE);
    let (run, seal) = steps.draft(&Submission::of_size(1).keyed("k", "d", false)).await;
    assert_eq!(steps.seal(&run, &seal).await, Sealed::New { previous: None });
    assert_eq!(claim(&steps.store, "k", "other").await, KeyClaim::Busy);
}

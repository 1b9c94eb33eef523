//! One token an account for the fleet: fetched by one worker at a time, told apart by its generation.

use std::time::Duration;

use super::{
    Fixture,
    samples::{account, other_account, worker},
    steps::Steps,
};
use crate::store::{Refresh, RefreshClaim, SharedStore, ShelvedToken, StoreError};

/// How long claims last here.
const CLAIM: Duration = Duration::from_secs(10);
/// How long tokens are kept here.
const KEEP: Duration = Duration::from_secs(3_600);

async fn claim(store: &SharedStore, by: &str, instead_of: Option<u64>) -> Refresh {
    store.claim_refresh(&account(), &worker(by), instead_of, CLAIM).await.unwrap()
}

/// The right that nobody stands in the way of.
async fn claimed(store: &SharedStore, by: &str, instead_of: Option<u64>) -> RefreshClaim {
    match claim(store, by, instead_of).await {
        Refresh::Yours(claim) => {
            assert_eq!((&claim.account, &claim.worker), (&account(), &worker(by)));
            claim
        }
        other => panic!("{by} does not get the right: {other:?}"),
    }
}

fn shelved(generation: u64, sealed: &[u8]) -> ShelvedToken {
    ShelvedToken { generation, sealed: sealed.to_vec() }
}

/// Fetches and shelves a token.
async fn refresh(store: &SharedStore, instead_of: Option<u64>, sealed: &[u8], keep_for: Duration) -> u64 {
    let claim = claimed(store, "w1", instead_of).await;
    store.shelve_token(claim, sealed, keep_for).await.unwrap()
}

pub async fn what_is_sealed_comes_back_byte_for_byte(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(steps.store.token(&account()).await.unwrap(), None);
    let every_byte: Vec<u8> = (0..=255).cycle().take(3_000).collect();
    let generation = refresh(&steps.store, None, &every_byte, KEEP).await;
    let second = fixture.second_handle().await;
    assert_eq!(second.token(&account()).await.unwrap(), Some(shelved(generation, &every_byte)));
}

pub async fn of_many_who_want_to_refresh_one_gets_the_right(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let before = refresh(&steps.store, None, b"old", KEEP).await;
    let names: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
    let claims = names.iter().zip(0..).map(|(name, n)| {
        let store = if n % 2 == 0 { &steps.store } else { &second };
        claim(store, name, Some(before))
    });
    let mut mine = Vec::new();
    for refresh in futures::future::join_all(claims).await {
        match refresh {
            Refresh::Yours(claim) => mine.push(claim),
            Refresh::Underway(until) => assert_eq!(until, steps.now().after(CLAIM)),
            Refresh::Newer(token) => panic!("nothing newer was shelved: {token:?}"),
        }
    }
    assert_eq!(mine.len(), 1, "{mine:?}");
    // The old one stays where it is until there is a new one: not every refresh follows a refusal.
    assert_eq!(second.token(&account()).await.unwrap(), Some(shelved(before, b"old")));

    let after = steps.store.shelve_token(mine.remove(0), b"new", KEEP).await.unwrap();
    assert!(after > before);
    for name in &names {
        let heard = claim(&second, name, Some(before)).await;
        assert_eq!(heard, Refresh::Newer(shelved(after, b"new")));
    }
    assert_eq!(claim(&second, "w1", None).await, Refresh::Newer(shelved(after, b"new")));
}

/// Two calls of one worker may meet a refusal at once.
pub async fn the_holder_of_a_claim_is_not_given_it_twice(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let held = claimed(&steps.store, "w1", None).await;
    assert_eq!(claim(&steps.store, "w1", None).await, Refresh::Underway(steps.now().after(CLAIM)));
    steps.store.shelve_token(held, b"one", KEEP).await.unwrap();
    assert_eq!(steps.store.token(&account()).await.unwrap().unwrap().sealed, b"one");
}

pub async fn a_claim_lapses_by_time_and_its_token_comes_too_late(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let slow = claimed(&steps.store, "slow", None).await;
    let until = steps.now().after(CLAIM);
    steps.pass(CLAIM - Duration::from_millis(1)).await;
    assert_eq!(claim(&steps.store, "w2", None).await, Refresh::Underway(until));
    steps.pass(Duration::from_millis(1)).await;
    let quick = claimed(&steps.store, "w2", None).await;
    assert_ne!(slow.claim, quick.claim);
    let late = steps.store.shelve_token(slow, b"late", KEEP).await;
    assert_refused!(late, StoreError::LeaseLapsed(_));
    assert_eq!(steps.store.token(&account()).await.unwrap(), None);
    // Neither did it end the other's claim.
    assert!(matches!(claim(&steps.store, "w3", None).await, Refresh::Underway(_)));
    let generation = steps.store.shelve_token(quick, b"good", KEEP).await.unwrap();
    assert_eq!(steps.store.token(&account()).await.unwrap(), Some(shelved(generation, b"good")));
}

pub async fn a_token_that_comes_late_does_not_replace_its_successor(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let slow = claimed(&steps.store, "slow", None).await;
    steps.pass(CLAIM).await;
    let generation = refresh(&steps.store, None, b"good", KEEP).await;
    assert_refused!(steps.store.shelve_token(slow, b"late", KEEP).await, StoreError::LeaseLapsed(_));
    assert_eq!(steps.store.token(&account()).await.unwrap(), Some(shelved(generation, b"good")));
}

pub async fn a_claim_given_up_is_free_at_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = claimed(&steps.store, "w1", None).await;
    steps.store.abandon_refresh(first).await.unwrap();
    let second = claimed(&steps.store, "w2", None).await;
    let generation = steps.store.shelve_token(second, b"one", KEEP).await.unwrap();
    assert_eq!(steps.store.token(&account()).await.unwrap(), Some(shelved(generation, b"one")));
}

pub async fn giving_up_a_lapsed_claim_leaves_the_next_one_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let slow = claimed(&steps.store, "slow", None).await;
    steps.pass(CLAIM).await;
    let quick = claimed(&steps.store, "quick", None).await;
    steps.store.abandon_refresh(slow).await.unwrap();
    assert!(matches!(claim(&steps.store, "w3", None).await, Refresh::Underway(_)));
    steps.store.shelve_token(quick, b"one", KEEP).await.unwrap();
}

pub async fn an_expired_token_is_gone_and_generations_grow_on(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut last = 0;
    let mut instead_of = None;
    for life in [1, 8, 90 * 24 * 3_600] {
        let life = Duration::from_secs(life);
        let generation = refresh(&steps.store, instead_of, b"token", life).await;
        assert!(generation > last, "{generation} after {last}");
        last = generation;
        steps.pass(life - Duration::from_millis(1)).await;
        assert_eq!(steps.store.token(&account()).await.unwrap(), Some(shelved(last, b"token")));
        steps.pass(Duration::from_millis(1)).await;
        assert_eq!(steps.store.token(&account()).await.unwrap(), None);
        // One that remembers the token gets the right as well as one that never saw it.
        instead_of = instead_of.is_none().then_some(last);
    }
}

pub async fn a_token_that_was_refused_is_replaced_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = refresh(&steps.store, None, b"one", KEEP).await;
    let second = refresh(&steps.store, Some(first), b"two", KEEP).await;
    let third = refresh(&steps.store, Some(second), b"three", KEEP).await;
    assert!(first < second && second < third);
    assert_eq!(claim(&steps.store, "w9", Some(first)).await, Refresh::Newer(shelved(third, b"three")));
    assert_eq!(claim(&steps.store, "w9", Some(second)).await, Refresh::Newer(shelved(third, b"three")));
}

pub async fn the_tokens_of_two_accounts_are_apart(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let held = claimed(&steps.store, "w1", None).await;
    let other = steps.store.claim_refresh(&other_account(), &worker("w1"), None, CLAIM).await.unwrap();
    let Refresh::Yours(other) = other else { panic!("{other:?}") };
    steps.store.shelve_token(other, b"other", KEEP).await.unwrap();
    assert_eq!(steps.store.token(&account()).await.unwrap(), None);
    steps.store.shelve_token(held, b"own", KEEP).await.unwrap();
    assert_eq!(steps.store.token(&account()).await.unwrap().unwrap().sealed, b"own");
    assert_eq!(steps.store.token(&other_account()).await.unwrap().unwrap().sealed, b"other");
}

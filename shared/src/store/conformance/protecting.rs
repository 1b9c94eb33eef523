//! The list of protected users: kept in the store, and known to whoever is given jobs.

use super::{
    Fixture,
    samples::{Submission, account, ask, other_account},
    steps::Steps,
};
use crate::{Hold, HoldReason, Protection, Protections, config::ProtectedPattern};

fn entry(steps: &Steps<'_>, pattern: &str) -> Protection {
    Protection {
        pattern: ProtectedPattern::new(pattern).unwrap(),
        reason: Some("board: \"é\"".into()),
        by: "cli:alice@host".into(),
        at: steps.now(),
    }
}

async fn protect(steps: &Steps<'_>, pattern: &str) -> Protection {
    let entry = entry(steps, pattern);
    steps.store.protect(&account(), &entry).await.unwrap();
    entry
}

async fn list(steps: &Steps<'_>) -> Protections {
    steps.store.protections(&account()).await.unwrap()
}

pub async fn an_entry_is_kept_as_it_was_added(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(list(&steps).await, Protections::default());
    let star = protect(&steps, "*@board.example").await;
    let role = protect(&steps, "role:7").await;
    let id = Protection { reason: None, ..entry(&steps, "KDcu|x y") };
    steps.store.protect(&account(), &id).await.unwrap();
    // By pattern.
    assert_eq!(list(&steps).await.list, [star, id, role]);
    let elsewhere = fixture.second_handle().await.protections(&account()).await.unwrap();
    assert_eq!(elsewhere, list(&steps).await);
}

pub async fn an_entry_takes_the_place_of_the_one_with_its_pattern(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    protect(&steps, "a@c.d").await;
    let other = protect(&steps, "b@c.d").await;
    let before = list(&steps).await.version;
    let again = Protection { reason: Some("still".into()), by: "token:bob".into(), ..entry(&steps, "a@c.d") };
    steps.store.protect(&account(), &again).await.unwrap();
    let after = list(&steps).await;
    assert_eq!(after.list, [again, other]);
    assert!(after.version > before, "{before} {}", after.version);
}

pub async fn an_entry_is_taken_off_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    protect(&steps, "a@c.d").await;
    let other = protect(&steps, "b@c.d").await;
    let before = list(&steps).await.version;
    assert!(steps.store.unprotect(&account(), "a@c.d").await.unwrap());
    let after = list(&steps).await;
    assert_eq!(after.list, [other]);
    assert!(after.version > before);
    assert!(!steps.store.unprotect(&account(), "a@c.d").await.unwrap());
    assert!(!steps.store.unprotect(&other_account(), "b@c.d").await.unwrap());
    assert_eq!(list(&steps).await, after);
    // The version never comes round again, so that nobody takes one list for another.
    assert!(steps.store.unprotect(&account(), "b@c.d").await.unwrap());
    let empty = list(&steps).await;
    assert!(empty.list.is_empty() && empty.version > after.version);
}

pub async fn every_answer_to_a_lease_names_the_version_in_force(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let version = async |by: &str| steps.store.lease(&ask(by)).await.unwrap().protections;
    assert_eq!(version("w1").await, 0, "an account that nobody heard of");
    steps.queue(&Submission::of_size(2)).await;
    let leased = steps.lease(&ask("w1")).await;
    assert_eq!((leased.leases.len(), leased.protections), (1, 0));
    protect(&steps, "user1@corp.example").await;
    let known = list(&steps).await.version;
    let leased = steps.lease(&ask("w1")).await;
    assert_eq!((leased.leases.len(), leased.protections), (1, known));
    assert_eq!(version("w1").await, known, "nothing is granted");
    steps.store.unprotect(&account(), "user1@corp.example").await.unwrap();
    let later = list(&steps).await.version;
    assert_eq!(version("w1").await, later);
    let message = String::new();
    let hold = Hold { reason: HoldReason::Scope, message, since: steps.now(), until: None };
    steps.store.hold(&account(), &hold).await.unwrap();
    let held = steps.store.lease(&ask("w1")).await.unwrap();
    assert_eq!((held.hold, held.protections), (Some(hold), later));
}

pub async fn the_lists_of_two_accounts_are_apart(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    protect(&steps, "a@c.d").await;
    assert_eq!(steps.store.protections(&other_account()).await.unwrap(), Protections::default());
    let elsewhere = crate::store::LeaseAsk { account: other_account(), ..ask("w1") };
    assert_eq!(steps.lease(&elsewhere).await.protections, 0);
}

pub async fn many_who_protect_at_once_lose_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let other = fixture.second_handle().await;
    let mut adding = Vec::new();
    for number in 0..20 {
        let store = if number % 2 == 0 { steps.store.clone() } else { other.clone() };
        let entry = entry(&steps, &format!("user{number:02}@corp.example"));
        adding.push(tokio::spawn(async move { store.protect(&account(), &entry).await }));
    }
    for added in adding {
        added.await.unwrap().unwrap();
    }
    let all = list(&steps).await;
    assert_eq!(all.list.len(), 20);
    assert!(all.version >= 20 && all.list.is_sorted_by_key(|entry| entry.pattern.as_str().to_owned()));
}

//! The audit: append-only, numbered without gaps, sealed in order by one writer at a time.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Fixture,
    samples::{account, plan_hash},
    steps::Steps,
};
use crate::{
    audit::{AuditEvent, AuditHead, AuditKey, AuditKind, seal, verify},
    store::{CHUNK, SharedStore},
};

fn event(detail: &str) -> AuditEvent {
    AuditEvent {
        what: AuditKind::Paused,
        by: "cli:alice@host".into(),
        from: Some("host.corp.example".into()),
        account: Some(account()),
        run: Some("20261120-zzzzzz".parse().unwrap()),
        plan: Some(plan_hash('f')),
        detail: Some(detail.into()),
    }
}

async fn tell(store: &SharedStore, count: u64) {
    for number in 0..count {
        store.tell(&event(&format!("no. {number}"))).await.unwrap();
    }
}

fn head(number: u64, digit: char) -> AuditHead {
    AuditHead { number, seal: seal_of(digit) }
}

/// A seal as good as any: the store does not look into it.
fn seal_of(digit: char) -> String {
    digit.to_string().repeat(64)
}

pub async fn entries_come_back_as_they_were_told(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(steps.store.audit(0, 10).await.unwrap(), []);
    let bare = AuditEvent { from: None, account: None, run: None, plan: None, detail: None, ..event("") };
    let events = [event("\"é\"\n100% | \\"), bare, event("third")];
    let mut told_at = Vec::new();
    for (number, event) in (1..).zip(&events) {
        assert_eq!(steps.store.tell(event).await.unwrap(), number);
        told_at.push(steps.now());
        steps.pass(Duration::from_secs(7)).await;
    }
    let entries = steps.store.audit(0, 10).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(entries.iter().map(|entry| entry.at).collect::<Vec<_>>(), told_at);
    assert!(entries.iter().all(|entry| entry.seal.is_none()));
    for (entry, event) in entries.iter().zip(&events) {
        // The very text is what is sealed.
        assert_eq!(entry.event, serde_json::to_string(event).unwrap());
        assert_eq!(entry.read().as_ref(), Some(event));
    }
    assert_eq!(steps.store.audit(2, 1).await.unwrap(), entries[1..2]);
    assert_eq!(steps.store.audit(2, 9).await.unwrap(), entries[1..]);
    assert_eq!(steps.store.audit(4, 9).await.unwrap(), []);
}

pub async fn the_numbers_have_no_gaps_whoever_tells(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let other = fixture.second_handle().await;
    let mut telling = Vec::new();
    for number in 0..40 {
        let store = if number % 2 == 0 { steps.store.clone() } else { other.clone() };
        telling.push(tokio::spawn(async move { store.tell(&event(&format!("no. {number}"))).await }));
    }
    let mut numbers = BTreeSet::new();
    for told in telling {
        numbers.insert(told.await.unwrap().unwrap());
    }
    assert_eq!(numbers, (1..=40).collect());
    let entries = other.audit(1, 100).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    let details: BTreeSet<_> = entries.iter().map(|entry| entry.event.clone()).collect();
    assert_eq!(details.len(), 40);
}

pub async fn seals_go_on_where_the_head_is(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    assert_eq!(store.audit_head().await.unwrap(), None);
    tell(store, 5).await;
    assert_eq!(store.audit_head().await.unwrap(), None);
    assert!(store.seal_audit(None, &[seal_of('a'), seal_of('b')]).await.unwrap());
    assert_eq!(store.audit_head().await.unwrap(), Some(head(2, 'b')));
    assert!(store.seal_audit(Some(&head(2, 'b')), &[seal_of('c')]).await.unwrap());
    assert_eq!(store.audit_head().await.unwrap(), Some(head(3, 'c')));
    let seals: Vec<_> = store.audit(1, 9).await.unwrap().into_iter().map(|entry| entry.seal).collect();
    assert_eq!(seals, [Some(seal_of('a')), Some(seal_of('b')), Some(seal_of('c')), None, None]);
    tell(store, 1).await;
    assert!(
        store.seal_audit(Some(&head(3, 'c')), &[seal_of('d'), seal_of('e'), seal_of('f')]).await.unwrap()
    );
    let seen = fixture.second_handle().await;
    assert_eq!(seen.audit_head().await.unwrap(), Some(head(6, 'f')));
}

pub async fn who_knows_another_head_seals_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    tell(store, 4).await;
    assert!(!store.seal_audit(Some(&head(1, 'a')), &[seal_of('b')]).await.unwrap());
    assert!(store.seal_audit(None, &[seal_of('a'), seal_of('b')]).await.unwrap());
    let entries = store.audit(1, 9).await.unwrap();
    for known in [None, Some(head(1, 'a')), Some(head(2, 'a')), Some(head(3, 'b')), Some(head(9, 'b'))] {
        assert!(!store.seal_audit(known.as_ref(), &[seal_of('x')]).await.unwrap(), "{known:?}");
    }
    // Nobody can have made seals of entries that there are not.
    let known = head(2, 'b');
    let too_many = [seal_of('c'), seal_of('d'), seal_of('e')];
    assert!(!store.seal_audit(Some(&known), &too_many).await.unwrap());
    assert_eq!(store.audit(1, 9).await.unwrap(), entries);
    assert_eq!(store.audit_head().await.unwrap(), Some(known));
}

pub async fn of_two_who_seal_at_once_one_does(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let other = fixture.second_handle().await;
    tell(&steps.store, 30).await;
    let mut known = None;
    for round in 0..10 {
        let mut sealing = Vec::new();
        for (store, digit) in [(steps.store.clone(), 'a'), (other.clone(), 'b')] {
            let known = known.clone();
            sealing.push((
                digit,
                tokio::spawn(async move { store.seal_audit(known.as_ref(), &vec![seal_of(digit); 3]).await }),
            ));
        }
        let mut done = Vec::new();
        for (digit, sealed) in sealing {
            if sealed.await.unwrap().unwrap() {
                done.push(digit);
            }
        }
        assert_eq!(done.len(), 1, "in round {round}");
        known = Some(head(round * 3 + 3, done[0]));
        assert_eq!(steps.store.audit_head().await.unwrap(), known);
    }
}

pub async fn a_chunk_is_sealed_in_one_step_and_the_chain_holds(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let count = CHUNK as u64 + 20;
    tell(&steps.store, count).await;
    let key = AuditKey::new(b"a secret outside the store");
    let mut known: Option<AuditHead> = None;
    loop {
        let from = known.as_ref().map_or(1, |head| head.number + 1);
        let entries = steps.store.audit(from, CHUNK).await.unwrap();
        let Some(last) = entries.last() else { break };
        let mut before = known.as_ref().map(|head| head.seal.clone()).unwrap_or_default();
        let mut seals = Vec::new();
        for entry in &entries {
            before = seal(&key, &before, entry);
            seals.push(before.clone());
        }
        assert!(steps.store.seal_audit(known.as_ref(), &seals).await.unwrap());
        known = Some(AuditHead { number: last.number, seal: before });
    }
    let all = steps.store.audit(1, 10_000).await.unwrap();
    assert_eq!(all.len() as u64, count);
    assert_eq!(verify(&key, &all, known.as_slice()), (known, vec![]));
}

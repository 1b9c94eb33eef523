//! Messages to others: posted once, delivered by one at a time, kept until that is done.

use std::time::Duration;

use super::{
    Fixture,
    samples::{account, worker},
    steps::Steps,
};
use crate::{
    Timestamp,
    store::{
        CHUNK, Delivery, DeliveryState, MESSAGE_REMEMBERED, Message, Posted, SharedStore, StoreError, Tried,
    },
};

const TTL: Duration = Duration::from_secs(30);
const WAITING: DeliveryState = DeliveryState::Waiting;
const DELIVERED: DeliveryState = DeliveryState::Delivered;
const GIVEN_UP: DeliveryState = DeliveryState::GivenUp;

fn message(endpoint: &str, id: &str) -> Message {
    Message {
        endpoint: endpoint.into(),
        id: id.into(),
        kind: "run.finished".into(),
        account: account(),
        body: format!("{{\"é\":\"{id} | 漢\\n\"}}"),
    }
}

async fn post(store: &SharedStore, ids: &[&str]) -> u64 {
    let messages: Vec<Message> = ids.iter().map(|id| message("ops", id)).collect();
    store.post(&messages).await.unwrap()
}

async fn take(store: &SharedStore, limit: usize) -> Vec<Delivery> {
    store.take_deliveries("ops", &worker("w1"), limit, TTL).await.unwrap()
}

async fn take_one(store: &SharedStore) -> Delivery {
    let mut taken = take(store, 9).await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    taken.remove(0)
}

fn ids(taken: &[Delivery]) -> Vec<&str> {
    taken.iter().map(|delivery| &*delivery.posted.message.id).collect()
}

async fn all(store: &SharedStore) -> Vec<Posted> {
    store.outbox("ops", None, 5_000).await.unwrap()
}

/// The ids of what is in a state, newest first.
async fn in_state(store: &SharedStore, state: DeliveryState) -> Vec<String> {
    let found = store.outbox("ops", Some(state), 5_000).await.unwrap();
    found.into_iter().map(|posted| posted.message.id).collect()
}

async fn finish(store: &SharedStore, delivery: Delivery, tried: Tried) {
    store.finish_delivery(delivery, tried, "503 Service Unavailable").await.unwrap();
}

pub async fn a_message_comes_back_as_it_was_posted_and_is_due_at_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(all(&steps.store).await, []);
    assert!(take(&steps.store, 9).await.is_empty());
    let message = message("ops", "run.finished/20261121-k3f9zm/1763750000000 \"é'|");
    assert_eq!(steps.store.post(std::slice::from_ref(&message)).await.unwrap(), 1);
    let posted = Posted {
        message,
        posted_at: steps.now(),
        state: WAITING,
        tries: 0,
        tried_at: None,
        due: Some(steps.now()),
        last: None,
    };
    let second = fixture.second_handle().await;
    assert_eq!(all(&second).await, std::slice::from_ref(&posted));
    let taken = take_one(&second).await.posted;
    assert_eq!(taken, Posted { due: Some(steps.now().after(TTL)), ..posted });
}

pub async fn a_message_that_was_posted_before_is_passed_over_whatever_became_of_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    assert_eq!(post(store, &["a", "a", "b"]).await, 2);
    assert_eq!(post(store, &["b", "c"]).await, 1);
    let other = Message { body: "other".into(), ..message("ops", "a") };
    assert_eq!(store.post(&[other]).await.unwrap(), 0);
    // The same id to another endpoint is another message.
    assert_eq!(store.post(&[message("siem", "a")]).await.unwrap(), 1);
    for (delivery, tried) in take(store, 2).await.into_iter().zip([Tried::Delivered, Tried::GivenUp]) {
        finish(store, delivery, tried).await;
    }
    let before = all(store).await;
    assert_eq!(post(store, &["a", "b", "c"]).await, 0);
    assert_eq!(all(store).await, before);
    assert_eq!(store.post(&[]).await.unwrap(), 0);
}

pub async fn two_who_post_the_same_at_once_post_it_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let (one, other) =
        futures::future::join(post(&steps.store, &["a", "b"]), post(&second, &["b", "a"])).await;
    assert_eq!(one + other, 2);
    assert_eq!(all(&second).await.len(), 2);
}

pub async fn a_message_is_tried_by_one_at_a_time(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let names: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
    post(&steps.store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (one, other) = futures::future::join(take(&steps.store, 20), take(&second, 20)).await;
    let mut taken = [ids(&one), ids(&other)].concat();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!((one.len() + other.len(), taken.len()), (30, 30));
    assert!(take(&steps.store, 20).await.is_empty());
}

pub async fn the_longest_due_are_taken_first_and_no_more_than_asked(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    for id in ["late", "b", "a"] {
        post(store, &[id]).await;
        let until = steps.now().after(Duration::from_secs(100));
        if id == "late" {
            finish(store, take_one(store).await, Tried::Again(until)).await;
        }
        steps.pass(Duration::from_secs(1)).await;
    }
    assert_eq!(ids(&take(store, 1).await), ["b"]);
    steps.pass(Duration::from_secs(1)).await;
    assert_eq!(ids(&take(store, 9).await), ["a"]);
    assert!(store.take_deliveries("ops", &worker("w1"), 0, TTL).await.unwrap().is_empty());
    assert!(store.take_deliveries("siem", &worker("w1"), 9, TTL).await.unwrap().is_empty());
    steps.pass(Duration::from_secs(100)).await;
    assert_eq!(ids(&take(store, 9).await), ["b", "a", "late"]);
}

pub async fn a_right_that_lapses_leaves_the_message_as_if_it_had_not_been_tried(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    post(store, &["a"]).await;
    let first = take_one(store).await;
    steps.pass(TTL - Duration::from_millis(1)).await;
    assert!(take(store, 9).await.is_empty());
    steps.pass(Duration::from_millis(1)).await;
    let second = take_one(store).await;
    assert_eq!((second.posted.tries, second.posted.tried_at), (0, None));
    assert_ne!(first.token, second.token);
    let before = all(store).await;
    assert_refused!(
        store.finish_delivery(first, Tried::Delivered, "200 OK").await,
        StoreError::LeaseLapsed(_)
    );
    assert_eq!(all(store).await, before);
    finish(store, second, Tried::GivenUp).await;
}

/// What the endpoint has, it has: nobody need send it again.
pub async fn a_right_that_lapsed_still_counts_while_nobody_else_has_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    post(&steps.store, &["a"]).await;
    let taken = take_one(&steps.store).await;
    steps.pass(TTL * 2).await;
    finish(&steps.store, taken, Tried::Delivered).await;
    assert!(take(&steps.store, 9).await.is_empty());
}

pub async fn a_right_to_what_has_come_to_its_end_writes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    post(store, &["a"]).await;
    let slow = take_one(store).await;
    steps.pass(TTL).await;
    finish(store, take_one(store).await, Tried::Delivered).await;
    let before = all(store).await;
    assert_refused!(store.finish_delivery(slow, Tried::GivenUp, "late").await, StoreError::LeaseLapsed(_));
    assert_eq!(all(store).await, before);
}

pub async fn a_try_that_failed_counts_and_the_next_comes_at_its_time(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    post(store, &["a"]).await;
    for tries in 1..=3 {
        let taken = take_one(store).await;
        steps.pass(Duration::from_secs(2)).await;
        let (tried_at, due) = (steps.now(), steps.now().after(Duration::from_secs(60)));
        store.finish_delivery(taken, Tried::Again(due), "é: \"no route\"\n").await.unwrap();
        let told = all(store).await.remove(0);
        assert_eq!((told.state, told.tries, told.tried_at), (WAITING, tries, Some(tried_at)));
        assert_eq!((told.due, told.last.as_deref()), (Some(due), Some("é: \"no route\"\n")));
        steps.pass(Duration::from_secs(60) - Duration::from_millis(1)).await;
        assert!(take(store, 9).await.is_empty());
        steps.pass(Duration::from_millis(1)).await;
    }
    // A time that has passed already is due at once.
    finish(store, take_one(store).await, Tried::Again(Timestamp::from_millis(0))).await;
    assert_eq!(take_one(store).await.posted.tries, 4);
}

pub async fn what_is_delivered_or_given_up_on_is_tried_no_more(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    post(store, &["a", "b"]).await;
    for (delivery, tried) in take(store, 9).await.into_iter().zip([Tried::Delivered, Tried::GivenUp]) {
        finish(store, delivery, tried).await;
    }
    steps.pass(Duration::from_secs(24 * 60 * 60)).await;
    assert!(take(store, 9).await.is_empty());
    let told = all(store).await;
    let [given_up, delivered] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((delivered.state, delivered.tries, delivered.due), (DELIVERED, 1, None));
    assert_eq!((given_up.state, given_up.tries, given_up.due), (GIVEN_UP, 1, None));
    // Nobody sends the one again; the other may be posted again by hand.
    assert_eq!(delivered.message, Message { body: String::new(), ..message("ops", "a") });
    assert_eq!(given_up.message, message("ops", "b"));
}

pub async fn the_outbox_is_read_newest_first_by_state(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    // Of one moment, too, and in no order of their names.
    assert_eq!(post(store, &["c", "a", "d", "b"]).await, 4);
    steps.pass(Duration::from_secs(1)).await;
    post(store, &["0"]).await;
    let told: Vec<String> = all(store).await.into_iter().map(|posted| posted.message.id).collect();
    assert_eq!(told, ["0", "b", "d", "a", "c"]);
    for delivery in take(store, 9).await {
        match &*delivery.posted.message.id {
            "a" | "c" => finish(store, delivery, Tried::Delivered).await,
            "b" => finish(store, delivery, Tried::GivenUp).await,
            _ => {}
        }
    }
    assert_eq!(in_state(store, WAITING).await, ["0", "d"]);
    assert_eq!(in_state(store, DELIVERED).await, ["a", "c"]);
    assert_eq!(in_state(store, GIVEN_UP).await, ["b"]);
    let told = store.outbox("ops", None, 3).await.unwrap();
    assert_eq!(told.iter().map(|posted| &*posted.message.id).collect::<Vec<_>>(), ["0", "b", "d"]);
    assert_eq!(store.outbox("ops", Some(DELIVERED), 1).await.unwrap()[0].message.id, "a");
    assert_eq!(store.outbox("ops", None, 0).await.unwrap(), []);
    assert_eq!(store.outbox("siem", None, 9).await.unwrap(), []);
}

pub async fn what_was_given_up_on_can_be_tried_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    post(store, &["a", "b"]).await;
    assert!(!store.repost("ops", "a").await.unwrap());
    for (delivery, tried) in take(store, 9).await.into_iter().zip([Tried::Delivered, Tried::GivenUp]) {
        finish(store, delivery, tried).await;
    }
    let tried_at = steps.now();
    steps.pass(Duration::from_secs(1)).await;
    assert!(!store.repost("ops", "a").await.unwrap());
    assert!(!store.repost("ops", "never").await.unwrap());
    assert!(!store.repost("siem", "b").await.unwrap());
    assert!(store.repost("ops", "b").await.unwrap());
    assert!(!store.repost("ops", "b").await.unwrap());
    let told = all(store).await.remove(0);
    assert_eq!((told.state, told.tries, told.due), (WAITING, 0, Some(steps.now())));
    assert_eq!((told.tried_at, told.last.as_deref()), (Some(tried_at), Some("503 Service Unavailable")));
    let taken = take_one(store).await;
    assert_eq!(taken.posted.message, message("ops", "b"));
    finish(store, taken, Tried::Delivered).await;
    assert_eq!(in_state(store, DELIVERED).await, ["b", "a"]);
}

pub async fn what_came_to_its_end_is_remembered_for_its_time_and_then_forgotten(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    post(store, &["a", "b", "c", "d"]).await;
    let ends = [Tried::Delivered, Tried::GivenUp, Tried::GivenUp];
    for (delivery, tried) in take(store, 3).await.into_iter().zip(ends) {
        finish(store, delivery, tried).await;
    }
    steps.pass(MESSAGE_REMEMBERED).await;
    assert!(store.repost("ops", "c").await.unwrap());
    assert_eq!(store.sweep_outbox().await.unwrap(), 0);
    steps.pass(Duration::from_millis(1)).await;
    assert_eq!(store.sweep_outbox().await.unwrap(), 2);
    assert_eq!(store.sweep_outbox().await.unwrap(), 0);
    // What waits is kept, however old.
    assert_eq!(in_state(store, WAITING).await, ["d", "c"]);
    assert_eq!(all(store).await.len(), 2);
    assert_eq!(post(store, &["a", "c"]).await, 1);
    assert_eq!(all(store).await[0].tries, 0);
}

pub async fn sweeping_goes_in_chunks(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    let names: Vec<String> = (0..CHUNK + 3).map(|n| format!("m{n:04}")).collect();
    let messages: Vec<Message> = names.iter().map(|name| message("ops", name)).collect();
    for chunk in messages.chunks(CHUNK) {
        assert_eq!(store.post(chunk).await.unwrap(), chunk.len() as u64);
    }
    while let [_, ..] = take(store, CHUNK).await.as_slice() {
        steps.pass(TTL / 4).await;
    }
    steps.pass(TTL).await;
    let mut ended = 0;
    loop {
        let taken = take(store, CHUNK).await;
        if taken.is_empty() {
            break;
        }
        for delivery in taken {
            finish(store, delivery, Tried::Delivered).await;
            ended += 1;
        }
    }
    assert_eq!(ended, CHUNK + 3);
    steps.pass(MESSAGE_REMEMBERED + Duration::from_millis(1)).await;
    let mut swept = Vec::new();
    while swept.last() != Some(&0) {
        swept.push(store.sweep_outbox().await.unwrap());
    }
    assert_eq!(swept, [CHUNK as u64, 3, 0]);
    assert_eq!(all(store).await, []);
}

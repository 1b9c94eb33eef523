//! What other services leave behind: a key that a submission on its way has claimed, messages in each state.

use std::time::Duration;

use usher_shared::{AccountName, WorkerId, store::*};

use super::story::BEGINS;

const TTL: Duration = Duration::from_secs(15);
const ENDPOINT: &str = "ops";

fn account() -> AccountName {
    "zoom-operated".parse().unwrap()
}

fn message(id: &str) -> Message {
    let body = format!("{{\"é\":\"'{id}\"}}");
    Message { endpoint: ENDPOINT.into(), id: id.into(), kind: "run.held".into(), account: account(), body }
}

/// Writes it all into a store.
pub async fn write(store: &dyn Store) {
    let claimed = store.claim_key(&account(), "hr/7", "one", TTL).await.unwrap();
    assert_eq!(claimed, KeyClaim::Granted { stands_for: None });
    let messages = ["a", "b", "c", "d"].map(message);
    assert_eq!(store.post(&messages).await.unwrap(), 4);
    let taken = store.take_deliveries(ENDPOINT, &WorkerId::new("w1"), 3, TTL).await.unwrap();
    let ends = [
        (Tried::Delivered, "200 OK"),
        (Tried::GivenUp, "410 Gone"),
        (Tried::Again(BEGINS.after(TTL * 4)), "no answer within 10 s"),
    ];
    for (delivery, (tried, said)) in taken.into_iter().zip(ends) {
        store.finish_delivery(delivery, tried, said).await.unwrap();
    }
}

/// Sees that it is there, and does what comes next.
pub async fn check_and_go_on(store: &dyn Store) {
    assert_eq!(store.post(&["a", "b", "c", "d"].map(message)).await.unwrap(), 0);
    let found = store.outbox(ENDPOINT, None, 9).await.unwrap();
    let told: Vec<_> = found.iter().map(|posted| (&*posted.message.id, posted.state, posted.tries)).collect();
    let (waiting, given_up) = (DeliveryState::Waiting, DeliveryState::GivenUp);
    let delivered = DeliveryState::Delivered;
    assert_eq!(told, [("d", waiting, 0), ("c", waiting, 1), ("b", given_up, 1), ("a", delivered, 1)]);
    assert_eq!((&found[0].message, found[0].due), (&message("d"), Some(found[0].posted_at)));
    assert_eq!((found[1].due, found[2].last.as_deref()), (Some(BEGINS.after(TTL * 4)), Some("410 Gone")));
    assert!(store.repost(ENDPOINT, "b").await.unwrap());
    // It is nobody's time but theirs.
    let taken = store.take_deliveries(ENDPOINT, &WorkerId::new("w2"), 9, TTL).await.unwrap();
    let mut taken: Vec<_> = taken.iter().map(|taken| &*taken.posted.message.id).collect();
    taken.sort_unstable();
    assert_eq!(taken, ["b", "d"]);
    assert_eq!(store.claim_key(&account(), "hr/7", "another", TTL).await.unwrap(), KeyClaim::Busy);
    let renewed = store.claim_key(&account(), "hr/7", "one", TTL).await.unwrap();
    assert_eq!(renewed, KeyClaim::Granted { stands_for: None });
}

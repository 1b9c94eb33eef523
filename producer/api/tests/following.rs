//! Followers whose last event is long ago, on the store in memory.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use axum::{Router, body::Body};
use futures::StreamExt;
use http::{Request, StatusCode};
use tokio::sync::watch;
use tower::ServiceExt;
use usher_api::{Api, Parts, routes};
use usher_shared::{
    SystemClock,
    audit::{AuditEvent, AuditKind},
    config::Config,
    identity::PersonalToken,
    store::{SharedStore, memory::MemoryStore},
};

/// As many entries as are kept for those who come back.
const KEPT: u64 = 10_000;

struct Served {
    router: Router,
    token: String,
    store: SharedStore,
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

fn served() -> Served {
    let token = PersonalToken::generate().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("usher.toml");
    let key = token.key().unwrap();
    std::fs::write(&file, format!("[tokens.reader]\nkey = \"{key}\"\nroles = [\"read\"]\n")).unwrap();
    let store: SharedStore = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let (stop, stopping) = watch::channel(false);
    let api = Api::new(Parts {
        store: Arc::clone(&store),
        address: "sqlite:nowhere.db".parse().unwrap(),
        config: Config::load(Some(&file), &[]).unwrap(),
        clock: Arc::new(SystemClock),
        stop: stopping,
    });
    let (router, _) = routes(&api);
    Served { router, token: token.reveal(), store, _stop: stop, _dir: dir }
}

async fn tell(store: &SharedStore, times: u64) {
    for _ in 0..times {
        let event = AuditEvent {
            what: AuditKind::Paused,
            by: "cli:test".into(),
            from: Some("192.0.2.7".into()),
            account: Some("zoom-main".parse().unwrap()),
            run: None,
            plan: None,
            detail: None,
        };
        store.tell(&event).await.unwrap();
    }
}

impl Served {
    /// The first so many events after that one, each as its lines.
    async fn events(&self, last: &str, count: usize) -> Vec<String> {
        let request = Request::get("/v1/events")
            .header("authorization", format!("Bearer {}", self.token))
            .header("last-event-id", last)
            .body(Body::empty())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body().into_data_stream();
        let mut events = Vec::new();
        while events.len() < count {
            let chunk = body.next().await.unwrap().unwrap();
            let text = String::from_utf8(chunk.to_vec()).unwrap();
            events.extend(text.split_terminator("\n\n").map(str::to_owned));
        }
        events
    }
}

#[tokio::test]
async fn what_is_too_long_ago_is_named_as_a_gap_and_the_rest_is_told() {
    let served = served();
    tell(&served.store, KEPT + 50).await;
    let events = served.events("7", 4).await;
    assert_eq!(events[0], "id: 7\nretry: 2000");
    assert!(events[1].contains("event: gap") && events[1].contains(r#"{"from":8,"to":50}"#), "{events:?}");
    assert!(events[1].contains("id: 50"), "who comes back after it does not get it again: {events:?}");
    assert!(events[2].contains("id: 51") && events[3].contains("id: 52"), "{events:?}");
    assert!(!events[2].contains("192.0.2.7"), "from where somebody called is the audit's alone");
    let near = served.events(&(KEPT - 1).to_string(), 3).await;
    assert!(near[1].contains(&format!("id: {KEPT}\n")), "{near:?}");
}

#[tokio::test]
async fn followers_without_a_past_begin_now_and_so_do_those_of_another_store() {
    let served = served();
    tell(&served.store, 20).await;
    assert_eq!(served.events("999", 1).await, ["id: 20\nretry: 2000"], "a number that is not there yet");
    let from_the_start = served.events("0", 21).await;
    assert!(from_the_start[1].contains("id: 1\n") && from_the_start[20].contains("id: 20\n"));
}

#[tokio::test]
async fn what_happens_while_nobody_follows_is_told_to_who_comes_back() {
    let served = served();
    tell(&served.store, 3).await;
    assert!(served.events("1", 2).await[1].contains("id: 2\n"));
    // The follower has gone, and its reader with it.
    tell(&served.store, 3).await;
    let events = served.events("2", 5).await;
    let ids: Vec<&str> = events.iter().map(|event| event.lines().next().unwrap()).collect();
    assert_eq!(ids, ["id: 2", "id: 3", "id: 4", "id: 5", "id: 6"]);
}

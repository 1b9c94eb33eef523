//! On the store in memory, whose clock stands still until it is moved.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use usher_shared::{
    Action, Ending, Hold, HoldReason, ManualClock, NewRun, Priority, Request, RunId, Terms, UserRef,
    store::{Idempotency, Seal, memory::MemoryStore},
};

use super::*;

const QUIET: Duration = Duration::from_secs(20);
const START: i64 = 1_763_700_000_000;

struct Place {
    clock: Arc<ManualClock>,
    store: SharedStore,
    dir: tempfile::TempDir,
}

fn account() -> AccountName {
    "zoom-main".parse().unwrap()
}

impl Place {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), format!("whsec_{}", STANDARD.encode([7; 32]))).unwrap();
        Self { clock, store, dir }
    }

    /// An endpoint with these lines in its configuration.
    fn endpoint(&self, name: &str, lines: &str) -> Arc<Endpoint> {
        let secret = self.dir.path().join("secret");
        let text = format!("url = \"https://hooks.corp.example\"\nsecret = {{ file = {secret:?} }}\n{lines}");
        let config = toml::from_str(&text).unwrap();
        Arc::new(Endpoint::open(name, &config).unwrap())
    }

    /// A process that has just begun.
    fn scribe(&self, endpoints: Vec<Arc<Endpoint>>) -> Scribe {
        let nudges = endpoints.iter().map(|_| Arc::default()).collect();
        Scribe::new(Arc::clone(&self.store), WorkerId::new("w"), endpoints, nudges, QUIET)
    }

    fn ops(&self) -> Scribe {
        self.scribe(vec![self.endpoint("ops", "")])
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn told_to(&self, endpoint: &str) -> Vec<String> {
        let mut posted = self.store.outbox(endpoint, None, 1_000).await.unwrap();
        posted.reverse();
        posted.into_iter().map(|posted| posted.message.kind).collect()
    }

    async fn told(&self) -> Vec<String> {
        self.told_to("ops").await
    }

    /// A sealed run that deactivates one user.
    async fn submit(&self, id: &str) -> RunId {
        self.submit_with(id, Terms::default()).await
    }

    async fn submit_with(&self, id: &str, terms: Terms) -> RunId {
        let id: RunId = id.parse().unwrap();
        let run = NewRun {
            id: id.clone(),
            account: account(),
            priority: Priority::Normal,
            reason: None,
            asked_by: "test".into(),
            source: None,
            created_at: self.store.now().await.unwrap(),
            terms,
        };
        self.store.open_run(&run).await.unwrap();
        let user: UserRef = "ann@corp.example".parse().unwrap();
        let request = Request { line: 1, user, action: Action::Deactivate, reason: None, restore: None };
        self.store.append(&id, 0, &[request]).await.unwrap();
        let key = id.to_string();
        let idempotency = Idempotency { digest: key.clone(), key, again_after_end: true };
        let seal = Seal { total: 1, by_action: [(Action::Deactivate, 1)].into(), idempotency };
        self.store.seal(&id, &seal).await.unwrap();
        id
    }

    async fn cancelled(&self, id: &str) {
        let run = self.submit(id).await;
        assert_eq!(self.store.cancel(&run, CHUNK).await.unwrap(), 0);
    }

    async fn hold(&self, reason: HoldReason, seconds: Option<u64>) {
        let since = self.store.now().await.unwrap();
        let until = seconds.map(|seconds| since.after(Duration::from_secs(seconds)));
        self.store.hold(&account(), &Hold { reason, message: "why".into(), since, until }).await.unwrap();
    }
}

#[tokio::test]
async fn what_ended_is_told_once_however_often_and_by_however_many_it_is_found() {
    let place = Place::new();
    let (mut one, mut other) = (place.ops(), place.ops());
    one.look().await.unwrap();
    assert_eq!(place.told().await, [""; 0]);
    place.cancelled("20261121-aaaaaa").await;
    for _ in 0..3 {
        one.look().await.unwrap();
        other.look().await.unwrap();
        place.pass(2);
    }
    place.ops().look().await.unwrap();
    assert_eq!(place.told().await, ["run.finished"]);
    place.cancelled("20261121-bbbbbb").await;
    other.look().await.unwrap();
    assert_eq!(place.told().await, ["run.finished"; 2]);
}

#[tokio::test]
async fn a_first_start_on_a_store_with_old_runs_does_not_tell_of_them_and_a_restart_misses_nothing() {
    let place = Place::new();
    place.cancelled("20261121-aaaaaa").await;
    place.pass(BACK.as_secs() + 1);
    place.cancelled("20261121-bbbbbb").await;
    place.pass(BACK.as_secs() - 1);
    place.ops().look().await.unwrap();
    assert_eq!(place.told().await, ["run.finished"]);
}

#[tokio::test]
async fn more_runs_than_a_page_are_all_told_also_those_that_ended_in_one_moment() {
    let place = Place::new();
    let letters = b"abcdefghjkmnpqrstvwxyz";
    let letter = |n: usize| char::from(letters[n % letters.len()]);
    for n in 0..READ * 2 + 7 {
        let (a, b, c) = (letter(n), letter(n / letters.len()), letter(n / letters.len() / letters.len()));
        place.cancelled(&format!("20261121-aaa{c}{b}{a}")).await;
    }
    place.pass(1);
    place.cancelled("20261121-zzzzzz").await;
    place.ops().look().await.unwrap();
    let posted = place.store.outbox("ops", None, 5_000).await.unwrap();
    let ids: BTreeSet<String> = posted.into_iter().map(|posted| posted.message.id).collect();
    assert_eq!(ids.len(), READ * 2 + 8);
}

#[tokio::test]
async fn an_endpoint_hears_of_what_it_wants_alone_and_one_that_is_added_later_hears_of_the_last_hour() {
    let place = Place::new();
    let held = place.endpoint("held", "events = [\"run.held\", \"account.halted\"]");
    let other = place.endpoint("other", "accounts = [\"elsewhere\"]");
    let mut first = place.scribe(vec![place.endpoint("ops", ""), held, other]);
    place.cancelled("20261121-aaaaaa").await;
    place.submit("20261121-bbbbbb").await;
    place.hold(HoldReason::Scope, None).await;
    first.look().await.unwrap();
    assert_eq!(place.told().await, ["run.finished", "account.halted"]);
    assert_eq!(place.told_to("held").await, ["account.halted"]);
    assert_eq!(place.told_to("other").await, [""; 0]);
    place.pass(60);
    place.scribe(vec![place.endpoint("late", "")]).look().await.unwrap();
    assert_eq!(place.told_to("late").await, ["run.finished", "account.halted"]);
}

#[tokio::test]
async fn a_halt_and_the_resumption_are_told_once_each_by_processes_that_know_nothing_of_each_other() {
    let place = Place::new();
    place.submit("20261121-aaaaaa").await;
    let (mut one, mut other) = (place.ops(), place.ops());
    for _ in 0..5 {
        place.hold(HoldReason::Breaker, Some(1)).await;
        one.look().await.unwrap();
        other.look().await.unwrap();
        // Between two probes.
        place.pass(3);
        one.look().await.unwrap();
        other.look().await.unwrap();
    }
    assert_eq!(place.told().await, ["account.halted"]);
    let mut third = place.ops();
    for _ in 0..20 {
        place.pass(2);
        for scribe in [&mut one, &mut other, &mut third] {
            scribe.look().await.unwrap();
        }
    }
    assert_eq!(place.told().await, ["account.halted", "account.resumed"]);
    place.hold(HoldReason::Breaker, Some(1)).await;
    third.look().await.unwrap();
    one.look().await.unwrap();
    assert_eq!(place.told().await, ["account.halted", "account.resumed", "account.halted"]);
}

#[tokio::test]
async fn the_leavers_of_a_run_that_is_refused_are_named() {
    let place = Place::new();
    let run = place.submit("20261121-aaaaaa").await;
    place.store.end(&run, &Ending::over_cap("too many".into()), CHUNK).await.unwrap();
    let mut scribe = place.ops();
    scribe.look().await.unwrap();
    scribe.look().await.unwrap();
    assert_eq!(place.told().await, ["run.finished", "run.leavers_still_active"]);
    let body = &place.store.outbox("ops", None, 1).await.unwrap()[0].message.body;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["data"]["number"], 1);
    assert_eq!(
        body["data"]["users"],
        serde_json::json!([{"user": "ann@corp.example", "outcome": "cancelled", "code": "over_cap"}])
    );
    assert!(body["data"]["rest"].as_str().unwrap().contains("usher report 20261121-aaaaaa"));
}

#[tokio::test]
async fn the_leavers_of_a_run_whose_deadline_passed_without_a_worker_are_named_as_they_were_submitted() {
    let place = Place::new();
    let deadline = Timestamp::from_millis(START).after(Duration::from_secs(600));
    let terms = Terms { deadline: Some(deadline), ..Terms::default() };
    place.submit_with("20261121-aaaaaa", terms).await;
    let mut scribe = place.ops();
    place.pass(299);
    scribe.look().await.unwrap();
    assert_eq!(place.told().await, [""; 0]);
    place.pass(2);
    scribe.look().await.unwrap();
    assert_eq!(place.told().await, ["run.deadline_near"]);
    place.pass(600);
    scribe.look().await.unwrap();
    scribe.look().await.unwrap();
    assert_eq!(place.told().await, ["run.deadline_near", "run.leavers_still_active"]);
    let body = &place.store.outbox("ops", None, 1).await.unwrap()[0].message.body;
    assert!(body.contains("ann@corp.example") && body.contains("\"outcome\":null"), "{body}");
}

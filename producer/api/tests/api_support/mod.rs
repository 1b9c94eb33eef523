//! The tree of calls over a store in memory, and runs played through it by hand: what no worker, clock or network blurs.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
    response::Response,
};
use http_body_util::BodyExt;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::Value;
use tower::ServiceExt;
use usher_api::{Api, Parts, routes};
use usher_shared::{
    Action, Attempt, JobReport, ManualClock, NewRun, Outcome, Priority, Request as UserRequest, ResolvedUser,
    RunId, Status, Terms, Then, Timestamp, UserState, Verdict, WorkerId,
    identity::PersonalToken,
    store::{
        CHUNK, Idempotency, Lease, LeaseAsk, Resolution, Seal, Sealed, SharedStore, Store,
        memory::MemoryStore,
    },
};

const BEGAN: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const TTL: Duration = Duration::from_secs(15);

/// A server of nothing but its calls.
pub struct Bench {
    pub store: Arc<MemoryStore>,
    pub clock: Arc<ManualClock>,
    router: Router,
    token: String,
    random: StdRng,
}

impl Bench {
    /// An empty store, and a token that may do everything.
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new(BEGAN));
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let token = PersonalToken::generate().unwrap();
        let config = format!(
            "[serve]\ncalls_per_second = 100000\n[tokens.ann]\nkey = \"{}\"\n\
             roles = [\"submit\", \"operate\", \"approve\", \"read\"]\n",
            token.key().unwrap()
        );
        let (_, stop) = tokio::sync::watch::channel(false);
        let shared: SharedStore = store.clone();
        let api = Api::new(Parts {
            store: shared,
            address: "sqlite:usher.db".parse().unwrap(),
            config: toml::from_str(&config).unwrap(),
            clock: clock.clone(),
            stop,
        });
        let (router, _) = routes(&api);
        Self { store, clock, router, token: token.reveal(), random: StdRng::seed_from_u64(7) }
    }

    /// A call, answered; its body is still to be read.
    pub async fn call(&self, method: Method, path: &str, accept: &str) -> Response {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("accept", accept)
            .body(Body::empty())
            .unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn json(&self, method: Method, path: &str) -> (StatusCode, Value) {
        let answer = self.call(method, path, "*/*").await;
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.json(Method::GET, path).await
    }

    pub async fn post(&self, path: &str) -> (StatusCode, Value) {
        self.json(Method::POST, path).await
    }

    /// A sealed run of these users, to be deactivated.
    pub async fn sealed(&mut self, account: &str, users: &[String]) -> RunId {
        self.clock.advance(Duration::from_millis(1));
        let now = usher_shared::Clock::now(&*self.clock);
        let run = NewRun {
            id: RunId::new(now, &mut self.random),
            account: account.parse().unwrap(),
            priority: Priority::Normal,
            reason: None,
            asked_by: "test".into(),
            source: None,
            created_at: now,
            terms: Terms::default(),
        };
        self.store.open_run(&run).await.unwrap();
        let requests: Vec<UserRequest> = (1..)
            .zip(users)
            .map(|(line, user)| UserRequest {
                line,
                user: user.parse().unwrap(),
                action: Action::Deactivate,
                reason: None,
                restore: None,
            })
            .collect();
        for (at, chunk) in requests.chunks(CHUNK).enumerate() {
            self.store.append(&run.id, (at * CHUNK) as u64, chunk).await.unwrap();
        }
        let total = requests.len() as u64;
        let idempotency =
            Idempotency { key: format!("content:run:{}", run.id), digest: "d".into(), again_after_end: true };
        let seal = Seal { total, by_action: [(Action::Deactivate, total)].into(), idempotency };
        let sealed = self.store.seal(&run.id, &seal).await.unwrap();
        assert_eq!(sealed, Sealed::New { previous: None });
        run.id
    }

    /// The same, with everybody found active, and in the queue.
    pub async fn queued(&mut self, account: &str, users: &[String]) -> RunId {
        let run = self.sealed(account, users).await;
        let steward = self.store.take_steward(&run, &WorkerId::new("w"), TTL).await.unwrap().unwrap();
        let found = |user: &String| {
            let before =
                UserState { status: Status::Active, license: Some("2".into()), role: None, groups: vec![] };
            Resolution::Change(ResolvedUser { id: format!("id-{user}"), email: Some(user.clone()), before })
        };
        let resolved: Vec<_> = (0..).zip(users.iter().map(found)).collect();
        for chunk in resolved.chunks(CHUNK) {
            self.store.resolve(&steward, chunk).await.unwrap();
        }
        self.store.finish_resolving(steward).await.unwrap();
        self.store.admit(&run).await.unwrap();
        while self.store.promote(&run, CHUNK).await.unwrap() > 0 {}
        run
    }

    /// The same, with everybody deactivated.
    pub async fn finished(&mut self, account: &str, users: &[String]) -> RunId {
        let run = self.queued(account, users).await;
        while let Some(lease) = self.leased(account, CHUNK).await {
            self.applied(lease).await;
        }
        run
    }

    /// The next jobs of the account, in flight.
    pub async fn leased(&self, account: &str, batch: usize) -> Option<Lease> {
        let ask = LeaseAsk {
            account: account.parse().unwrap(),
            worker: WorkerId::new("w"),
            leases: 1,
            batch,
            ttl: TTL,
            only_run: None,
            urgent_only: false,
            idle: false,
        };
        self.store.lease(&ask).await.unwrap().leases.pop()
    }

    /// The vendor confirmed all of them.
    pub async fn applied(&self, lease: Lease) {
        let at = usher_shared::Clock::now(&*self.clock);
        let reports = lease.jobs.iter().map(|job| JobReport {
            seq: job.seq,
            attempt: Some(Attempt {
                began_at: at,
                ended_at: at,
                calls: 1,
                http: Some(204),
                verdict: Verdict::Applied,
                code: None,
                worker: WorkerId::new("w"),
            }),
            throttled: 0,
            then: Then::Finish { outcome: Outcome::Applied, code: None, message: None },
        });
        let reports = reports.collect();
        self.store.finish(lease, reports).await.unwrap();
    }
}

/// So many users.
pub fn users(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user{n}@corp.example")).collect()
}

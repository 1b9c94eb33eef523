//! Measures the engine on this machine: `cargo run --release -p usher-worker --example engine_figures -- WHAT [JOBS
//! [IN FLIGHT]]`, where WHAT is `pace` or `redis-pace` (2,400 users of the Zoom simulator at 80/s; Redis with two workers),
//! `noop` or `redis-noop` (a full queue, and a vendor that answers at once, without a limit), or `redis-store` (the store
//! without the engine). Redis is one of its own, in a temporary directory. What else runs on the machine hurts the rates;
//! the CPU time a job is what it is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a measuring tool, not a part of usher"
)]

#[path = "../tests/engine_support/mod.rs"]
#[allow(unused_imports, reason = "each program uses what it needs")]
mod engine_support;

use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use engine_support::{run_id, submit, until_over, users};
use usher_shared::{
    AccountName, Action, Attempt, JobReport, Outcome, Request, ResolvedUser, RunId, Status, SystemClock,
    Then, UserRef, UserState, Verdict, WorkerId,
    config::{SecretSource, Value, ZoomConfig, ZoomPlan},
    store::{CHUNK, LeaseAsk, Resolution, SharedStore, Store, redis::RedisStore, sqlite::SqliteStore},
};
use usher_simulator::{
    faults::MsRange,
    zoom::{Population, Settings, ZoomSim},
};
use usher_worker::{
    AccountSetup, Engine, EngineConfig,
    limiter::LimiterFactory,
    provider::{
        Access, Call, Cursor, Label, Page, Provider, ProviderOptions, Rate, Reply, SharedProvider,
        zoom::ZoomProvider,
    },
};

struct Redis(Child, String, #[expect(dead_code, reason = "held for its Drop")] tempfile::TempDir);

impl Drop for Redis {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

async fn redis() -> Redis {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--save", "", "--appendonly", "yes"])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server must be installed");
    let redis = Redis(child, format!("redis://127.0.0.1:{port}"), dir);
    while redis::Client::open(redis.1.as_str()).unwrap().get_connection().is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    redis
}

fn engine_config(
    store: SharedStore,
    provider: SharedProvider,
    worker: u32,
    limiter: LimiterFactory,
) -> EngineConfig {
    let name: AccountName = "zoom-main".parse().unwrap();
    let accounts = vec![AccountSetup { name, provider, protected: vec![] }];
    EngineConfig {
        limiter,
        ..EngineConfig::new(store, accounts, WorkerId::new(&format!("figures:{worker}")))
    }
}

async fn pace(stores: Vec<SharedStore>, limiter: LimiterFactory) {
    let mut settings =
        Settings { directory: Population { users: 2_400, ..Population::default() }, ..Settings::default() };
    settings.faults.latency_ms = MsRange::new(60, 60);
    let sim = ZoomSim::start(settings.clone()).await.unwrap();
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    writeln!(secret, "{}", settings.oauth.client_secret).unwrap();
    let zoom = ZoomConfig {
        base_url: sim.base_url().parse().unwrap(),
        token_url: sim.token_url().parse().unwrap(),
        account_id: Value::Plain(settings.oauth.account_id.clone()),
        client_id: Value::Plain(settings.oauth.client_id.clone()),
        client_secret: SecretSource::File(secret.path().to_owned()),
        plan: ZoomPlan::Business,
        light: None,
        medium: None,
        protected: vec![],
    };
    let names: Vec<String> = sim
        .users()
        .iter()
        .filter(|user| user.role_id.as_ref() == "2")
        .map(|user| user.email.to_string())
        .collect();
    let began = Instant::now();
    let run = submit(&*stores[0], 1, "zoom-main", names).await;
    let mut engines = vec![];
    for (store, worker) in stores.iter().zip(1..) {
        let provider =
            ZoomProvider::new(&"zoom-main".parse().unwrap(), &zoom, ProviderOptions::default()).unwrap();
        let config = engine_config(Arc::clone(store), Arc::new(provider), worker, limiter.clone());
        engines.push(Engine::start(config).await.unwrap());
    }
    let status = until_over(&*stores[0], &run).await;
    let report = sim.report();
    let pace = &report.pace["status"];
    let spent = pace.last_at.unwrap().duration_since(pace.first_at.unwrap()).as_secs_f64();
    eprintln!(
        "{} workers: {} of {} applied; {} status calls in {spent:.2} s from first to last = {:.1}% of 80/s; at most {} in any second; {} refused; {:.1} s from submit to end",
        engines.len(),
        status.counters.of(Outcome::Applied),
        status.counters.total,
        pace.calls,
        pace.calls as f64 / spent / 80.0 * 100.0,
        pace.max_in_any_second,
        report.throttled_calls(),
        began.elapsed().as_secs_f64(),
    );
    for engine in engines {
        engine.shutdown().await;
    }
}

/// A vendor that does at once whatever it is asked, without a limit.
#[derive(Debug)]
struct AtOnce;

#[async_trait::async_trait]
impl Provider for AtOnce {
    fn rates(&self) -> Vec<Rate> {
        vec![]
    }

    fn label(&self, _: Call) -> Label {
        Label("light")
    }

    fn batch(&self) -> usize {
        1
    }

    fn page_size(&self) -> u64 {
        300
    }

    fn listings(&self) -> Vec<Cursor> {
        vec![]
    }

    fn call_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn protected_role(&self, _: &ResolvedUser) -> Option<&'static str> {
        None
    }

    fn blocked(&self, _: &ResolvedUser, _: Action) -> Option<(&'static str, &'static str)> {
        None
    }

    async fn apply(&self, _: Action, users: &[&ResolvedUser]) -> Vec<Reply> {
        vec![Reply { http: Some(204), ..Reply::of(Verdict::Applied) }; users.len()]
    }

    async fn look_up(&self, _: &UserRef) -> Result<Option<ResolvedUser>, Reply> {
        Ok(None)
    }

    async fn list(&self, _: &Cursor) -> Result<Page, Reply> {
        Ok(Page { users: vec![], next: None, total: Some(0) })
    }

    async fn access(&self) -> Result<Access, Reply> {
        Ok(Access { granted: vec![], missing: Default::default() })
    }
}

/// Puts a submitted run into the queue, as the steward would, each user as the vendor knows it.
async fn queue(store: &dyn Store, run: &RunId) {
    let (worker, ttl) = (WorkerId::new("figures:0"), Duration::from_secs(600));
    let steward = store.take_steward(run, &worker, ttl).await.unwrap().unwrap();
    let mut from = 0;
    loop {
        let page = store.requests(run, from, CHUNK).await.unwrap();
        if page.is_empty() {
            break;
        }
        from += page.len() as u64;
        let change = |(seq, request): (u64, Request)| {
            let text = || Some("2".to_owned());
            let before = UserState { status: Status::Active, license: text(), role: text(), groups: vec![] };
            let email = Some(request.user.as_str().to_owned());
            (seq, Resolution::Change(ResolvedUser { id: format!("KDcuGIm1QgePTO8{seq:07}"), email, before }))
        };
        let resolved: Vec<_> = page.into_iter().map(change).collect();
        store.resolve(&steward, &resolved).await.unwrap();
    }
    store.finish_resolving(steward).await.unwrap();
    store.admit(run).await.unwrap();
    while store.promote(run, CHUNK).await.unwrap() > 0 {}
}

/// CPU time that a process has used, in seconds; its children's not included.
fn cpu(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // In hundredths of a second on every Linux there is.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Works a queue that is filled already: what the store and the engine alone are capable of.
async fn noop(store: SharedStore, jobs: usize, in_flight: usize, server: Option<u32>) {
    let run = submit(&*store, 1, "zoom-main", users(jobs)).await;
    queue(&*store, &run).await;
    let mut config = engine_config(Arc::clone(&store), Arc::new(AtOnce), 1, LimiterFactory::Embedded);
    config.config.max_in_flight = in_flight;
    let used = || (cpu(std::process::id()), server.map_or(0.0, cpu));
    let before = used();
    let engine = Engine::start(config).await.unwrap();
    let status = until_over(&*store, &run).await;
    let after = used();
    let took = status.finished_at.unwrap().since(status.effort.first_attempt_at.unwrap());
    let each = |cpu: f64| cpu / jobs as f64 * 1e6;
    eprintln!(
        "{} of {jobs} applied, {in_flight} in flight: {:.0} jobs/s lease to finish; CPU a job: engine {:.1} us, server {:.1} us",
        status.counters.of(Outcome::Applied),
        jobs as f64 / took.as_secs_f64(),
        each(after.0 - before.0),
        each(after.1 - before.1),
    );
    engine.shutdown().await;
}

/// The store without an engine: leases of a handful, each finished on its own by one of so many tasks at once.
async fn store_alone(store: Arc<RedisStore>, jobs: usize, finishers: usize, server: u32) {
    let run = submit(&*store, 1, "zoom-main", users(jobs)).await;
    queue(&*store, &run).await;
    let used = || (cpu(std::process::id()), cpu(server));
    let before = used();
    let began = Instant::now();
    let hands = Arc::new(tokio::sync::Semaphore::new(finishers));
    let (mut done, mut longest) = (0, Duration::ZERO);
    while done < jobs {
        let mut free = Arc::clone(&hands).acquire_owned().await.unwrap();
        while let Ok(more) = Arc::clone(&hands).try_acquire_owned() {
            free.merge(more);
        }
        let ask = LeaseAsk {
            account: "zoom-main".parse().unwrap(),
            worker: WorkerId::new("figures:1"),
            leases: free.num_permits(),
            batch: 1,
            ttl: Duration::from_secs(15),
            only_run: None,
            urgent_only: false,
            idle: false,
        };
        let asked = Instant::now();
        let leased = store.lease(&ask).await.unwrap().leases;
        longest = longest.max(asked.elapsed());
        done += leased.len();
        for lease in leased {
            let (store, hand) = (Arc::clone(&store), free.split(1).unwrap());
            tokio::spawn(async move {
                let attempt = Attempt {
                    began_at: lease.granted_at,
                    ended_at: lease.granted_at,
                    calls: 1,
                    http: Some(204),
                    verdict: Verdict::Applied,
                    code: None,
                    worker: lease.worker.clone(),
                };
                let then = Then::Finish { outcome: Outcome::Applied, code: None, message: None };
                let report = JobReport { seq: lease.jobs[0].seq, attempt: Some(attempt), throttled: 0, then };
                store.finish(lease, vec![report]).await.unwrap();
                drop(hand);
            });
        }
    }
    drop(hands.acquire_many(u32::try_from(finishers).unwrap()).await.unwrap());
    let (took, after) = (began.elapsed().as_secs_f64(), used());
    assert_eq!(store.run(&run).await.unwrap().unwrap().counters.finished, jobs as u64);
    eprintln!(
        "{jobs} jobs, {finishers} finishers: {:.0} jobs/s lease to finish, the longest lease call {longest:?}; CPU a job: client {:.1} us, server {:.1} us",
        jobs as f64 / took,
        (after.0 - before.0) / jobs as f64 * 1e6,
        (after.1 - before.1) / jobs as f64 * 1e6,
    );
}

#[tokio::main]
async fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let dir = tempfile::tempdir().unwrap();
    let sqlite = || -> SharedStore {
        Arc::new(SqliteStore::open(&dir.path().join("usher.db"), Arc::new(SystemClock)).unwrap())
    };
    let jobs = std::env::args().nth(2).map_or(50_000, |jobs| jobs.parse().unwrap());
    let many = std::env::args().nth(3).map_or(100, |many| many.parse().unwrap());
    eprintln!("{what}: run {}", run_id(1));
    match what.as_str() {
        "pace" => pace(vec![sqlite()], LimiterFactory::Embedded).await,
        "noop" => noop(sqlite(), jobs, many, None).await,
        _ => {
            let redis = redis().await;
            let (url, server) = (redis.1.clone(), redis.0.id());
            let store = async || Arc::new(RedisStore::connect(&url, None).await.unwrap());
            match what.as_str() {
                "redis-pace" => {
                    let client = redis::Client::open(url.as_str()).unwrap();
                    pace(vec![store().await, store().await], LimiterFactory::Redis(Box::new(client))).await;
                }
                "redis-noop" => noop(store().await, jobs, many, Some(server)).await,
                "redis-store" => store_alone(store().await, jobs, many, server).await,
                _ => panic!("what is to be measured? pace, noop, redis-pace, redis-noop or redis-store"),
            }
        }
    }
}

//! Measures the engine on this machine: `cargo run --release -p usher-worker --example engine_figures -- WHAT`, where WHAT
//! is `pace` or `redis-pace` (2,400 users of the Zoom simulator at 80/s; Redis with two workers), `noop` or `redis-noop`
//! (a vendor that answers at once, without a limit). Redis is one of its own, in a temporary directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a measuring tool, not a part of usher"
)]

#[path = "../tests/engine_support/mod.rs"]
mod engine_support;

use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use engine_support::{Step, Vendor, run_id, submit, until_over, users};
use usher_shared::{
    AccountName, Outcome, SystemClock, WorkerId,
    config::{SecretSource, Value, ZoomConfig, ZoomPlan},
    store::{SharedStore, redis::RedisStore, sqlite::SqliteStore},
};
use usher_simulator::{
    faults::MsRange,
    zoom::{Population, Settings, ZoomSim},
};
use usher_worker::{
    AccountSetup, Engine, EngineConfig,
    limiter::LimiterFactory,
    provider::{ProviderOptions, SharedProvider, zoom::ZoomProvider},
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

async fn noop(store: SharedStore, limiter: LimiterFactory, jobs: usize) {
    let mut vendor = Arc::into_inner(Vendor::new(f64::INFINITY, |_, _| Step::Done)).unwrap();
    (vendor.latency, vendor.listed) = (Duration::ZERO, jobs);
    let vendor = Arc::new(vendor);
    let run = submit(&*store, 1, "zoom-main", users(jobs)).await;
    let began = Instant::now();
    let engine = Engine::start(engine_config(Arc::clone(&store), vendor.clone(), 1, limiter)).await.unwrap();
    let status = until_over(&*store, &run).await;
    let all = began.elapsed().as_secs_f64();
    let starts = vendor.starts();
    let calls = (*starts.last().unwrap() - starts[0]).as_secs_f64();
    eprintln!(
        "{} of {jobs} applied: {:.0} jobs/s lease to finish, {:.0} jobs/s with resolve and promote",
        status.counters.of(Outcome::Applied),
        jobs as f64 / calls,
        jobs as f64 / all
    );
    engine.shutdown().await;
}

#[tokio::main]
async fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let dir = tempfile::tempdir().unwrap();
    let sqlite = || -> SharedStore {
        Arc::new(SqliteStore::open(&dir.path().join("usher.db"), Arc::new(SystemClock)).unwrap())
    };
    let jobs = std::env::args().nth(2).map_or(50_000, |jobs| jobs.parse().unwrap());
    eprintln!("{what}: run {}", run_id(1));
    match what.as_str() {
        "pace" => pace(vec![sqlite()], LimiterFactory::Embedded).await,
        "noop" => noop(sqlite(), LimiterFactory::Embedded, jobs).await,
        _ => {
            let redis = redis().await;
            let limiter = LimiterFactory::Redis(Box::new(redis::Client::open(redis.1.as_str()).unwrap()));
            let mut stores: Vec<SharedStore> = vec![];
            for _ in 0..2 {
                stores.push(Arc::new(RedisStore::connect(&redis.1, None).await.unwrap()));
            }
            match what.as_str() {
                "redis-pace" => pace(stores, limiter).await,
                "redis-noop" => noop(stores.remove(0), limiter, jobs).await,
                _ => panic!("what is to be measured? pace, noop, redis-pace or redis-noop"),
            }
        }
    }
}

//! A simulated account, a store that several workers share, and what they log: for tests of the fleet's one token.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "a part of test files, each of which uses some of it"
)]

use std::{
    fmt::{self, Write as _},
    io::Write as _,
    sync::{Arc, Mutex},
};

use tempfile::{NamedTempFile, TempDir};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    AccountName, Clock, SystemClock, UserRef, Verdict, WorkerId,
    config::{SecretSource, Value, ZoomConfig, ZoomPlan},
    store::{SharedStore, redis::RedisStore, sqlite::SqliteStore},
};
use usher_simulator::zoom::{Population, Settings, ZoomSim};
use usher_worker::provider::{Provider, ProviderOptions, StoreShelf, zoom::ZoomProvider};

pub fn account() -> AccountName {
    "zoom-main".parse().unwrap()
}

/// A simulated account that no test comes to the limit of by chance.
pub struct Vendor {
    pub sim: ZoomSim,
    pub config: ZoomConfig,
    secret: NamedTempFile,
}

impl Vendor {
    pub async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_at(usher_simulator::clock::Clock::system(), change).await
    }

    pub async fn start_at(clock: usher_simulator::clock::Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings =
            Settings { directory: Population { users: 200, ..Population::default() }, ..Settings::default() };
        (settings.limits.light, settings.limits.medium) = (Some(100_000), Some(100_000));
        change(&mut settings);
        let sim = ZoomSim::start_at(settings.clone(), clock).await.unwrap();
        let secret = secret_file(&settings.oauth.client_secret);
        let config = ZoomConfig {
            approval: None,
            caps: Default::default(),
            base_url: sim.base_url().parse().unwrap(),
            token_url: sim.token_url().parse().unwrap(),
            account_id: Value::Plain(settings.oauth.account_id),
            client_id: Value::Plain(settings.oauth.client_id),
            client_secret: SecretSource::File(secret.path().to_owned()),
            plan: ZoomPlan::Business,
            light: None,
            medium: None,
            protected: vec![],
        };
        Self { sim, config, secret }
    }

    pub fn granted(&self) -> u64 {
        self.sim.report().tokens_issued
    }

    pub fn emails(&self) -> Vec<UserRef> {
        self.sim.users().iter().map(|user| user.email.parse().unwrap()).collect()
    }

    /// A worker of this account; its tokens are those of this store's shelf.
    pub fn worker(&self, name: &str, store: Option<SharedStore>) -> ZoomProvider {
        self.worker_at(name, store, Arc::new(SystemClock))
    }

    pub fn worker_at(&self, name: &str, store: Option<SharedStore>, clock: Arc<dyn Clock>) -> ZoomProvider {
        let shelf = store.map(|store| StoreShelf::shared(store, WorkerId::new(name)));
        let options = ProviderOptions { clock, shelf, ..ProviderOptions::default() };
        ZoomProvider::new(&account(), &self.config, options).unwrap()
    }

    /// The vendor takes another client secret from now on; workers that are set up from now on have it.
    pub fn rotate_secret(&mut self) {
        self.sim.change_settings(|settings| settings.oauth.client_secret = "rotated-secret".into()).unwrap();
        self.secret = secret_file("rotated-secret");
        self.config.client_secret = SecretSource::File(self.secret.path().to_owned());
    }
}

fn secret_file(secret: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{secret}").unwrap();
    file
}

/// One call as an engine makes it: again at once where the token was refused, a few times at most. Returns how often it was.
pub async fn call(worker: &ZoomProvider, user: &UserRef) -> u32 {
    for refusals in 0..6 {
        match worker.look_up(user).await {
            Ok(found) => {
                assert!(found.is_some());
                return refusals;
            }
            Err(reply) => assert_eq!(reply.verdict, Verdict::Unauthorized, "{reply:?}"),
        }
    }
    panic!("refused six times");
}

/// A store that each worker opens for itself.
pub enum Place {
    Redis(RedisServer),
    Sqlite(TempDir, Arc<dyn Clock>),
}

impl Place {
    pub fn redis() -> Self {
        Self::Redis(RedisServer::start(Durability::Memory, &[]))
    }

    pub fn sqlite(clock: Arc<dyn Clock>) -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap(), clock)
    }

    pub async fn open(&self) -> SharedStore {
        match self {
            Self::Redis(redis) => Arc::new(RedisStore::connect(&redis.url(), None).await.unwrap()),
            Self::Sqlite(dir, clock) => {
                Arc::new(SqliteStore::open(&dir.path().join("usher.db"), clock.clone()).unwrap())
            }
        }
    }
}

/// A connection to a test's Redis.
pub async fn connection(redis: &RedisServer) -> redis::aio::MultiplexedConnection {
    redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Keeps whatever is logged by this thread, at any level.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut Line(&mut self.0.lock().unwrap()));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        write!(text, "{} ", event.metadata().target()).unwrap();
        event.record(&mut Line(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

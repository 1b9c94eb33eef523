//! The store on Redis keeps every promise of the conformance suite. Each check has a redis-server of its own.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;

use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    Clock, ManualClock, Timestamp,
    store::{SharedStore, conformance::Fixture, redis::RedisStore},
};

struct OnRedis {
    server: RedisServer,
    clock: Arc<ManualClock>,
    store: SharedStore,
}

impl OnRedis {
    async fn new() -> Self {
        let server = RedisServer::start(Durability::Memory, &[]);
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_795_000_000_000)));
        let store = connect(&server, &clock).await;
        Self { server, clock, store }
    }
}

async fn connect(server: &RedisServer, clock: &Arc<ManualClock>) -> SharedStore {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Arc::new(RedisStore::connect(&server.url(), Some(clock)).await.unwrap())
}

impl Fixture for OnRedis {
    fn store(&self) -> SharedStore {
        Arc::clone(&self.store)
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    async fn second_handle(&self) -> SharedStore {
        connect(&self.server, &self.clock).await
    }
}

usher_shared::conformance_suite!(OnRedis::new().await);

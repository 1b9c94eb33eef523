//! The store on Redis does what the model of it does, whatever is asked of it in whatever order.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod model;

use std::sync::Arc;

use model::player::World;
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    Clock, ManualClock,
    store::{SharedStore, redis::RedisStore},
};

/// Databases of one server, each of which is used once.
const DATABASES: u32 = 1_000;

struct OnRedis {
    url: String,
    clock: Arc<ManualClock>,
}

impl World for OnRedis {
    async fn handle(&self) -> SharedStore {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Arc::new(RedisStore::connect(&self.url, Some(clock)).await.unwrap())
    }
}

#[test]
fn the_store_on_redis_does_what_the_model_does() {
    let start = || RedisServer::start(Durability::Memory, &["--databases", &DATABASES.to_string()]);
    let (mut server, mut database) = (start(), 0);
    let world = |clock| {
        if database == DATABASES {
            (server, database) = (start(), 0);
        }
        database += 1;
        OnRedis { url: format!("{}/{}", server.url(), database - 1), clock }
    };
    model::compare("tests/redis_model.regressions", 30, world, |model| model);
}

//! The embedded store keeps every promise of the store.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use usher_shared::{
    ManualClock, Timestamp,
    store::{SharedStore, conformance::Fixture, sqlite::SqliteStore},
};

struct SqliteFixture {
    folder: tempfile::TempDir,
    store: SharedStore,
    clock: Arc<ManualClock>,
}

impl SqliteFixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_763_600_000_000)));
        let store = SqliteStore::open(&folder.path().join("usher.db"), clock.clone()).unwrap();
        Self { folder, store: Arc::new(store), clock }
    }
}

impl Fixture for SqliteFixture {
    fn store(&self) -> SharedStore {
        self.store.clone()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    async fn second_handle(&self) -> SharedStore {
        let path = self.folder.path().join("usher.db");
        Arc::new(SqliteStore::open(&path, self.clock.clone()).unwrap())
    }
}

usher_shared::conformance_suite!(SqliteFixture::new());

//! The store in memory, which others are held against, keeps every promise itself.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use usher_shared::{
    ManualClock, Timestamp,
    store::{SharedStore, conformance::Fixture, memory::MemoryStore},
};

struct InMemory {
    store: SharedStore,
    clock: Arc<ManualClock>,
}

impl InMemory {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_763_600_000_000)));
        Self { store: Arc::new(MemoryStore::new(clock.clone())), clock }
    }
}

impl Fixture for InMemory {
    fn store(&self) -> SharedStore {
        self.store.clone()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    async fn second_handle(&self) -> SharedStore {
        self.store.clone()
    }
}

usher_shared::conformance_suite!(InMemory::new());

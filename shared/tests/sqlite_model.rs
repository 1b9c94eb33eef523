//! The embedded store does what the model of it does, whatever is asked of it in whatever order.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod model;

use std::{path::PathBuf, sync::Arc};

use model::player::World;
use usher_shared::{
    ManualClock,
    store::{SharedStore, memory::MemoryStore, sqlite::SqliteStore},
};

struct OnFile {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl World for OnFile {
    async fn handle(&self) -> SharedStore {
        let path = self.folder.path().join("usher.db");
        Arc::new(SqliteStore::open(&path, self.clock.clone()).unwrap())
    }
}

/// A folder in memory where there is one: what the disk keeps is proved elsewhere.
fn folder() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

#[test]
fn the_embedded_store_does_what_the_model_does() {
    let world = |clock| OnFile { folder: folder(), clock };
    model::compare("tests/sqlite_model.regressions", 30, world, MemoryStore::like_the_embedded);
}

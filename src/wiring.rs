//! Puts the parts together: the configuration, the store, the providers, the engine.

use std::{path::Path, sync::Arc};

use indicatif::MultiProgress;
use usher_shared::{
    Clock, SystemClock,
    config::{Config, StoreAddress},
    store::{SharedStore, redis::RedisStore, sqlite::SqliteStore},
};

use crate::{
    cli::Global,
    exit::Failure,
    signals::Stop,
};

/// What every subcommand starts from.
pub struct Context {
    /// The options given.
    pub global: Global,
    /// The configuration, checked.
    pub config: Config,
    /// Where progress bars are drawn.
    pub bars: MultiProgress,
    /// Tells when to stop.
    pub stop: Stop,
}

impl Context {
    /// Reads the configuration and listens for signals.
    pub fn new(global: Global, bars: MultiProgress) -> Result<Self, Failure> {
        // A variable that is not UTF-8 can't be one of ours.
        let env: Vec<(String, String)> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let config = Config::load(global.config.as_deref(), &env)?;
        Ok(Self { global, config, bars, stop: Stop::listen()? })
    }

    /// Opens the store that is configured or named.
    pub async fn open_store(&self) -> Result<(SharedStore, StoreAddress), Failure> {
        let address = self.config.store_address(self.global.store.clone())?;
        Ok((open(&address).await?, address))
    }
}

/// Opens a store.
pub async fn open(address: &StoreAddress) -> Result<SharedStore, Failure> {
    Ok(match address {
        StoreAddress::Sqlite(path) => Arc::new(SqliteStore::open(path, clock())?),
        StoreAddress::Redis(address) => Arc::new(RedisStore::connect(address.expose(), None).await?),
    })
}

/// The time, as the whole program sees it.
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Creates a directory for its owner alone.
pub fn private_dir(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        Failure::new(
            crate::exit::Exit::Configuration,
            format!("the directory {} can't be made: {error}; set data_dir in usher.toml to one that can", path.display()),
        )
    })
}

/// Creates (or empties) a file for its owner alone.
pub fn private_file(path: &Path) -> Result<std::fs::File, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(|error| {
        Failure::new(crate::exit::Exit::InvalidInput, format!("{} can't be written: {error}", path.display()))
    })
}

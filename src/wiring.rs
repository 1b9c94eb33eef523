//! Puts the parts together: the configuration, the store, the providers, the engine.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::Duration,
};

use indicatif::MultiProgress;
use jiff::tz::TimeZone;
use secrecy::ExposeSecret;
use usher_producer::steer::Who;
use usher_shared::{
    AccountName, Clock, RunId, RunStatus, WorkerId,
    audit::{AuditHead, AuditKey},
    config::{AccountConfig, Config, ConfigError, StoreAddress},
    store::{self, SharedStore, StoreError, redis::RedisStore, sqlite::SqliteStore},
    view::{Observer, Reader},
};
use usher_worker::{
    AccountSetup, EngineConfig,
    admit::Rules,
    audit::{AuditSealing, audit_key_file},
    limiter::LimiterFactory,
    provider::{ProviderOptions, SharedProvider, Shelf, StoreShelf},
    steady_clock::SteadyClock,
};

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    signals::Stop,
};

/// What every subcommand starts from.
#[derive(Clone)]
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
        let config = Self::load(&global)?;
        Self::with(global, bars, config)
    }

    /// Reads the configuration.
    pub fn load(global: &Global) -> Result<Config, ConfigError> {
        // A variable that is not UTF-8 can't be one of ours.
        let env: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        Config::load(global.config.as_deref(), &env)
    }

    /// Starts from a configuration that was read, and listens for signals.
    pub fn with(global: Global, bars: MultiProgress, config: Config) -> Result<Self, Failure> {
        Ok(Self { global, config, bars, stop: Stop::listen()? })
    }

    /// The account of this name; without one, all there are.
    pub fn accounts(
        &self,
        name: Option<&AccountName>,
    ) -> Result<Vec<(&AccountName, &AccountConfig)>, ConfigError> {
        match name {
            Some(name) => {
                self.config.account(name)?;
                Ok(self.config.accounts.get_key_value(name).into_iter().collect())
            }
            None => Ok(self.config.accounts.iter().collect()),
        }
    }

    /// Opens the store that is configured or named.
    pub async fn open_store(&self) -> Result<(SharedStore, StoreAddress), Failure> {
        let address = self.config.store_address(self.global.store.clone())?;
        Ok((open(&address).await?, address))
    }
}

/// Opens a store.
pub async fn open(address: &StoreAddress) -> Result<SharedStore, Failure> {
    let opened: Result<SharedStore, StoreError> = match address {
        StoreAddress::Sqlite(path) => {
            SqliteStore::open(path, clock()).map(|store| Arc::new(store) as SharedStore)
        }
        StoreAddress::Redis(address) => {
            RedisStore::connect_to(address, None).await.map(|store| Arc::new(store) as SharedStore)
        }
    };
    opened.map_err(|error| {
        let Failure { exit, error } = Failure::from(error);
        Failure::new(exit, format!("{address}: {error}"))
    })
}

/// Sets up the provider of an account. Reads its secrets; makes no call. Its tokens are the fleet's where it has a shelf; else
/// it gets its own.
pub fn provider(
    config: &Config,
    name: &AccountName,
    account: &AccountConfig,
    shelf: Option<Arc<dyn Shelf>>,
) -> Result<SharedProvider, Failure> {
    let options = ProviderOptions {
        call_timeout: Duration::from_secs_f64(config.worker.call_timeout_seconds),
        clock: clock(),
        shelf,
        ..ProviderOptions::default()
    };
    usher_worker::provider::open(name, account, options)
        .map_err(|error| Failure { exit: Exit::Configuration, error: error.into() })
}

/// Sets the provider of a configured account up, with the fleet's tokens.
pub fn shelved_provider(
    context: &Context,
    store: &SharedStore,
    name: &AccountName,
) -> Result<SharedProvider, Failure> {
    let account = context.config.account(name)?;
    provider(&context.config, name, account, Some(shelf(store, worker_id(None))))
}

/// The key of the audit's seals: as configured, or `audit.key` in the data directory, which a worker on the embedded store
/// makes. `None` where there is none yet.
pub fn audit_key(config: &Config, address: &StoreAddress) -> Result<Option<AuditKey>, Failure> {
    if let Some(source) = &config.audit.key {
        let secret =
            source.read().map_err(|source| ConfigError::Secret { key: "audit.key".into(), source })?;
        return Ok(Some(AuditKey::new(secret.expose_secret().as_bytes())));
    }
    match address {
        StoreAddress::Redis(_) => Ok(None),
        StoreAddress::Sqlite(_) => {
            let dir = config.data_dir()?;
            if dir.join("audit.key").exists() { key_file(&dir).map(Some) } else { Ok(None) }
        }
    }
}

fn key_file(dir: &Path) -> Result<AuditKey, Failure> {
    let (key, _) = audit_key_file(dir).map_err(|error| Failure::new(Exit::Configuration, error))?;
    Ok(key)
}

/// What a worker on this store seals the audit with; it makes a key for the embedded store where there is none.
fn sealing(config: &Config, address: &StoreAddress) -> Result<Option<AuditSealing>, Failure> {
    let key = match (audit_key(config, address)?, address) {
        (Some(key), _) => key,
        (None, StoreAddress::Redis(_)) => return Ok(None),
        (None, StoreAddress::Sqlite(_)) => {
            let dir = config.data_dir()?;
            private_dir(&dir)?;
            key_file(&dir)?
        }
    };
    let head_file = head_file(config, address)?;
    if let Some(dir) = head_file.parent() {
        private_dir(dir)?;
    }
    Ok(Some(AuditSealing { key, head_file: Some(head_file) }))
}

/// Where the audit's head is noted in the data directory: each store has its own.
fn head_file(config: &Config, address: &StoreAddress) -> Result<PathBuf, Failure> {
    let dir = config.data_dir()?;
    let own = matches!(address, StoreAddress::Sqlite(path) if *path == dir.join("usher.db"));
    if own {
        return Ok(dir.join("audit.head"));
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    Ok(dir.join(format!("audit.{}.head", address.to_string().chars().map(plain).collect::<String>())))
}

/// The heads of the audit that were noted in the data directory; none where no worker has noted one here.
pub fn noted_heads(config: &Config, address: &StoreAddress) -> Result<Vec<AuditHead>, Failure> {
    let path = head_file(config, address)?;
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => {
            return Err(Failure::new(
                Exit::Configuration,
                format!("{} can't be read: {error}", path.display()),
            ));
        }
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| line.parse())
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(Exit::Configuration, format!("{}: {error}", path.display())))
}

/// The fleet's tokens, as this worker takes them from a store and puts them there.
pub fn shelf(store: &SharedStore, worker: WorkerId) -> Arc<dyn Shelf> {
    StoreShelf::shared(store.clone(), worker)
}

/// Makes limiters: shared by all who work from one Redis, or of this process alone.
pub fn limiter(address: &StoreAddress) -> Result<LimiterFactory, Failure> {
    Ok(match address {
        StoreAddress::Sqlite(_) => LimiterFactory::Embedded,
        StoreAddress::Redis(address) => LimiterFactory::Redis(Box::new(store::redis::client(address)?)),
    })
}

/// What an engine for one account, or one run of it, is started with.
pub fn engine(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    accounts: Vec<AccountSetup>,
    only_run: Option<&RunId>,
) -> Result<EngineConfig, Failure> {
    Ok(EngineConfig {
        limiter: limiter(address)?,
        config: context.config.worker.clone(),
        audit: sealing(&context.config, address)?,
        keep: context.config.retention.keep_days,
        only_run: only_run.cloned(),
        clock: clock(),
        ..EngineConfig::new(store.clone(), accounts, worker_id(None))
    })
}

/// An account as an engine works it.
pub fn account(
    config: &Config,
    name: &AccountName,
    provider: &SharedProvider,
) -> Result<AccountSetup, Failure> {
    let account = config.account(name)?;
    let rules = Rules {
        caps: account.caps().clone(),
        approval: account.approval().cloned(),
        tokens: config.tokens.clone(),
    };
    let protected = account.protected().to_vec();
    Ok(AccountSetup { name: name.clone(), provider: provider.clone(), protected, rules })
}

/// How this process is named in attempts and outcomes.
pub fn worker_id(name: Option<&str>) -> WorkerId {
    match name {
        Some(name) => WorkerId::new(name),
        None => WorkerId::new(&format!("{}:{}", host(), std::process::id())),
    }
}

/// Whoever uses this command, as runs and the audit name them.
pub fn who() -> Who {
    Who { by: asked_by(), from: Some(host()) }
}

/// Watches what goes on around a run, for somebody at this command line.
pub fn observer(store: &SharedStore, address: &StoreAddress, status: &RunStatus) -> Observer {
    let reader = Reader::CommandLine(address.clone());
    Observer::of(store, &status.run.account, reader, clock(), TimeZone::system())
}

/// The time, as the whole program sees it: one clock, that does not jump when the machine's is set.
pub fn clock() -> Arc<dyn Clock> {
    static CLOCK: LazyLock<Arc<SteadyClock>> = LazyLock::new(|| Arc::new(SteadyClock::system()));
    CLOCK.clone()
}

/// Creates a directory for its owner alone.
pub fn private_dir(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        Failure::new(
            Exit::Configuration,
            format!(
                "the directory {} can't be made: {error}; set data_dir in usher.toml to one that can",
                path.display()
            ),
        )
    })
}

/// Creates (or empties) a file for its owner alone.
pub fn private_file(path: &Path) -> Result<std::fs::File, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(
        |error| Failure::new(Exit::InvalidInput, format!("{} can't be written: {error}", path.display())),
    )
}

/// Who asks, for the record: the user and the host as the operating system tells them. It proves nothing.
pub fn asked_by() -> String {
    let user =
        std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
    format!("cli:{user}@{}", host())
}

/// The host's name, or `localhost` where it has none that can be read.
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_str()
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or("localhost")
        .to_owned()
}

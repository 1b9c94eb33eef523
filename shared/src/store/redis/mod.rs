//! The store on Redis or Valkey (7 or newer): for services and several machines.
//!
//! All that must be atomic is one of a small set of Lua scripts (`lua/`, each with its contract at its head), loaded as
//! one library of functions; what is only read is read with plain commands. `keys.rs` lists the keys, `record.rs` how a
//! job is written down, `state.rs` how a run is. The server's clock is the one clock, so that workers' may differ.
//!
//! A reply can be lost although the call was carried out. Each call may be sent again: `append`, `seal`, `resolve`,
//! `confirm`, `admit`, `promote`, `end`, `reopen`, `prune` find what they did and go on; [`Store::finish`] sends itself again for as long as the
//! lease can live, and is recognised by what the ledger shows; [`Store::lease`] takes back at its next ask what an
//! unanswered one was granted, so that a lost reply counts as nobody's death.
//!
//! What was never sealed is forgotten by [`Store::expire_open_runs`] alone: were its keys to expire by themselves, a long
//! upload could lose its first pages, and a large key that expires holds the server up.
//!
//! [`rights`] has what an ACL user needs.
//!
//! [`Store::finish`]: crate::store::Store::finish
//! [`Store::lease`]: crate::store::Store::lease
//! [`Store::expire_open_runs`]: crate::store::Store::expire_open_runs

mod address;
mod as_store;
mod audit;
mod claiming;
mod error;
mod examine;
mod finisher;
#[cfg(test)]
mod fuzz;
mod intake;
mod keys;
mod ledger;
mod lettering;
mod link;
mod listing;
mod notes;
mod outbox;
mod protecting;
mod pruning;
mod record;
mod reopening;
mod reply;
mod reserving;
mod resolving;
pub mod rights;
pub mod script;
mod sharing;
mod state;
mod status;
mod steering;
mod wake;
mod whole;
mod working;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::redis::{Cmd, Value};

use self::{address::Misconnected, link::Link, reply::Reply, script::Script, wake::Wakes, working::Working};
pub use self::{
    address::client,
    error::{sort, spoils_connection},
    examine::examine,
};
use super::StoreError;
use crate::{
    AccountName, Clock, RunId,
    config::{AddressError, RedisAddress},
};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u64 = 3;

/// Notes this program's format, unless a newer one is noted; answers what is noted then. What older formats lack is made
/// good where it is met (lua/lib_base.lua), account by account: there is no moment at which all of a store is rewritten.
const TAKE_UP: &str = "
local found = tonumber(redis.call('GET', KEYS[1]) or 0)
if found < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
  found = tonumber(ARGV[1])
end
return found";

/// How many runs' accounts are remembered, so that each call on a run needn't ask.
const REMEMBERED_RUNS: usize = 10_000;

/// The store on Redis or Valkey. Cheap to share; all calls go over one connection, which is replaced when it breaks.
pub struct RedisStore {
    core: Arc<Core>,
    accounts: Mutex<HashMap<RunId, AccountName>>,
    working: Working,
    wakes: Wakes,
}

/// What every call needs.
struct Core {
    link: Link,
    clock: Option<Arc<dyn Clock>>,
    /// As configured, without its password.
    address: String,
}

impl Core {
    /// The time that scripts are given: none in production, where the server's own counts.
    fn now_argument(&self) -> String {
        self.clock.as_ref().map_or_else(String::new, |clock| clock.now().as_millis().to_string())
    }

    /// A call of a script, with the time as its first argument.
    fn call(&self, script: Script, account: &AccountName) -> Cmd {
        let mut call = script.call(&keys::account(account));
        call.arg(self.now_argument());
        call
    }

    async fn send(&self, script: Script, call: &Cmd) -> Result<Reply, StoreError> {
        Reply::read(script.send(&self.link, call).await)
    }

    async fn plain(&self, command: &Cmd) -> Result<Value, StoreError> {
        self.link.send(command).await.map_err(error::sort)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("address", &self.core.address).finish_non_exhaustive()
    }
}

/// Locks what no panic can leave half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RedisStore {
    /// Connects to `redis://` or, over TLS, `rediss://[user:password@]host[:port][/database]`. `clock` is for tests;
    /// without it the server's own time counts.
    ///
    /// [`StoreError::Address`] where the address can't be used or the server refuses user or password (never shown),
    /// [`StoreError::TooNew`] where a newer usher wrote the store, [`StoreError::Unavailable`] where none answers.
    pub async fn connect(url: &str, clock: Option<Arc<dyn Clock>>) -> Result<Self, StoreError> {
        let address: RedisAddress = url.parse().map_err(|problem: AddressError| StoreError::Address {
            address: address::masked(url),
            problem: problem.to_string(),
        })?;
        Self::connect_to(&address, clock).await
    }

    /// The same, with all that a TLS connection needs; a certificate that does not verify is [`StoreError::Address`], too.
    pub async fn connect_to(
        address: &RedisAddress,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, StoreError> {
        let core = Arc::new(Core::new(address, clock)?);
        core.greet(address).await?;
        core.check_format().await?;
        Ok(Self {
            accounts: Mutex::default(),
            working: Working::new(Arc::clone(&core)),
            wakes: Wakes::new(core.link.client().clone()),
            core,
        })
    }

    /// The account of a run.
    async fn account_of(&self, run: &RunId) -> Result<AccountName, StoreError> {
        if let Some(account) = lock(&self.accounts).get(run) {
            return Ok(account.clone());
        }
        let found = self.core.plain(::redis::cmd("HGET").arg(keys::RUNS).arg(run.as_str())).await?;
        let account = reply::maybe(&found)?.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
        let account: AccountName = account
            .parse()
            .map_err(|error| StoreError::Corrupt(format!("the account of run {run}"), format!("{error}")))?;
        self.remember(run, &account);
        Ok(account)
    }

    fn remember(&self, run: &RunId, account: &AccountName) {
        let mut accounts = lock(&self.accounts);
        if accounts.len() >= REMEMBERED_RUNS {
            accounts.clear();
        }
        accounts.insert(run.clone(), account.clone());
    }

    fn forget(&self, run: &RunId) {
        lock(&self.accounts).remove(run);
    }

    /// Calls a script on a run, whose id is its second argument; `more` adds the others. `wanted` ends the sentence of a
    /// wrong phase.
    async fn on_run(
        &self,
        script: Script,
        run: &RunId,
        wanted: &'static str,
        more: impl FnOnce(&mut Cmd) + Send,
    ) -> Result<Reply, StoreError> {
        let account = self.account_of(run).await?;
        let mut call = self.core.call(script, &account);
        call.arg(run.as_str());
        more(&mut call);
        self.core.send(script, &call).await?.of_run(run, wanted)
    }
}

impl Core {
    fn new(address: &RedisAddress, clock: Option<Arc<dyn Clock>>) -> Result<Self, StoreError> {
        let link = Link::new(address::client(address)?);
        Ok(Self { link, clock, address: address::masked(address.expose()) })
    }

    /// The first call: what is wrong with the address shows in it.
    async fn greet(&self, address: &RedisAddress) -> Result<(), StoreError> {
        match self.link.send(&::redis::cmd("PING")).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match address::misconnected(address, &error) {
                Some(Misconnected::Address(problem)) => {
                    StoreError::Address { address: self.address.clone(), problem }
                }
                Some(Misconnected::Perhaps(advice)) => {
                    StoreError::Unavailable(Box::new(error::Advised::with(advice, error)))
                }
                None => self.name_refused_login(error::sort(error)),
            }),
        }
    }

    /// A login that is refused is a wrong address to whoever configured it.
    fn name_refused_login(&self, error: StoreError) -> StoreError {
        let StoreError::Refused(source) = &error else { return error };
        let Some(said) = source.downcast_ref::<::redis::RedisError>() else { return error };
        let login = said.kind() == ::redis::ErrorKind::AuthenticationFailed
            || matches!(said.code(), Some("NOAUTH" | "WRONGPASS"));
        // The crate puts a refused SELECT into words of its own, with no code.
        let database = said.to_string().contains("switch database");
        if login || database {
            let problem = "the server refuses this user, password or database number".to_owned();
            return StoreError::Address { address: self.address.clone(), problem };
        }
        error
    }

    async fn check_format(&self) -> Result<(), StoreError> {
        let mut take_up = ::redis::cmd("EVAL");
        take_up.arg(TAKE_UP).arg(1).arg(keys::SCHEMA).arg(FORMAT);
        let found = self.plain(&take_up).await?;
        let found = u64::try_from(reply::int(&found)?).unwrap_or(u64::MAX);
        if found > FORMAT {
            return Err(StoreError::TooNew { found, supported: FORMAT });
        }
        Ok(())
    }
}

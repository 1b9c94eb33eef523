//! The store on Redis or Valkey (7 or newer): for services and several machines.
//!
//! All that must be atomic is one of a small set of Lua scripts (`lua/`, each with its contract at its head), loaded as
//! one library of functions; what is only read is read with plain commands. `keys.rs` lists the keys, `record.rs` how a
//! job is written down, `state.rs` how a run is. The server's clock is the one clock, so that workers' may differ.
//!
//! A reply can be lost although the call was carried out. Each call may be sent again: `append`, `seal`, `resolve`,
//! `admit`, `promote`, `cancel` find what they did and go on; [`Store::finish`] sends itself again for as long as the
//! lease can live, and is recognised by what the ledger shows; [`Store::lease`] takes back at its next ask what an
//! unanswered one was granted, so that a lost reply counts as nobody's death.
//!
//! What was never sealed is forgotten by [`Store::expire_open_runs`] alone: were its keys to expire by themselves, a long
//! upload could lose its first pages, and a large key that expires holds the server up.
//!
//! [`rights`] has what an ACL user needs.

mod address;
mod error;
mod examine;
mod finisher;
#[cfg(test)]
mod fuzz;
mod intake;
mod keys;
mod ledger;
mod link;
mod record;
mod reply;
mod resolving;
pub mod rights;
pub mod script;
mod sharing;
mod state;
mod status;
mod steering;
mod wake;
mod working;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::redis::{Cmd, Value};
use async_trait::async_trait;

use self::{address::Misconnected, link::Link, reply::Reply, script::Script, wake::Wakes, working::Working};
pub use self::{
    address::client,
    error::{sort, spoils_connection},
    examine::examine,
};
use super::{
    Finding, Lease, LeaseAsk, Leased, Refresh, RefreshClaim, Remaining, Resolution, Seal, Sealed, Seat,
    ShelvedToken, Steward, Store, StoreError,
};
use crate::{
    AccountName, Attempt, Clock, Drawn, Hold, JobReport, NewRun, OutcomeRow, Priority, Pulse, QuotaWindow,
    Request, RunId, RunStatus, Timestamp, WorkerId,
    config::{AddressError, RedisAddress},
};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u64 = 2;

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

#[async_trait]
impl Store for RedisStore {
    async fn open_run(&self, run: &NewRun) -> Result<(), StoreError> {
        self.open(run).await
    }

    async fn append(&self, run: &RunId, first_seq: u64, requests: &[Request]) -> Result<(), StoreError> {
        self.add_requests(run, first_seq, requests).await
    }

    async fn seal(&self, run: &RunId, seal: &Seal) -> Result<Sealed, StoreError> {
        self.seal_run(run, seal).await
    }

    async fn discard(&self, run: &RunId) -> Result<(), StoreError> {
        self.discard_open(run).await
    }

    async fn expire_open_runs(&self) -> Result<u64, StoreError> {
        self.expire_open().await
    }

    async fn take_steward(
        &self,
        run: &RunId,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<Option<Steward>, StoreError> {
        self.become_steward(run, worker, ttl).await
    }

    async fn renew_steward(&self, steward: &Steward, ttl: Duration) -> Result<(), StoreError> {
        self.stay_steward(steward, ttl).await
    }

    async fn requests(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Request)>, StoreError> {
        self.read_requests(run, from_seq, limit).await
    }

    async fn remaining(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<Remaining>, StoreError> {
        self.still_to_change(run, from_seq, limit).await
    }

    async fn resolve(&self, steward: &Steward, resolved: &[(u64, Resolution)]) -> Result<(), StoreError> {
        self.record_resolutions(steward, resolved).await
    }

    async fn finish_resolving(&self, steward: Steward) -> Result<(), StoreError> {
        self.end_resolving(steward).await
    }

    async fn admit(&self, run: &RunId) -> Result<u64, StoreError> {
        self.on_run(script::ADMIT, run, "it can't be admitted", |_| ()).await?.count(0)
    }

    async fn promote(&self, run: &RunId, limit: usize) -> Result<u64, StoreError> {
        let wanted = "it can't be put into the queue before it is admitted";
        let limit = limit.min(super::CHUNK);
        self.on_run(script::PROMOTE, run, wanted, |call| {
            call.arg(limit);
        })
        .await?
        .count(0)
    }

    async fn take_seat(&self, _worker: &WorkerId) -> Result<Seat, StoreError> {
        Ok(Seat(None))
    }

    async fn lease(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        self.wakes.mark(&ask.account);
        self.working.lease(ask).await
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), StoreError> {
        self.working.renew(lease, ttl).await
    }

    async fn finish(&self, lease: Lease, reports: Vec<JobReport>) -> Result<(), StoreError> {
        self.working.finish(lease, reports).await
    }

    async fn wait_for_work(&self, account: &AccountName, at_most: Duration) {
        self.wakes.wait(account, at_most).await;
    }

    async fn pause(&self, run: &RunId) -> Result<(), StoreError> {
        self.steer(run, "it can't be paused", "pause", None).await
    }

    async fn resume(&self, run: &RunId) -> Result<(), StoreError> {
        self.steer(run, "it can't be resumed", "resume", None).await
    }

    async fn cancel(&self, run: &RunId, limit: usize) -> Result<u64, StoreError> {
        self.cancel_some(run, limit).await
    }

    async fn set_priority(&self, run: &RunId, priority: Priority) -> Result<(), StoreError> {
        self.steer(run, "its priority can't be changed", "priority", Some(priority)).await
    }

    async fn hold(&self, account: &AccountName, hold: &Hold) -> Result<(), StoreError> {
        self.hold_account(account, hold).await
    }

    async fn release(&self, account: &AccountName) -> Result<bool, StoreError> {
        self.release_account(account).await
    }

    async fn draw_quota(
        &self,
        account: &AccountName,
        label: &str,
        window: QuotaWindow,
        calls: u64,
        cap: u64,
    ) -> Result<Drawn, StoreError> {
        self.draw(account, label, window, calls, cap).await
    }

    async fn return_quota(
        &self,
        account: &AccountName,
        label: &str,
        drawn_at: Timestamp,
        calls: u64,
    ) -> Result<(), StoreError> {
        self.give_back(account, label, drawn_at, calls).await
    }

    async fn publish_pulse(&self, pulse: &Pulse) -> Result<(), StoreError> {
        self.tell(pulse).await
    }

    async fn pulses(&self, account: &AccountName) -> Result<Vec<Pulse>, StoreError> {
        self.told(account).await
    }

    async fn token(&self, account: &AccountName) -> Result<Option<ShelvedToken>, StoreError> {
        self.shelved(account).await
    }

    async fn claim_refresh(
        &self,
        account: &AccountName,
        worker: &WorkerId,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError> {
        self.claim(account, worker, instead_of, ttl).await
    }

    async fn shelve_token(
        &self,
        claim: RefreshClaim,
        sealed: &[u8],
        keep_for: Duration,
    ) -> Result<u64, StoreError> {
        self.shelve(claim, sealed, keep_for).await
    }

    async fn abandon_refresh(&self, claim: RefreshClaim) -> Result<(), StoreError> {
        self.abandon(claim).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunStatus>, StoreError> {
        self.one_run(run).await
    }

    async fn runs(&self, limit: usize) -> Result<Vec<RunStatus>, StoreError> {
        self.newest_runs(limit).await
    }

    async fn unfinished(&self, account: &AccountName) -> Result<Vec<RunStatus>, StoreError> {
        self.active_runs(account).await
    }

    async fn outcomes(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRow>, StoreError> {
        self.outcome_rows(run, from_seq, limit).await
    }

    async fn attempts(&self, run: &RunId, seq: u64) -> Result<Vec<Attempt>, StoreError> {
        self.attempts_at(run, seq).await
    }

    async fn duplicates(&self, run: &RunId) -> Result<Vec<(u64, String, u64)>, StoreError> {
        self.left_out(run).await
    }

    async fn examine(&self) -> Vec<Finding> {
        examine::examine_server(&self.core.link).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.core.time().await
    }
}

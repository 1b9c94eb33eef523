//! A Zoom account with users in it, that answers as Zoom's REST API does.
//!
//! ```
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use usher_simulator::zoom::{Settings, ZoomSim};
//!
//! let sim = ZoomSim::start(Settings::default()).await?;
//! println!("users at {}/users, tokens at {}", sim.base_url(), sim.token_url());
//! assert_eq!(sim.users().len(), 1001);
//! sim.shutdown().await;
//! # Ok::<(), usher_simulator::zoom::SimError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod account;
mod answer;
mod answers;
mod beside;
#[cfg(test)]
mod caller;
mod control;
mod directory;
mod injection;
mod limiter;
mod listing;
mod membership;
mod names;
mod oauth;
mod plan;
mod population;
mod refusal;
mod route;
mod settings;
mod status;
mod users;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

pub use answers::{AdminAnswer, AlreadyThere, HeaderVariant, PendingAnswer};
pub use directory::{SimUser, Status, Trouble, UserChange};
pub use injection::{Inject429, OtherApp, RefusalKind};
pub use plan::{Label, Plan};
pub use settings::{Limits, Oauth, Population, Rules, Settings};

use account::Account;

use crate::clock::{Clock, Moment};
pub use crate::journal::JournalLine;
pub use crate::record::Report;
use crate::server::{Server, lock};

/// Why a simulator can't be started or set. None of these is worth a retry as it stands.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The address is not loopback. The control endpoint asks for no credentials, so nobody else may reach it.
    #[error("{0} is not a loopback address; the simulator listens on 127.0.0.0/8 or ::1 alone")]
    NotLoopback(SocketAddr),
    /// The address can't be bound: most often something else listens there. Choose another port, or 0.
    #[error("can't listen on {addr}: {source}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The settings contradict themselves, or can't be changed any more. The message names the field.
    #[error("settings: {0}")]
    Settings(String),
    /// The users could not be made: the runtime is shutting down.
    #[error("the simulator's users could not be made")]
    Population,
}

/// A running simulator. Dropping it ends it at once; [`ZoomSim::shutdown`] lets calls in flight end first.
pub struct ZoomSim {
    server: Server,
    account: Arc<Mutex<Account>>,
    clock: Clock,
}

impl fmt::Debug for ZoomSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoomSim").field("addr", &self.addr()).finish_non_exhaustive()
    }
}

impl ZoomSim {
    /// Makes the users and serves them, in tasks of the current tokio runtime.
    pub async fn start(settings: Settings) -> Result<Self, SimError> {
        let start = settings.clock_start.map_or_else(|| Clock::system().now(), Moment::from_timestamp);
        Self::start_at(settings, Clock::running_from(start)).await
    }

    /// The same on a clock of the caller's, for tests that pass days in a moment; `clock_start` is ignored.
    /// Planted delays still take real time.
    pub async fn start_at(settings: Settings, clock: Clock) -> Result<Self, SimError> {
        settings.check().map_err(SimError::Settings)?;
        let addr = settings.addr;
        if !addr.ip().is_loopback() {
            return Err(SimError::NotLoopback(addr));
        }
        let start = clock.now();
        let account = tokio::task::spawn_blocking(move || Account::new(settings, start));
        let account = Arc::new(Mutex::new(account.await.map_err(|_| SimError::Population)?));
        let server = Server::start(addr, clock.clone(), account.clone());
        let server = server.await.map_err(|source| SimError::Bind { addr, source })?;
        Ok(Self { server, account, clock })
    }

    /// The address it listens on.
    pub const fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// What stands for `https://api.zoom.us/v2`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v2", self.addr())
    }

    /// What stands for `https://zoom.us/oauth/token`.
    pub fn token_url(&self) -> String {
        format!("http://{}/oauth/token", self.addr())
    }

    /// The simulator's own endpoint.
    pub fn control_url(&self) -> String {
        format!("http://{}{}", self.addr(), crate::server::CONTROL)
    }

    /// Everything that happened since the start or the last reset.
    pub fn report(&self) -> Report {
        let account = lock(&self.account);
        account.report(self.clock.now(), true)
    }

    /// Every call since the start or the last reset, by arrival. Empty unless `journal` is set.
    pub fn journal(&self) -> Vec<JournalLine> {
        lock(&self.account).journal.lines().to_vec()
    }

    /// Forgets what was recorded; users, tokens and limits stay as they are.
    pub fn reset(&self) {
        lock(&self.account).reset_record();
    }

    /// All users as they are now, the owner first.
    pub fn users(&self) -> Vec<SimUser> {
        lock(&self.account).users()
    }

    /// One user by id or e-mail address.
    pub fn user(&self, name: &str) -> Option<SimUser> {
        lock(&self.account).user(name)
    }

    /// Changes a user by hand, past all rules; returns the user afterwards, `None` if there is none.
    pub fn update_user(&self, name: &str, change: UserChange) -> Option<SimUser> {
        lock(&self.account).update_user(name, change)
    }

    /// Takes a user out of the account; returns them as they were.
    pub fn remove_user(&self, name: &str) -> Option<SimUser> {
        lock(&self.account).remove_user(name)
    }

    /// Licences that the account has paid for.
    pub fn seats(&self) -> u64 {
        lock(&self.account).seats
    }

    /// The groups that exist.
    pub fn groups(&self) -> Vec<Arc<str>> {
        lock(&self.account).groups.clone()
    }

    /// Ends the life of all tokens; returns how many were live.
    pub fn kill_tokens(&self) -> u64 {
        lock(&self.account).tokens.kill_all(self.clock.now())
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Settings {
        lock(&self.account).settings.clone()
    }

    /// Changes settings while it runs. New limits begin with empty windows and unused quotas.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) -> Result<(), SimError> {
        let mut account = lock(&self.account);
        let mut settings = account.settings.clone();
        change(&mut settings);
        account.set(self.clock.now(), settings).map_err(SimError::Settings)
    }

    /// Accepts no more calls, lets those in flight end for up to two seconds, and is gone.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

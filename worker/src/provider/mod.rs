//! What usher asks of a vendor. One method is one vendor call (token calls apart), so that the caller can take
//! one permit for it beforehand.

mod error;
mod http;
mod options;
mod restoring;
pub mod retry_after;
mod strike;
mod token;
pub mod zoom;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use usher_shared::{
    AccountName, Action, DayQuota, HoldReason, ResolvedUser, Restore, Timestamp, UserRef, Verdict,
    config::AccountConfig,
};

pub use error::ProviderError;
pub use options::ProviderOptions;
pub use restoring::{Part, PartKind, Restorable};
pub use token::{Shelf, StoreShelf};

/// The code of a reply to [`Provider::list`] whose page token has expired: that listing is read again from its first page.
/// The reply's verdict is `rejected`, for the same call fails for good.
pub const PAGE_EXPIRED: &str = "page_expired";

/// A provider, shared.
pub type SharedProvider = Arc<dyn Provider>;

/// Sets the provider of a configured account up. Reads its secrets; makes no call.
pub fn open(
    account: &AccountName,
    config: &AccountConfig,
    options: ProviderOptions,
) -> Result<SharedProvider, ProviderError> {
    match config {
        AccountConfig::Zoom(zoom) => Ok(Arc::new(zoom::ZoomProvider::new(account, zoom, options)?)),
    }
}

/// The limits of a configured account, as its plan or its configuration has them. Reads no secret: whoever only submits
/// can tell how long a run will take.
pub fn rates(account: &AccountName, config: &AccountConfig) -> Result<Vec<Rate>, ProviderError> {
    match config {
        AccountConfig::Zoom(zoom) => zoom::rates(account.as_str(), zoom),
    }
}

/// Which limit of a configured account a call counts against.
#[must_use]
pub fn label(config: &AccountConfig, call: Call) -> Label {
    match config {
        AccountConfig::Zoom(_) => zoom::label(call),
    }
}

/// What an undo puts back at a configured account's vendor, and what it can't. Reads no secret.
#[must_use]
pub fn restorable(config: &AccountConfig) -> Restorable {
    match config {
        AccountConfig::Zoom(_) => zoom::RESTORABLE,
    }
}

/// What of `restore` usher never gives back at a configured account's vendor, each with the reason, for people. Reads no secret.
#[must_use]
pub fn never_given_back(config: &AccountConfig, restore: &Restore) -> Vec<String> {
    match config {
        AccountConfig::Zoom(_) => zoom::never_given_back(restore),
    }
}

/// A rate-limit label: the calls that a vendor counts together. Zoom: `light`, `medium`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub &'static str);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// What the vendor allows under one label, for one account, over everything that uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The label.
    pub label: Label,
    /// Calls a second.
    pub per_second: f64,
    /// Calls a day, where there is such a limit.
    pub per_day: Option<DayQuota>,
}

/// A kind of vendor call, as far as its cost goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Provider::apply`].
    Apply(Action),
    /// [`Provider::look_up`].
    LookUp,
    /// [`Provider::list`].
    List,
    /// [`Provider::give_back`].
    GiveBack(PartKind),
}

impl Call {
    /// Whether it changes a user.
    #[must_use]
    pub fn changes(self) -> bool {
        matches!(self, Self::Apply(_) | Self::GiveBack(_))
    }
}

/// What the vendor's refusal for a rate limit is about, which decides how long to wait without a Retry-After.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Throttle {
    /// The calls of one second, over the account.
    PerSecond,
    /// The calls of a day: until 00:00 UTC unless the vendor says otherwise.
    PerDay,
    /// The calls of a day on this one user.
    PerUserDay,
    /// Another call on this user is under way.
    Concurrent,
}

/// A vendor's reply, classified: the input of the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it means.
    pub verdict: Verdict,
    /// The HTTP status; `None` where no reply came.
    pub http: Option<u16>,
    /// The vendor's code, or usher's own word where no reply came (`timeout`, `connect`).
    pub code: Option<String>,
    /// The vendor's message, without secrets, at most 500 characters.
    pub message: Option<String>,
    /// Set with [`Verdict::Throttled`]: what is refused.
    pub throttle: Option<Throttle>,
    /// When the vendor says to come back, where it says so in a form that can be read.
    pub retry_at: Option<Timestamp>,
    /// Calls left in the current second, where the vendor tells.
    pub remaining: Option<u32>,
    /// Set where the account must be held: bad credentials, a missing scope. Fails no user.
    pub halt: Option<HoldReason>,
    /// Whether the call may have reached the vendor and changed something: true for a lost reply or a timeout, false where
    /// no connection was made or the vendor refused.
    pub may_have_applied: bool,
}

impl Reply {
    /// A reply of this verdict with nothing else known.
    #[must_use]
    pub fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            http: None,
            code: None,
            message: None,
            throttle: None,
            retry_at: None,
            remaining: None,
            halt: None,
            may_have_applied: false,
        }
    }
}

/// Where a listing goes on: opaque to everybody but its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which of the provider's listings (Zoom: active, inactive, pending).
    pub listing: &'static str,
    /// The vendor's page token; `None` for the first page.
    pub page: Option<String>,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The users on it.
    pub users: Vec<ResolvedUser>,
    /// Where it goes on; `None` at the end.
    pub next: Option<Cursor>,
    /// Users in this listing altogether, where the vendor tells.
    pub total: Option<u64>,
}

/// What a token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The scopes that the vendor granted, as it names them.
    pub granted: Vec<String>,
    /// For each thing usher does (an action's word, or `list`, `look up`), the scopes of which at least one is needed and none is there.
    pub missing: BTreeMap<&'static str, Vec<&'static str>>,
    /// The same for what only runs need that give something back, an undo first of all.
    pub missing_to_restore: BTreeMap<&'static str, Vec<&'static str>>,
}

/// What a look at an account found.
#[derive(Clone, Debug, PartialEq)]
pub struct Examined {
    /// What the token may do, or why there is none.
    pub access: Result<Access, Reply>,
    /// The first page of the first listing, or why there is none; `None` where there is no token to ask with.
    pub page: Option<Result<Page, Reply>>,
    /// What the vendor's clock said, and ours in the middle of that call.
    pub clocks: Option<(Timestamp, Timestamp)>,
    /// Calls a second that the vendor says it allows, and the label it counted the call under.
    pub told: Option<(Label, f64)>,
}

/// The code for one vendor, bound to one account.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// The vendor's limits for this account.
    fn rates(&self) -> Vec<Rate>;

    /// Which limit a call counts against.
    fn label(&self, call: Call) -> Label;

    /// Users that one [`Provider::apply`] takes at most.
    fn batch(&self) -> usize;

    /// Users on one full page of a listing.
    fn page_size(&self) -> u64;

    /// The first cursors of the listings that together hold every user of the account.
    fn listings(&self) -> Vec<Cursor>;

    /// The first cursor of the listing of those who can sign in, by whose total they are counted; `None` where the vendor
    /// has none such.
    fn active_listing(&self) -> Option<Cursor> {
        self.listings().into_iter().find(|first| first.listing == "active")
    }

    /// How long one call takes at most, connect, token refresh and body included. A call is only started under a lease
    /// that lasts longer.
    fn call_timeout(&self) -> Duration;

    /// The role's name that protects this user by the vendor's own rules (`owner`, `admin`), where it does.
    fn protected_role(&self, user: &ResolvedUser) -> Option<&'static str>;

    /// Why this user can't be brought into the desired state at all, known without a call: (code, message). Zoom: a pending
    /// user can't be deactivated.
    fn blocked(&self, user: &ResolvedUser, action: Action) -> Option<(&'static str, &'static str)>;

    /// Brings the users into the action's desired state; one reply for each, in order. At most [`Provider::batch`] users.
    async fn apply(&self, action: Action, users: &[&ResolvedUser]) -> Vec<Reply>;

    /// What an activated user, as the vendor knows it now, lacks of `restore`, in the order in which it is to be given back. Pure.
    /// Nothing is ever taken away: who has more than `restore` says by now keeps it.
    fn lacking(&self, restore: &Restore, now: &ResolvedUser) -> Vec<Part> {
        Part::all(restore)
            .filter(|part| match part {
                Part::License(of_type) => now.before.license.as_ref() != Some(of_type),
                Part::Role(id) => now.before.role.as_ref() != Some(id),
                Part::Group(id) => !now.before.groups.contains(id),
            })
            .collect()
    }

    /// Gives one thing back to an activated user; doing it twice is harmless. [`Verdict::NoSeat`] where no licence is free: its
    /// message says so in a few words.
    async fn give_back(&self, part: &Part, _user: &ResolvedUser) -> Reply {
        Reply {
            code: Some("not_restorable".to_owned()),
            message: Some(format!("usher can't give back {part} at this vendor")),
            ..Reply::of(Verdict::Rejected)
        }
    }

    /// What an active user without a licence is called, for people. Zoom: `Basic`.
    fn unlicensed(&self) -> &'static str {
        "a user without a licence"
    }

    /// What an undo puts back, and what it can't.
    fn restorable(&self) -> Restorable {
        Restorable::default()
    }

    /// Looks one user up; `Ok(None)` where the vendor knows no such user.
    async fn look_up(&self, user: &UserRef) -> Result<Option<ResolvedUser>, Reply>;

    /// Reads one page.
    async fn list(&self, cursor: &Cursor) -> Result<Page, Reply>;

    /// What the account's token may do. Without a shelf in its options, a provider's first token is one that these very
    /// credentials got.
    async fn access(&self) -> Result<Access, Reply>;

    /// Asks for a token and for one page of users, and takes note of what the vendor tells besides. Changes nothing.
    async fn examine(&self) -> Examined {
        let access = self.access().await;
        let page = match (&access, self.listings().first()) {
            (Ok(_), Some(first)) => Some(self.list(first).await),
            _ => None,
        };
        Examined { access, page, clocks: None, told: None }
    }
}

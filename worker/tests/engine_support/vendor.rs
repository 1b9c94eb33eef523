//! A vendor that does as a script says.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};
use usher_shared::*;
use usher_worker::provider::*;

pub const LIGHT: Label = Label("light");

/// What the vendor does with one call.
#[derive(Clone, Debug)]
pub enum Step {
    /// Does it.
    Done,
    /// Does it, and loses the reply.
    DoneUnsaid,
    /// Says this.
    Say(Reply),
    /// Panics: the provider's code is at fault.
    Panic,
    /// Never answers.
    Hang,
}

impl Step {
    pub fn verdict(verdict: Verdict) -> Self {
        Self::Say(Reply::of(verdict))
    }

    pub fn busy() -> Self {
        let message = Some("busy".into());
        Self::Say(Reply { http: Some(503), message, may_have_applied: true, ..Reply::of(Verdict::Transient) })
    }

    pub fn throttled(throttle: Throttle) -> Self {
        Self::Say(Reply { http: Some(429), throttle: Some(throttle), ..Reply::of(Verdict::Throttled) })
    }
}

type Script = Box<dyn Fn(&ResolvedUser, usize) -> Step + Send + Sync>;

/// A vendor that does as its script says: given the user and which call on it this is, from 1.
pub struct Vendor {
    script: Script,
    pub per_second: f64,
    /// Calls that it allows in a UTC day.
    pub per_day: Option<u64>,
    pub latency: Duration,
    pub call_timeout: Duration,
    /// So many users stand in its listing, named as [`super::users`] names them.
    pub listed: usize,
    pub seen: Mutex<Seen>,
    /// How many calls have begun.
    pub begun: watch::Sender<usize>,
}

#[derive(Debug, Default)]
pub struct Seen {
    pub status: HashMap<String, Status>,
    pub calls: HashMap<String, usize>,
    pub starts: Vec<Instant>,
    pub looks: Vec<String>,
    /// Pages of the listing that were read.
    pub pages: usize,
    /// Users that have become admins.
    pub admins: HashSet<String>,
    /// Users that were deleted.
    pub gone: HashSet<String>,
    pub in_flight: HashSet<String>,
    pub most_in_flight: usize,
    pub met_on_one_user: bool,
}

impl fmt::Debug for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vendor")
    }
}

impl Vendor {
    pub fn new(
        per_second: f64,
        script: impl Fn(&ResolvedUser, usize) -> Step + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            per_second,
            per_day: None,
            latency: Duration::from_millis(60),
            call_timeout: Duration::from_secs(10),
            listed: 0,
            seen: Mutex::default(),
            begun: watch::Sender::new(0),
        })
    }

    pub fn calls(&self, user: &str) -> usize {
        self.seen.lock().unwrap().calls.get(user).copied().unwrap_or(0)
    }

    pub fn starts(&self) -> Vec<Instant> {
        self.seen.lock().unwrap().starts.clone()
    }

    pub async fn until_begun(&self, calls: usize) {
        self.begun.subscribe().wait_for(|begun| *begun >= calls).await.unwrap();
    }

    /// Changes what the vendor knows, as somebody does beside usher.
    pub fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
    }

    fn user(&self, name: &str) -> Option<ResolvedUser> {
        let seen = self.seen.lock().unwrap();
        if seen.gone.contains(name) {
            return None;
        }
        let status = seen.status.get(name).copied().unwrap_or(Status::Active);
        let role = seen.admins.contains(name).then(|| "admin".to_owned());
        Some(ResolvedUser {
            id: name.into(),
            email: Some(name.into()),
            before: UserState { status, license: None, role, groups: vec![] },
        })
    }

    fn set(&self, user: &ResolvedUser, action: Action) -> Verdict {
        let mut seen = self.seen.lock().unwrap();
        let before = seen.status.insert(user.id.clone(), action.desired());
        if before == Some(action.desired()) { Verdict::AlreadyApplied } else { Verdict::Applied }
    }
}

#[async_trait]
impl Provider for Vendor {
    fn rates(&self) -> Vec<Rate> {
        let per_day = self.per_day.map(|calls| DayQuota { calls, window: QuotaWindow::UtcDay });
        vec![Rate { label: LIGHT, per_second: self.per_second, per_day }]
    }

    fn label(&self, call: Call) -> Label {
        match call {
            Call::Apply(_) => LIGHT,
            Call::LookUp | Call::List | Call::GiveBack(_) => Label("medium"),
        }
    }

    fn batch(&self) -> usize {
        1
    }

    fn page_size(&self) -> u64 {
        300
    }

    fn listings(&self) -> Vec<Cursor> {
        if self.listed == 0 { vec![] } else { vec![Cursor { listing: "all", page: None }] }
    }

    fn active_listing(&self) -> Option<Cursor> {
        self.listings().into_iter().next()
    }

    fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    fn protected_role(&self, user: &ResolvedUser) -> Option<&'static str> {
        let admin = user.id.starts_with("admin") || user.before.role.is_some();
        admin.then_some("admin")
    }

    fn blocked(&self, _: &ResolvedUser, _: Action) -> Option<(&'static str, &'static str)> {
        None
    }

    async fn apply(&self, action: Action, users: &[&ResolvedUser]) -> Vec<Reply> {
        let user = users[0];
        let call = {
            let mut seen = self.seen.lock().unwrap();
            seen.starts.push(Instant::now());
            seen.met_on_one_user |= !seen.in_flight.insert(user.id.clone());
            seen.most_in_flight = seen.most_in_flight.max(seen.in_flight.len());
            let calls = seen.calls.entry(user.id.clone()).or_default();
            *calls += 1;
            *calls
        };
        self.begun.send_modify(|begun| *begun += 1);
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let step = (self.script)(user, call);
        if matches!(step, Step::Hang) {
            std::future::pending::<()>().await;
        }
        self.seen.lock().unwrap().in_flight.remove(&user.id);
        vec![match step {
            Step::Done => Reply::of(self.set(user, action)),
            Step::DoneUnsaid => {
                self.set(user, action);
                Reply {
                    code: Some("timeout".into()),
                    may_have_applied: true,
                    ..Reply::of(Verdict::Transient)
                }
            }
            Step::Say(reply) => reply,
            Step::Panic => panic!("planted"),
            Step::Hang => unreachable!(),
        }]
    }

    async fn look_up(&self, user: &UserRef) -> Result<Option<ResolvedUser>, Reply> {
        self.seen.lock().unwrap().looks.push(user.as_str().to_owned());
        Ok(self.user(user.as_str()).filter(|_| !user.as_str().starts_with("nobody")))
    }

    async fn list(&self, _: &Cursor) -> Result<Page, Reply> {
        self.seen.lock().unwrap().pages += 1;
        let users = super::users(self.listed).iter().filter_map(|name| self.user(name)).collect();
        Ok(Page { users, next: None, total: Some(self.listed as u64) })
    }

    async fn access(&self) -> Result<Access, Reply> {
        Ok(Access { granted: vec![], missing: Default::default(), missing_to_restore: Default::default() })
    }
}

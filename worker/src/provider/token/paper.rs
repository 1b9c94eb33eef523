//! A shelf and a vendor on paper, in virtual time, for the tests of what stands between them.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use usher_shared::{
    AccountName, Clock, HoldReason, Timestamp, Verdict, WorkerId,
    store::{Refresh, RefreshClaim, ShelvedToken, StoreError},
};

use super::{Fleet, Granted, Sealing, Shelf, Token, TokenSource, Tokens};
use crate::provider::Reply;

/// Tokio's virtual time, off by so much from whoever else's.
#[derive(Debug)]
pub(super) struct VirtualClock {
    began: Instant,
    shows: Timestamp,
}

impl VirtualClock {
    pub(super) fn new(shows: Timestamp) -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), shows })
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.shows.after(self.began.elapsed())
    }
}

/// How the shelf answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Well,
    Down,
    Hangs,
    /// Each call is carried out, and its answer lost.
    LosesAnswers,
}

#[derive(Debug, Default)]
pub(super) struct Lying {
    pub(super) generation: u64,
    pub(super) token: Option<(Vec<u8>, Timestamp)>,
    pub(super) claim: u64,
    pub(super) claim_until: Timestamp,
    shelved_under: u64,
    pub(super) mood: Mood,
}

#[derive(Debug)]
pub(super) struct PaperShelf {
    clock: Arc<VirtualClock>,
    pub(super) lying: Mutex<Lying>,
    pub(super) asked: AtomicU32,
}

impl PaperShelf {
    /// Its clock is hours ahead of the workers'.
    pub(super) fn new() -> Arc<Self> {
        let clock = VirtualClock::new(Timestamp::from_millis(1_795_200_000_000));
        Arc::new(Self { clock, lying: Mutex::default(), asked: AtomicU32::new(0) })
    }

    pub(super) fn set(&self, mood: Mood) {
        self.lying.lock().unwrap().mood = mood;
    }

    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn answer<T>(&self, write: impl FnOnce(&mut Lying, Timestamp) -> T) -> Result<T, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(1)).await;
        let mood = self.lying.lock().unwrap().mood;
        let unavailable = || StoreError::Unavailable("on paper".into());
        match mood {
            Mood::Down => return Err(unavailable()),
            Mood::Hangs => std::future::pending().await,
            Mood::Well | Mood::LosesAnswers => {}
        }
        let answer = write(&mut self.lying.lock().unwrap(), self.clock.now());
        if mood == Mood::LosesAnswers { Err(unavailable()) } else { Ok(answer) }
    }
}

/// The shelf as one worker sees it.
#[derive(Clone, Debug)]
pub(super) struct Seen(pub(super) Arc<PaperShelf>, pub(super) WorkerId);

#[async_trait]
impl Shelf for Seen {
    async fn claim(
        &self,
        account: &AccountName,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError> {
        let (account, worker) = (account.clone(), self.1.clone());
        let write = |lying: &mut Lying, now: Timestamp| {
            if let Some((sealed, until)) = &lying.token
                && *until > now
                && instead_of != Some(lying.generation)
            {
                let sealed = sealed.clone();
                return Refresh::Newer(ShelvedToken { generation: lying.generation, sealed });
            }
            if lying.claim_until > now {
                return Refresh::Underway(lying.claim_until);
            }
            lying.claim += 1;
            lying.claim_until = now.after(ttl);
            Refresh::Yours(RefreshClaim { account, claim: lying.claim, worker })
        };
        self.0.answer(write).await
    }

    async fn shelve(
        &self,
        claim: RefreshClaim,
        sealed: &[u8],
        keep_for: Duration,
    ) -> Result<u64, StoreError> {
        let write = |lying: &mut Lying, now: Timestamp| {
            if lying.shelved_under == claim.claim {
                return Ok(lying.generation);
            }
            if lying.claim != claim.claim {
                return Err(StoreError::LeaseLapsed("the refresh".into()));
            }
            lying.generation += 1;
            lying.token = Some((sealed.to_vec(), now.after(keep_for)));
            (lying.shelved_under, lying.claim_until) = (claim.claim, Timestamp::default());
            Ok(lying.generation)
        };
        self.0.answer(write).await?
    }

    async fn abandon(&self, claim: RefreshClaim) -> Result<(), StoreError> {
        let write = |lying: &mut Lying, _| {
            if lying.claim == claim.claim {
                lying.claim_until = Timestamp::default();
            }
        };
        self.0.answer(write).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.0.answer(|_, now| now).await
    }
}

/// A vendor that grants tokens and knows which are good.
#[derive(Debug)]
pub(super) struct PaperVendor {
    pub(super) life: Duration,
    /// Whether a new token kills the old one.
    pub(super) one_live: bool,
    /// What a call takes to arrive, and its answer to come back.
    pub(super) latency: Duration,
    /// A grant takes one permit: closed for good where there are none.
    pub(super) gate: Semaphore,
    pub(super) refuses: Mutex<Option<Reply>>,
    pub(super) asked: AtomicU32,
    pub(super) granted: AtomicU32,
    live: Mutex<HashSet<(String, Instant)>>,
}

impl PaperVendor {
    pub(super) fn new(life: Duration, one_live: bool) -> Self {
        Self {
            life,
            one_live,
            latency: Duration::from_millis(20),
            gate: Semaphore::new(1_000),
            refuses: Mutex::default(),
            asked: AtomicU32::new(0),
            granted: AtomicU32::new(0),
            live: Mutex::default(),
        }
    }

    pub(super) fn granted(&self) -> u32 {
        self.granted.load(Ordering::SeqCst)
    }

    pub(super) fn kill_all(&self) {
        self.live.lock().unwrap().clear();
    }

    /// One call with this token: whether the vendor took it.
    pub(super) async fn call(&self, token: &Token) -> bool {
        sleep(self.latency).await;
        let secret = token.secret.expose_secret();
        let good =
            self.live.lock().unwrap().iter().any(|(live, ends)| live == secret && Instant::now() < *ends);
        sleep(self.latency).await;
        good
    }
}

#[derive(Debug)]
struct Source(Arc<PaperVendor>);

#[async_trait]
impl TokenSource for Source {
    async fn grant(&self, _deadline: Instant) -> Result<Granted, Reply> {
        let vendor = &self.0;
        vendor.asked.fetch_add(1, Ordering::SeqCst);
        sleep(vendor.latency).await;
        vendor.gate.acquire().await.unwrap().forget();
        if let Some(reply) = vendor.refuses.lock().unwrap().clone() {
            return Err(reply);
        }
        let number = vendor.granted.fetch_add(1, Ordering::SeqCst) + 1;
        let token = format!("s3cret-token-{number}");
        {
            let mut live = vendor.live.lock().unwrap();
            if vendor.one_live {
                live.clear();
            }
            live.insert((token.clone(), Instant::now() + vendor.life));
        }
        sleep(vendor.latency).await;
        let scopes = Some(vec!["user:read:admin".to_owned()]);
        Ok(Granted::new(SecretString::from(token), vendor.life, scopes).unwrap())
    }
}

pub(super) fn bad_credentials() -> Reply {
    Reply { halt: Some(HoldReason::Credentials), ..Reply::of(Verdict::Forbidden) }
}

pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn sealing(secret: &str) -> Sealing {
    Sealing::new(&SecretString::from(secret), &["zoom-main"])
}

/// A worker's tokens, on a clock of its own that shows another time than anybody's.
pub(super) fn worker(number: i64, vendor: &Arc<PaperVendor>, shelf: Option<&Arc<PaperShelf>>) -> Tokens {
    worker_with(number, vendor, shelf, "s3cret")
}

pub(super) fn worker_with(
    number: i64,
    vendor: &Arc<PaperVendor>,
    shelf: Option<&Arc<PaperShelf>>,
    secret: &str,
) -> Tokens {
    let account: AccountName = "zoom-main".parse().unwrap();
    let clock = VirtualClock::new(Timestamp::from_millis(1_795_176_000_000 + number * 3_600_000));
    let fleet = shelf.map(|shelf| {
        let seen = Seen(shelf.clone(), WorkerId::new(&format!("worker-{number}")));
        Fleet::new(&account, Arc::new(seen), sealing(secret), CALL_TIMEOUT)
    });
    Tokens::new(&account, Box::new(Source(vendor.clone())), fleet, clock, CALL_TIMEOUT)
}

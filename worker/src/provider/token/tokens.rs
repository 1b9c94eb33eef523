//! The token of this process: whoever needs one has it at once, or waits for the one fetch that is under way.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::time::{Instant, timeout_at};
use usher_shared::{AccountName, Clock, Timestamp, Verdict};

use super::{
    Fleet, Token, TokenSource,
    fleet::{Ask, NoToken},
};
use crate::{metrics, provider::Reply};

/// A renewal ahead of time that failed is tried again after this share of the time that is left,
const AGAIN_AFTER_SHARE: u32 = 4;
/// but not at once.
const AGAIN_AFTER_AT_LEAST: Duration = Duration::from_millis(100);

/// An account's token in this process.
#[derive(Clone, Debug)]
pub(crate) struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    account: AccountName,
    source: Box<dyn TokenSource>,
    fleet: Option<Fleet>,
    clock: Arc<dyn Clock>,
    call_timeout: Duration,
    held: Mutex<Held>,
}

/// One fetch, and all who wait for its answer.
type Flight = Shared<BoxFuture<'static, Result<Arc<Token>, Reply>>>;

#[derive(Debug, Default)]
struct Held {
    token: Option<Arc<Token>>,
    /// The vendor has refused it.
    refused: bool,
    /// The token that was replaced last, where it was still good then.
    predecessor: Option<Arc<Token>>,
    /// The vendor lets a new token kill the old one: nobody begins a call with the old one while a new one is fetched.
    new_kills_old: bool,
    /// After a renewal ahead of time has failed: when it is tried again.
    not_before: Timestamp,
    flight: Option<Flight>,
}

impl Held {
    /// The token, where it may still be used.
    fn good(&self, now: Timestamp) -> Option<&Arc<Token>> {
        self.token.as_ref().filter(|token| !self.refused && now < token.usable_until)
    }
}

impl Tokens {
    pub(crate) fn new(
        account: &AccountName,
        source: Box<dyn TokenSource>,
        fleet: Option<Fleet>,
        clock: Arc<dyn Clock>,
        call_timeout: Duration,
    ) -> Self {
        let held = Mutex::default();
        Self(Arc::new(Inner { account: account.clone(), source, fleet, clock, call_timeout, held }))
    }

    /// The token, fetched where there is none that is good. Everybody who waits for one fetch gets its answer, a failure
    /// too: a hundred calls in flight do not ask a hundred times. Near its end the token is replaced while calls go on with
    /// it, unless the vendor is known to let the new one kill it.
    pub(crate) async fn current(&self, deadline: Instant) -> Result<Arc<Token>, Reply> {
        let flight = {
            let mut held = self.0.held();
            let now = self.0.clock.now();
            match held.good(now).cloned() {
                Some(token) if now < token.fresh_until => return Ok(token),
                Some(token) => {
                    if held.flight.is_none() && now >= held.not_before {
                        held.flight = Some(Inner::fly(&self.0));
                    }
                    match &held.flight {
                        Some(flight) if held.new_kills_old => flight.clone(),
                        _ => return Ok(token),
                    }
                }
                None => held.flight.get_or_insert_with(|| Inner::fly(&self.0)).clone(),
            }
        };
        timeout_at(deadline, flight).await.unwrap_or_else(|_| Err(time_up()))
    }

    /// Tells that the vendor refused this token. Nothing, where another has taken its place meanwhile.
    pub(crate) fn refused(&self, used: &Arc<Token>) {
        let mut held = self.0.held();
        let lived = self.0.clock.now() < used.usable_until;
        let is = |token: &Option<Arc<Token>>| token.as_ref().is_some_and(|token| Arc::ptr_eq(token, used));
        // Refused in the middle of its life, and a new one has just come, or is coming.
        let replaced = is(&held.predecessor) || (is(&held.token) && held.flight.is_some() && !held.refused);
        if lived && replaced && !held.new_kills_old {
            held.new_kills_old = true;
            tracing::debug!(account = %self.0.account, "the vendor ends a token when it grants the next");
        }
        if is(&held.token) {
            held.refused = true;
        }
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Whole after a panic of another holder, too: each change of it is one assignment.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches a token in a task of its own, so that a caller who gives up leaves neither the others nor a claim behind.
    fn fly(inner: &Arc<Self>) -> Flight {
        let inner = Arc::clone(inner);
        let task = tokio::spawn(async move {
            let _landing = Landing(&inner);
            inner.renew().await
        });
        let landed = async { task.await.unwrap_or_else(|_| Err(broken_off())) };
        landed.boxed().shared()
    }

    async fn renew(&self) -> Result<Arc<Token>, Reply> {
        let renewed = self.fetch().await.map(Arc::new);
        metrics::token(&self.account, renewed.is_ok());
        let mut held = self.held();
        let now = self.clock.now();
        let old = held.good(now).cloned();
        match (renewed, old) {
            (Ok(token), old) => {
                let not_before = Timestamp::default();
                *held = Held {
                    token: Some(Arc::clone(&token)),
                    refused: false,
                    predecessor: old,
                    not_before,
                    ..std::mem::take(&mut *held)
                };
                Ok(token)
            }
            (Err(reply), Some(old)) => {
                let left = old.usable_until.since(now);
                held.not_before = now.after((left / AGAIN_AFTER_SHARE).max(AGAIN_AFTER_AT_LEAST));
                tracing::debug!(
                    account = %self.account, code = reply.code.as_deref(), again = %held.not_before,
                    "the token is not replaced yet; the old one is still good"
                );
                Ok(old)
            }
            (Err(reply), None) => Err(reply),
        }
    }

    async fn fetch(&self) -> Result<Token, Reply> {
        let deadline = Instant::now() + self.call_timeout;
        let instead_of = self.held().token.as_ref().and_then(|token| token.generation);
        let ask = Ask { source: &*self.source, clock: &*self.clock, deadline };
        let Some(fleet) = &self.fleet else { return self.alone(&ask, None).await };
        match fleet.renew(&ask, instead_of).await {
            Ok(token) => Ok(token),
            Err(NoToken::Vendor(reply)) => Err(reply),
            Err(NoToken::TimeUp) => Err(time_up()),
            Err(NoToken::Shelf(error)) if self.held().good(self.clock.now()).is_some() => {
                tracing::debug!(account = %self.account, %error, "the fleet's token can't be renewed now");
                Err(Reply { code: Some("store".to_owned()), ..Reply::of(Verdict::Transient) })
            }
            Err(NoToken::Shelf(error)) => {
                tracing::warn!(
                    account = %self.account, %error,
                    "the store does not tell the fleet's token; this worker fetches one for itself"
                );
                self.alone(&ask, instead_of).await
            }
        }
    }

    async fn alone(&self, ask: &Ask<'_>, instead_of: Option<u64>) -> Result<Token, Reply> {
        let at = self.clock.now();
        let granted = ask.source.grant(ask.deadline).await?;
        let token = Token::new(granted, Duration::ZERO, at, instead_of).ok_or_else(broken_off)?;
        tracing::debug!(account = %self.account, fresh_until = %token.fresh_until, "new token");
        Ok(token)
    }
}

/// Ends a flight, however it ends: whoever comes later begins another.
struct Landing<'a>(&'a Arc<Inner>);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.0.held().flight = None;
    }
}

fn time_up() -> Reply {
    Reply {
        code: Some("timeout".to_owned()),
        message: Some("no token within the call's timeout".to_owned()),
        ..Reply::of(Verdict::Transient)
    }
}

fn broken_off() -> Reply {
    Reply {
        code: Some("token".to_owned()),
        message: Some("the fetch of a token broke off".to_owned()),
        ..Reply::of(Verdict::Transient)
    }
}

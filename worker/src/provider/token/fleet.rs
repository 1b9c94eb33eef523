//! The fleet's token: taken from the shelf where another worker has put a newer one, else fetched under a claim, so that of
//! all workers one asks the vendor.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};
use usher_shared::{
    AccountName, Clock,
    store::{Refresh, RefreshClaim, ShelvedToken, StoreError},
};

use super::{Sealing, Shelf, Token, TokenSource, shelved::Shelved};
use crate::provider::Reply;

/// A store that has not answered for so long is taken to be out: work does not wait for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// While another worker fetches a token, the shelf is looked at after this wait first,
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// and then after twice the wait before, up to this one.
const LOOK_AGAIN_AT_MOST: Duration = Duration::from_millis(100);
/// What giving a claim up may take: where it fails, the claim ends by itself.
const ABANDON_WITHIN: Duration = Duration::from_millis(500);

/// An account's token on the fleet's shelf.
#[derive(Debug)]
pub(crate) struct Fleet {
    account: AccountName,
    shelf: Arc<dyn Shelf>,
    sealing: Sealing,
    /// A claim's length: half of what a call may take, so that whoever waits for a worker that died can take over and still
    /// make its call.
    claim_for: Duration,
    patience: Duration,
}

/// Why the fleet has no token.
#[derive(Debug)]
pub(super) enum NoToken {
    /// The vendor gave none.
    Vendor(Reply),
    /// The store did not answer.
    Shelf(StoreError),
    /// Other workers were fetching it until the time was up.
    TimeUp,
}

/// What a token is fetched with.
pub(super) struct Ask<'a> {
    pub(super) source: &'a dyn TokenSource,
    pub(super) clock: &'a dyn Clock,
    pub(super) deadline: Instant,
}

impl Fleet {
    pub(crate) fn new(
        account: &AccountName,
        shelf: Arc<dyn Shelf>,
        sealing: Sealing,
        call_timeout: Duration,
    ) -> Self {
        let (claim_for, patience) = (call_timeout / 2, PATIENCE.min(call_timeout / 4));
        Self { account: account.clone(), shelf, sealing, claim_for, patience }
    }

    /// A token in place of the one with this generation.
    pub(super) async fn renew(&self, ask: &Ask<'_>, instead_of: Option<u64>) -> Result<Token, NoToken> {
        let mut late = None;
        match self.renew_or_wait(ask, instead_of, &mut late).await {
            Err(NoToken::Shelf(_) | NoToken::TimeUp) if late.is_some() => late.ok_or(NoToken::TimeUp),
            outcome => outcome,
        }
    }

    /// `late` is set to a token that was fetched, but whose claim another worker had taken over by then: theirs is newer
    /// and may have killed it, so it is only used where theirs can't be had.
    async fn renew_or_wait(
        &self,
        ask: &Ask<'_>,
        mut instead_of: Option<u64>,
        late: &mut Option<Token>,
    ) -> Result<Token, NoToken> {
        let mut wait = LOOK_AGAIN;
        loop {
            let claim = || self.shelf.claim(&self.account, instead_of, self.claim_for);
            match self.insist(ask.deadline, claim).await? {
                Refresh::Newer(shelved) => {
                    if let Some(token) = self.adopt(&shelved, ask).await? {
                        return Ok(token);
                    }
                    if instead_of.replace(shelved.generation) != Some(shelved.generation) {
                        continue;
                    }
                }
                Refresh::Underway(_) => {}
                Refresh::Yours(claim) => match self.fetch(claim, ask, instead_of).await? {
                    Fetched::Token(token) => return Ok(token),
                    Fetched::Late(token) => *late = Some(token),
                },
            }
            let again = Instant::now() + wait;
            if again >= ask.deadline {
                return Err(NoToken::TimeUp);
            }
            sleep_until(again).await;
            wait = (wait * 2).min(LOOK_AGAIN_AT_MOST);
        }
    }

    /// The token on the shelf, where it opens and lives. `None`: it is as good as none.
    async fn adopt(&self, shelved: &ShelvedToken, ask: &Ask<'_>) -> Result<Option<Token>, NoToken> {
        let generation = shelved.generation;
        let Some(opened) = Shelved::open(&self.sealing, &shelved.sealed) else {
            tracing::debug!(
                account = %self.account, generation,
                "the token in the store was not sealed with this account's secret; it is replaced"
            );
            return Ok(None);
        };
        // Looked at before the store is asked: so the token is rather taken for older than it is.
        let at = ask.clock.now();
        let store_now = self.insist(ask.deadline, || self.shelf.now()).await?;
        let age = opened.age(store_now);
        let token = Token::new(opened.granted, age, at, Some(generation))
            .filter(|token| ask.clock.now() < token.usable_until);
        if let Some(token) = &token {
            tracing::debug!(account = %self.account, generation, fresh_until = %token.fresh_until, "the fleet's token");
        }
        Ok(token)
    }

    async fn fetch(
        &self,
        claim: RefreshClaim,
        ask: &Ask<'_>,
        instead_of: Option<u64>,
    ) -> Result<Fetched, NoToken> {
        // The store's time from before the vendor is asked: a token's life is counted from there by everybody.
        let obtained_at = match self.insist(ask.deadline, || self.shelf.now()).await {
            Ok(now) => now,
            Err(error) => {
                self.abandon(claim).await;
                return Err(error);
            }
        };
        let at = ask.clock.now();
        let granted = match ask.source.grant(ask.deadline).await {
            Ok(granted) => granted,
            Err(reply) => {
                self.abandon(claim).await;
                return Err(NoToken::Vendor(reply));
            }
        };
        let shelved = Shelved { granted, obtained_at };
        let token = |generation| {
            // A token that was granted is one that can stand in a header.
            Token::new(shelved.granted.clone(), Duration::ZERO, at, generation).ok_or(NoToken::TimeUp)
        };
        let Some(sealed) = shelved.seal(&self.sealing) else {
            tracing::warn!(account = %self.account, "no randomness to seal the new token with; it is not shared");
            self.abandon(claim).await;
            return Ok(Fetched::Token(token(instead_of)?));
        };
        let life = shelved.granted.life;
        // Past the call's own deadline, where it must be: a token that was granted is worth a moment more.
        let until = ask.deadline.max(Instant::now() + self.patience);
        match self.insist(until, || self.shelf.shelve(copied(&claim), &sealed, life)).await {
            Ok(generation) => {
                let token = token(Some(generation))?;
                let fresh_until = token.fresh_until;
                tracing::debug!(account = %self.account, generation, %fresh_until, "new token for the fleet");
                Ok(Fetched::Token(token))
            }
            Err(NoToken::Shelf(StoreError::LeaseLapsed(_))) => {
                tracing::debug!(account = %self.account, "another worker took the refresh over; its token counts");
                Ok(Fetched::Late(token(instead_of)?))
            }
            Err(_) => {
                tracing::warn!(account = %self.account, "the new token could not be shared: the store does not answer");
                Ok(Fetched::Token(token(instead_of)?))
            }
        }
    }

    async fn abandon(&self, claim: RefreshClaim) {
        let within = Instant::now() + ABANDON_WITHIN;
        if !matches!(timeout_at(within, self.shelf.abandon(claim)).await, Ok(Ok(()))) {
            tracing::debug!(account = %self.account, "a refresh could not be given up; its claim ends by itself");
        }
    }

    /// Asks the store, again where it does not answer, for as long as there is patience.
    async fn insist<T, F>(&self, deadline: Instant, call: impl Fn() -> F) -> Result<T, NoToken>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let until = deadline.min(Instant::now() + self.patience);
        let mut wait = LOOK_AGAIN;
        loop {
            let error = match timeout_at(until, call()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => StoreError::Unavailable("no answer in time".into()),
            };
            let again = Instant::now() + wait;
            if !error.is_retryable() || again >= until {
                return Err(NoToken::Shelf(error));
            }
            sleep_until(again).await;
            wait = (wait * 2).min(LOOK_AGAIN_AT_MOST);
        }
    }
}

enum Fetched {
    Token(Token),
    /// Another worker had taken the claim over.
    Late(Token),
}

/// A claim is not `Clone`, so that nobody shelves under it twice; but a call that the store could not answer may be sent
/// again, and only one of the two is ever accepted.
fn copied(claim: &RefreshClaim) -> RefreshClaim {
    RefreshClaim { account: claim.account.clone(), claim: claim.claim, worker: claim.worker.clone() }
}

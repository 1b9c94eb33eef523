//! Where a fleet's token lies: what is asked of the store for it, and by whom.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use usher_shared::{
    AccountName, Timestamp, WorkerId,
    store::{Refresh, RefreshClaim, SharedStore, StoreError},
};

/// Where a fleet's token lies. Every method is safe to call again after an error that [`StoreError::is_retryable`].
#[async_trait]
pub trait Shelf: fmt::Debug + Send + Sync + 'static {
    /// Claims the right to fetch a token in place of the one with this generation, for `ttl`.
    async fn claim(
        &self,
        account: &AccountName,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError>;

    /// Shelves the token that was fetched under a claim; returns its generation.
    async fn shelve(&self, claim: RefreshClaim, sealed: &[u8], keep_for: Duration)
    -> Result<u64, StoreError>;

    /// Gives a claim up.
    async fn abandon(&self, claim: RefreshClaim) -> Result<(), StoreError>;

    /// The store's time.
    async fn now(&self) -> Result<Timestamp, StoreError>;
}

/// The store's shelf, as one worker uses it.
#[derive(Clone)]
pub struct StoreShelf {
    store: SharedStore,
    worker: WorkerId,
}

impl fmt::Debug for StoreShelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreShelf").field("worker", &self.worker).finish_non_exhaustive()
    }
}

impl StoreShelf {
    /// This store's shelf; claims are made in this worker's name.
    #[must_use]
    pub fn shared(store: SharedStore, worker: WorkerId) -> Arc<dyn Shelf> {
        Arc::new(Self { store, worker })
    }
}

#[async_trait]
impl Shelf for StoreShelf {
    async fn claim(
        &self,
        account: &AccountName,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError> {
        self.store.claim_refresh(account, &self.worker, instead_of, ttl).await
    }

    async fn shelve(
        &self,
        claim: RefreshClaim,
        sealed: &[u8],
        keep_for: Duration,
    ) -> Result<u64, StoreError> {
        self.store.shelve_token(claim, sealed, keep_for).await
    }

    async fn abandon(&self, claim: RefreshClaim) -> Result<(), StoreError> {
        self.store.abandon_refresh(claim).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.store.now().await
    }
}

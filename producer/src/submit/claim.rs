//! A key that is taken while a submission under it is on its way.

use std::{fmt::Write as _, time::Duration};

use rand::{Rng, RngExt};
use tokio::task::JoinHandle;
use usher_shared::{
    AccountName, RunId,
    store::{KeyClaim, SharedStore, StoreError},
};

use super::{Key, Patience, SubmitError};

/// For how long a claim holds in the store without being renewed: so long a key is busy after its submitter died.
pub const CLAIM_LASTS: Duration = Duration::from_secs(30);

/// A key that is taken while a submission under it is on its way: whoever comes with the same key meanwhile hears of it at
/// once ([`SubmitError::KeyBusy`]), not only after all of its content was stored. What binds a key is the seal; a claim is
/// a courtesy, and one that is lost stops nobody.
///
/// Renewed in the background for as long as it is kept, given up when it is dropped.
#[derive(Debug)]
#[must_use = "a claim that is dropped is given up"]
pub struct Claim {
    /// What is held, and the task that renews it.
    held: Option<(Held, JoinHandle<()>)>,
    stands_for: Option<RunId>,
}

#[derive(Clone, Debug)]
struct Held {
    store: SharedStore,
    account: AccountName,
    key: String,
    claimant: String,
}

impl Claim {
    /// Takes a key; `None` for one that is made of the content, of which nothing is known yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`SubmitError::KeyBusy`] where another submission under it is on its way, [`SubmitError::Key`] for a key that can't be
    /// one, [`SubmitError::Store`] where the store refuses or stays away.
    pub async fn take(
        store: &SharedStore,
        account: &AccountName,
        key: &Key,
        random: &mut (dyn Rng + Send),
        patience: Patience,
    ) -> Result<Option<Self>, SubmitError> {
        let Some(text) = key.text()? else { return Ok(None) };
        let held =
            Held { store: store.clone(), account: account.clone(), key: text, claimant: claimant(random) };
        match patience.call(|| held.claim()).await? {
            KeyClaim::Granted { stands_for } => {
                let renewing = tokio::spawn(held.clone().renew());
                Ok(Some(Self { held: Some((held, renewing)), stands_for }))
            }
            KeyClaim::Busy => Err(SubmitError::KeyBusy(key.as_sent().unwrap_or_default().to_owned())),
        }
    }

    /// The run that was sealed under the key before. Whether it has the same content is known once all of that is.
    #[must_use]
    pub fn stands_for(&self) -> Option<&RunId> {
        self.stands_for.as_ref()
    }

    /// Gives the key up, and waits until that is done.
    pub async fn release(mut self) {
        if let Some((held, renewing)) = self.held.take() {
            held.give_up(renewing).await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some((held, renewing)) = self.held.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(held.give_up(renewing))),
            // Without a runtime it lapses.
            Err(_) => renewing.abort(),
        }
    }
}

impl Held {
    async fn claim(&self) -> Result<KeyClaim, StoreError> {
        self.store.claim_key(&self.account, &self.key, &self.claimant, CLAIM_LASTS).await
    }

    async fn renew(self) {
        loop {
            tokio::time::sleep(CLAIM_LASTS / 3).await;
            match self.claim().await {
                Ok(KeyClaim::Granted { .. }) => {}
                Ok(KeyClaim::Busy) => {
                    tracing::debug!(
                        "a key was claimed by another after its claim had lapsed; the seal decides"
                    );
                }
                Err(error) => tracing::debug!(%error, "the claim of a key was not renewed"),
            }
        }
    }

    async fn give_up(self, renewing: JoinHandle<()>) {
        renewing.abort();
        // Waited for: a renewal that is still sent would claim the key anew. It ends by being aborted, which is as wished.
        drop(renewing.await);
        if let Err(error) = self.store.release_key(&self.account, &self.key, &self.claimant).await {
            tracing::debug!(%error, "the claim of a key is left to lapse");
        }
    }
}

/// A name that no other submission has.
fn claimant(random: &mut (dyn Rng + Send)) -> String {
    let mut name = String::with_capacity(32);
    // Writing to a String can't fail.
    let _ = write!(name, "{:032x}", random.random::<u128>());
    name
}

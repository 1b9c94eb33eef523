//! One access token an account, shared by the fleet. No vendor's own: a provider says only how a token is asked for.
//!
//! [`Tokens`] is what a provider holds: the token of this process, and at most one fetch of the next under way. Behind it
//! stands the fleet's shelf ([`Shelf`]), where there is one: before a token is fetched, the right to do so is claimed there,
//! so that of all workers one asks the vendor. A process whose token is fresh asks nobody.

mod fleet;
#[cfg(test)]
mod fuzz;
mod life;
#[cfg(test)]
mod paper;
mod sealing;
mod shelf;
mod shelved;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Reply;

pub(crate) use fleet::Fleet;
pub(crate) use life::{Granted, Token};
pub(crate) use sealing::Sealing;
pub use shelf::{Shelf, StoreShelf};
pub(crate) use tokens::Tokens;

/// Where an account's tokens come from.
#[async_trait]
pub(crate) trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Asks the vendor for a token: one call, over by `deadline`.
    async fn grant(&self, deadline: Instant) -> Result<Granted, Reply>;
}

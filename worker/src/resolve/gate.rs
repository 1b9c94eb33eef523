//! The permits for the calls of a resolve: asked of whoever keeps the account's limits.

use async_trait::async_trait;
use usher_shared::Priority;

use crate::{
    limiter::Parked,
    provider::{Call, Reply},
};

/// No permit will come for now. Not retried here; the run is resolved anew when it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GateClosed {
    /// The worker stops, or the account is held. Goes on when a worker starts, or the hold ends.
    #[error("no more calls are allowed: the worker stops, or the account is on hold")]
    Stopped,
    /// The day's quota is used up. Goes on by itself when calls come free again.
    #[error(transparent)]
    Parked(#[from] Parked),
}

/// Gives permits for vendor calls, one at a time, and holds them back while the vendor refuses.
#[async_trait]
pub trait CallGate: Send + Sync {
    /// Waits until one call of this kind may start. The permit is for the very next moment.
    async fn acquire(&self, call: Call, priority: Priority) -> Result<(), GateClosed>;

    /// Tells what the vendor answered to a call under a permit, so that a refusal holds back everybody who shares the limit.
    fn replied(&self, call: Call, reply: &Reply);
}

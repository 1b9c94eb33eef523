//! The permits for the calls of a resolve: asked of whoever keeps the account's limits.

use async_trait::async_trait;
use usher_shared::Priority;

use crate::provider::{Call, Reply};

/// No permit will come any more: the worker stops, or the account is held. Nothing is retried; the run is resolved anew
/// when it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no more calls are allowed: the worker stops, or the account is on hold")]
pub struct GateClosed;

/// Gives permits for vendor calls, one at a time, and holds them back while the vendor refuses.
#[async_trait]
pub trait CallGate: Send + Sync {
    /// Waits until one call of this kind may start. The permit is for the very next moment.
    async fn acquire(&self, call: Call, priority: Priority) -> Result<(), GateClosed>;

    /// Tells what the vendor answered to a call under a permit, so that a refusal holds back everybody who shares the limit.
    fn replied(&self, call: Call, reply: &Reply);
}

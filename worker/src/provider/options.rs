//! What every provider is given beside its account's configuration.

use std::{sync::Arc, time::Duration};

use usher_shared::{Clock, SystemClock};

use super::Shelf;

/// What every provider is given beside its account's configuration.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    /// How long one call takes at most, connect, token refresh and body included.
    pub call_timeout: Duration,
    /// How usher names itself to the vendor.
    pub user_agent: String,
    /// Tells when a token ends and what a Retry-After means.
    pub clock: Arc<dyn Clock>,
    /// Where the fleet's tokens lie. Without one this provider keeps its token to itself.
    pub shelf: Option<Arc<dyn Shelf>>,
}

impl Default for ProviderOptions {
    /// Ten seconds a call, `usher/VERSION`, the system's clock, no shelf.
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(10),
            user_agent: concat!("usher/", env!("CARGO_PKG_VERSION")).to_owned(),
            clock: Arc::new(SystemClock),
            shelf: None,
        }
    }
}

//! `usher.toml`: accounts, the store, and how workers behave.

mod accounts;
mod address;
mod check;
#[cfg(test)]
mod fuzz;
mod guard;
mod load;
mod overlay;
mod protected;
mod secret;
mod serve;
mod share;
mod tokens;
mod webhooks;
mod worker;

pub use accounts::{AccountConfig, ZoomConfig, ZoomPlan};
pub use address::{AddressError, RedisAddress, RedisTls, StoreAddress};
pub use guard::{ApprovalConfig, ApprovalRequired, Caps, Submitter};
pub use load::{Config, ConfigError};
pub use protected::{EmptyPattern, ProtectedPattern};
pub use secret::{SecretError, SecretSource, Value};
pub use serve::ServeConfig;
pub use share::{NotAShare, Share};
pub use tokens::{AuditConfig, RetentionConfig, Role, TokenConfig};
pub use webhooks::{WebhookConfig, WebhookEvent};
pub use worker::WorkerConfig;

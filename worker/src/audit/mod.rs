//! The audit from the worker's side: what it does is told first, and what anybody told is sealed by whoever has the key.

mod key_file;
mod sealer;
pub(crate) mod teller;

pub use key_file::{KeyFileError, audit_key_file};
pub use sealer::AuditSealing;
pub(crate) use sealer::seal_until;

//! The audit: who asked, approved, steered, when, from where; append-only, and sealed so that a change shows.
//!
//! Whoever does something tells it first: an [`AuditEvent`] goes into the store, which numbers it. A process that has the
//! audit key (which is outside the store) seals what is not sealed yet, in order, one writer at a time: each seal is a keyed
//! hash over the entry and the seal before it. So an edited or removed entry shows, and with a head that was noted
//! elsewhere, a cut-off tail, too.

mod chain;
mod event;

pub use chain::{AuditFlaw, AuditHead, AuditKey, seal, verify};
pub use event::{AuditEntry, AuditEvent, AuditKind};

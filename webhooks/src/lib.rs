//! Tells operators by webhook what they must hear of, and keeps it until it is delivered or given up on.
//!
//! A scribe looks every two seconds at how accounts and runs stand ([`derive`](mod@derive), [`standing`]) and posts what an operator must
//! hear of to the store's outbox, under an id that is made of what happened. A courier for each endpoint takes messages from
//! there, signs them by the [Standard Webhooks](https://www.standardwebhooks.com) scheme and sends them, until each has
//! arrived or is given up on. Any number of processes may do both at once.

pub mod address;
mod answer;
mod courier;
pub mod derive;
mod endpoint;
pub mod event;
mod leavers;
pub mod metrics;
mod road;
mod scribe;
pub mod secret;
pub mod standing;
mod telling;

pub use answer::{Answer, Meaning, RETRY_AFTER_AT_MOST};
pub use endpoint::{Endpoint, EndpointError, TIMEOUT};
pub use road::TRIES;
pub use scribe::BACK;
pub use telling::{Telling, TellingParts};

//! Stateful fakes of the vendors' APIs that enforce the documented rules.
//!
//! Each vendor is a module; what all of them need (time, rate windows, faults, the record of what happened,
//! the HTTP server) lies beside them. A simulator binds loopback addresses only: its control endpoint asks for
//! no credentials.

pub mod clock;
pub mod faults;
mod flight;
pub mod journal;
pub mod message;
pub mod rate;
pub mod record;
mod seeded;
mod server;
pub mod wait;
pub mod zoom;

//! usher's HTTP API: other services submit runs, follow them and steer them.
//!
//! Their way in is as safe as the command line, because it is the same: what is submitted goes through
//! [`usher_producer::submit`], and caps, approval, protection and the order of runs are decided by the workers, by their own
//! configuration. No vendor credential is here. Who calls is known by a personal token ([`usher_shared::identity`]), and what
//! is submitted or approved is signed with it, so that workers need not take this server's word for it.
//!
//! [`routes()`] is the whole tree, with its OpenAPI description; [`server::Server`] listens.

mod auth;
mod docs;
mod extract;
mod health;
mod layers;
mod limits;
mod live;
pub mod observe;
pub mod problem;
mod routes;
mod runs;
pub mod server;
mod state;
mod steer;
mod submit;
mod times;
pub mod tls;

pub use routes::routes;
pub use state::{Api, Parts};

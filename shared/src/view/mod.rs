//! What a run looks like from outside: the forms for programs (an interface, only ever added to), and the words for people,
//! the same at the command line and in the HTTP API.

pub mod activity;
pub mod guards;
pub mod moments;
pub mod numbers;
mod outcome;
pub mod plan;
mod rows;
mod scene;
mod status;
pub mod text;
mod waits;

pub use activity::{Activity, Lane};
pub use outcome::{AttemptView, COLUMNS, OutcomeView, cells};
pub use rows::{Filter, Rows};
pub use scene::{Observer, Scene};
pub use status::{ActivityView, HoldView, StatusView};
pub use waits::{Wait, Why, held, is_answered, waits};

use crate::{Timestamp, config::StoreAddress};

/// Who reads it: what there is to do is told in their terms.
#[derive(Clone, Debug)]
pub enum Reader {
    /// Somebody with usher's command line at this store.
    CommandLine(StoreAddress),
    /// A caller of the HTTP API.
    Caller,
}

/// A moment, as the forms for programs have it: RFC 3339.
fn shown(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

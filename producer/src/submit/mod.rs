//! Submit: the one way in, for the command line, the HTTP API, and other Rust services.
//!
//! [`submit`] takes requests and a store, and answers with the run. Who must look before it happens goes in two steps:
//! [`Draft::fill`] puts everything into the store, where nobody sees it, and says what it is; then the caller seals it
//! or discards it. A draft that is dropped is never seen, and expires in the store.
//!
//! The same content submitted again is the same run while that run is not over, so a command that was killed can simply be
//! given again. What counts as content is the account, and user, action and reason of each request in their order;
//! not the form of the file, nor its line numbers.
//!
//! ```
//! use usher_producer::submit::{Description, SubmitError, Submitted, submit};
//! use usher_shared::{Action, Request, store::SharedStore};
//!
//! async fn dismiss(store: &SharedStore, address: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let description = Description {
//!         reason: Some("dismissed".to_owned()),
//!         ..Description::new("zoom-main".parse()?, "hr-portal")
//!     };
//!     let request = Request { line: 1, user: address.parse()?, action: Action::Deactivate, reason: None, restore: None };
//!     match submit(store, description, [request]).await? {
//!         Submitted::New { run, .. } => println!("submitted as {run}"),
//!         Submitted::Existing { run } => println!("already on its way as {run}"),
//!     }
//!     Ok(())
//! }
//! ```

mod at_once;
mod claim;
mod contents;
mod description;
mod digest;
mod draft;
mod error;
mod fill;
mod gather;
mod key;
mod patience;

use usher_shared::{Request, store::SharedStore};

pub use at_once::submit_at_once;
pub use claim::{CLAIM_LASTS, Claim};
pub use contents::{Contents, Listed};
pub use description::{Description, Submitted};
pub use draft::{Draft, Filled, FlawedDraft};
pub use error::SubmitError;
pub use fill::{FillOptions, Progress, Signer};
pub use gather::{Distinct, Notice, distinct};
pub use key::Key;
pub use patience::Patience;

/// Submits requests as one run, under a key made of their content. A request that stands twice is kept once.
///
/// The iterator is drained on a thread where it may block. Numbering [`Request::line`] from 1 makes reports easy to
/// follow.
///
/// # Errors
/// [`SubmitError::Empty`] without a request; [`SubmitError::Flawed`] where two of them want different things of one
/// user; [`SubmitError::Store`] where the store refuses, or stays away for longer than [`Patience`] lasts.
pub async fn submit<I>(
    store: &SharedStore,
    description: Description,
    requests: I,
) -> Result<Submitted, SubmitError>
where
    I: IntoIterator<Item = Request>,
    I::IntoIter: Send + 'static,
{
    match Draft::fill(store, description, distinct(requests), FillOptions::default()).await? {
        Filled::Clean(draft) => draft.seal(Key::Content).await,
        Filled::Flawed(flawed) => {
            let error = SubmitError::flawed(flawed.contents());
            flawed.discard().await?;
            Err(error)
        }
    }
}

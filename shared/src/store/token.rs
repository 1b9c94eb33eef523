//! The access token that a fleet shares: kept in the store sealed, refreshed by one worker at a time.

use std::fmt;

use crate::{AccountName, Timestamp, WorkerId};

/// A sealed token as it lies in the store. The store can't read it.
#[derive(Clone, PartialEq, Eq)]
pub struct ShelvedToken {
    /// Grows by one with every token that is shelved: tells a token that was refused from its successor.
    pub generation: u64,
    /// What only a holder of the account's credentials can open.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for ShelvedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShelvedToken").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// The right to fetch an account's next token, for a time. Not `Clone`: shelving the token consumes it.
#[derive(Debug, PartialEq, Eq)]
pub struct RefreshClaim {
    /// Whose token.
    pub account: AccountName,
    /// Names this claim in the write that depends on it.
    pub claim: u64,
    /// Who holds it.
    pub worker: WorkerId,
}

/// The answer to who wants to fetch a token.
#[derive(Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Fetch it, and shelve it.
    Yours(RefreshClaim),
    /// Another worker fetches it; its claim ends at that time of the store's clock at the latest. Look again soon.
    Underway(Timestamp),
    /// There is a newer one than the one that is to be replaced.
    Newer(ShelvedToken),
}

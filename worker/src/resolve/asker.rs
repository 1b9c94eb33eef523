//! Reads the directory under permits: waits where the vendor refuses, tries again what might pass, gives up on the rest.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use usher_shared::{Priority, ResolvedUser, UserRef, Verdict};

use super::{CallGate, GateClosed};
use crate::provider::{Call, Cursor, PAGE_EXPIRED, Page, Provider, Reply};

/// How often, and after what time, a call that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Tries of one call before it is given up. A rate limit's refusal is no try.
    pub tries: u32,
    /// The wait after the first failure; it doubles with each.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
}

impl Default for Patience {
    /// Eight tries over about a minute.
    fn default() -> Self {
        Self { tries: 8, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(30) }
    }
}

impl Patience {
    /// The wait after so many failures in a row.
    #[must_use]
    pub fn wait(&self, failures: u32) -> Duration {
        self.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.longest_wait)
    }
}

/// The wait after a refusal: the gate holds calls back; this is for a gate that would let them through at once.
const AFTER_REFUSAL: Patience =
    Patience { tries: u32::MAX, first_wait: Duration::from_millis(50), longest_wait: Duration::from_secs(2) };

/// Look-ups in flight at once: enough for 80 calls a second that take 400 ms each.
pub(crate) const LOOK_UPS_AT_ONCE: usize = 32;

/// A listing that breaks off again and again for an expired page token is given up.
const RESTARTS: u32 = 3;
/// No directory has so many pages: 30,000,000 users at Zoom's 300 a page.
const MOST_PAGES: u64 = 100_000;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Asked {
    /// No permit will come.
    #[error(transparent)]
    Closed(#[from] GateClosed),
    /// The vendor refuses for good, or failed at every try. Where the reply has a halt, the account is to be held.
    #[error("the vendor does not answer {call:?}: {}", said(*call, reply))]
    Vendor {
        /// What was asked.
        call: Call,
        /// The last reply.
        reply: Box<Reply>,
    },
}

/// What was said, for logs: a vendor's message about one user may hold an address, so it is left out where no halt makes it
/// one about the account.
fn said(call: Call, reply: &Reply) -> String {
    let code = reply.code.as_deref().unwrap_or(reply.verdict.as_str());
    match &reply.message {
        Some(message) if call == Call::List || reply.halt.is_some() => format!("{message} ({code})"),
        _ => format!("{} ({code})", reply.verdict),
    }
}

/// Reads an account's directory.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The account's provider.
    pub provider: &'a dyn Provider,
    /// Gives permits.
    pub gate: &'a dyn CallGate,
    /// How soon.
    pub priority: Priority,
    /// How often to try.
    pub patience: Patience,
    /// Counts the calls made.
    pub calls: &'a AtomicU64,
}

impl<'a> Asker<'a> {
    /// One user; `Ok(Ok(None))` where there is none, `Ok(Err(reply))` where the vendor refuses this one name.
    pub async fn look_up(&self, user: &UserRef) -> Result<Result<Option<ResolvedUser>, Box<Reply>>, Asked> {
        match self.ask(Call::LookUp, || self.provider.look_up(user)).await {
            Ok(found) => Ok(Ok(found)),
            Err(Asked::Vendor { reply, .. })
                if reply.halt.is_none() && reply.verdict == Verdict::Rejected =>
            {
                Ok(Err(reply))
            }
            Err(error) => Err(error),
        }
    }

    /// One page.
    pub async fn page(&self, cursor: &Cursor) -> Result<Page, Asked> {
        self.ask(Call::List, || self.provider.list(cursor)).await
    }

    /// Reads a listing from a cursor on.
    #[must_use]
    pub fn listing(&self, start: Cursor) -> Listing<'a> {
        Listing { asker: *self, cursor: Some(start), restarts: 0, pages: 0 }
    }

    async fn ask<T, F>(&self, call: Call, question: impl Fn() -> F) -> Result<T, Asked>
    where
        F: Future<Output = Result<T, Reply>>,
    {
        let (mut failures, mut refusals) = (0, 0);
        loop {
            self.gate.acquire(call, self.priority).await?;
            self.calls.fetch_add(1, Ordering::Relaxed);
            let reply = match question().await {
                Ok(answer) => return Ok(answer),
                Err(reply) => reply,
            };
            self.gate.replied(call, &reply);
            let wait = match reply.verdict {
                _ if reply.halt.is_some() => None,
                Verdict::Throttled => {
                    refusals += 1;
                    Some(AFTER_REFUSAL.wait(refusals))
                }
                Verdict::Transient | Verdict::Unauthorized if failures + 1 < self.patience.tries => {
                    failures += 1;
                    // The provider has dropped the token: the next call gets another, there is nothing to wait for.
                    let at_once = reply.verdict == Verdict::Unauthorized && failures == 1;
                    Some(if at_once { Duration::ZERO } else { self.patience.wait(failures) })
                }
                _ => None,
            };
            let Some(wait) = wait else {
                return Err(Asked::Vendor { call, reply: Box::new(reply) });
            };
            tracing::debug!(?call, verdict = %reply.verdict, code = reply.code.as_deref(), ?wait, "asking again");
            tokio::time::sleep(wait).await;
        }
    }
}

/// A listing that is being read, page by page. One whose page token expires is read again from its beginning.
pub struct Listing<'a> {
    asker: Asker<'a>,
    cursor: Option<Cursor>,
    restarts: u32,
    pages: u64,
}

impl Listing<'_> {
    /// How many pages came so far.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The next page; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Page>, Asked> {
        while let Some(cursor) = self.cursor.clone() {
            let page = match self.asker.page(&cursor).await {
                Err(Asked::Vendor { reply, .. })
                    if cursor.page.is_some()
                        && self.restarts < RESTARTS
                        && reply.code.as_deref() == Some(PAGE_EXPIRED) =>
                {
                    self.restarts += 1;
                    tracing::warn!(
                        listing = cursor.listing,
                        pages = self.pages,
                        "the page token expired; reading the listing again"
                    );
                    self.cursor = Some(Cursor { page: None, ..cursor });
                    continue;
                }
                page => page?,
            };
            // A vendor that names the same page again would be asked for ever.
            if page.next.as_ref() == Some(&cursor) || self.pages >= MOST_PAGES {
                let reply = Reply {
                    code: Some("page_repeated".to_owned()),
                    message: Some(
                        "the vendor's listing does not end: it names pages again and again".to_owned(),
                    ),
                    ..Reply::of(Verdict::Unknown)
                };
                return Err(Asked::Vendor { call: Call::List, reply: Box::new(reply) });
            }
            self.pages += 1;
            self.cursor.clone_from(&page.next);
            return Ok(Some(page));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_never_overflow() {
        let patience = Patience::default();
        let waits: Vec<u64> = (1..=9).map(|n| patience.wait(n).as_millis() as u64).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(patience.wait(u32::MAX), patience.longest_wait);
        assert_eq!(patience.wait(0), patience.first_wait);
    }
}

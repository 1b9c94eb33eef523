//! One resolve under way: by pages or one by one, written chunk by chunk.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use futures::{StreamExt, stream};
use usher_shared::{
    Action, Outcome, ResolvedUser,
    store::{CHUNK, Resolution, Steward},
};

use super::{
    Asker, LOOK_UPS_AT_ONCE, Matcher, Missing, Progress, ResolveError, Resolved, Resolver, Way,
    after_first_page, after_listing,
    again::Again,
    before_any_call,
    driver::persist,
    judge,
    policy::{gone, not_found, settled},
};
use crate::provider::{Cursor, Page};

/// One resolve under way.
pub(super) struct Search<'a> {
    pub(super) resolver: &'a Resolver<'a>,
    pub(super) steward: &'a Steward,
    pub(super) asker: Asker<'a>,
    pub(super) matcher: Matcher,
    /// For a run that stood still.
    pub(super) again: Option<Again>,
    pub(super) total: u64,
    /// Not yet written.
    pub(super) found: Vec<(u64, Resolution)>,
    /// What each request came to, by place where it is not simply to be changed.
    pub(super) kinds: BTreeMap<u64, Option<Outcome>>,
    /// Users in the listing of those who can sign in.
    pub(super) active_users: Option<u64>,
}

impl Search<'_> {
    pub(super) async fn run(&mut self) -> Result<Way, ResolveError> {
        let listings = self.asker.provider.listings();
        let count = listings.len() as u64;
        let mut way = before_any_call(self.total, count);
        let mut pages = 0;
        let mut first_page = None;
        if way.is_none()
            && let Some(first) = listings.first()
        {
            let page = self.asker.page(first).await?;
            pages += 1;
            self.learn_active(first, &page);
            way = Some(after_first_page(self.total, page.total, self.asker.provider.page_size(), count));
            first_page = Some(page);
        }
        let way = way.unwrap_or(Way::LookUps);
        if let Some(page) = &first_page {
            // What the first page tells is not thrown away, whatever the way is.
            self.take_page(page).await?;
        }
        if way == Way::Listing {
            let mut starts = listings.clone();
            if let Some(page) = first_page {
                match page.next {
                    Some(next) => starts[0] = next,
                    None => drop(starts.remove(0)),
                }
            }
            pages += self.list(starts).await?;
            if after_listing(self.matcher.open(), pages, false) == Missing::ListAgain {
                pages = self.list(listings).await?;
            }
            if after_listing(self.matcher.open(), pages, true) == Missing::NotFound {
                for place in self.matcher.open_places() {
                    self.matcher.settle(place, self.absent(), &mut self.found);
                    self.write(CHUNK).await?;
                }
            }
        }
        self.look_up_open().await?;
        self.write(1).await?;
        Ok(way)
    }

    /// Reads listings until every request is found.
    async fn list(&mut self, starts: Vec<Cursor>) -> Result<u64, ResolveError> {
        let (asker, mut pages) = (self.asker, 0);
        for start in starts {
            if self.matcher.open() == 0 {
                break;
            }
            let mut listing = asker.listing(start.clone());
            while self.matcher.open() > 0
                && let Some(page) = listing.next().await?
            {
                self.learn_active(&start, &page);
                self.take_page(&page).await?;
            }
            pages += listing.pages();
        }
        Ok(pages)
    }

    /// Takes note of how many users can sign in, where the page is of their listing.
    fn learn_active(&mut self, of: &Cursor, page: &Page) {
        let active = self.resolver.provider.active_listing();
        if active.is_some_and(|active| active.listing == of.listing) {
            self.active_users = page.total.or(self.active_users);
        }
    }

    async fn take_page(&mut self, page: &Page) -> Result<(), ResolveError> {
        let Resolver { provider, policy, .. } = *self.resolver;
        for user in &page.users {
            self.matcher.see(user, |user, action| judge(provider, policy, user, action), &mut self.found);
        }
        self.write(CHUNK).await
    }

    /// Looks up, in file order, each request that is still open.
    async fn look_up_open(&mut self) -> Result<(), ResolveError> {
        let asker = self.asker;
        let open: Vec<_> =
            self.matcher.open_places().into_iter().map(|place| (place, self.matcher.user(place))).collect();
        let mut answers = stream::iter(open)
            .map(|(place, user)| async move {
                match user {
                    Some(user) => (place, asker.look_up(&user).await),
                    None => (place, Ok(Ok(None))),
                }
            })
            .buffered(LOOK_UPS_AT_ONCE);
        let Resolver { provider, policy, .. } = *self.resolver;
        while let Some((place, answer)) = answers.next().await {
            match answer? {
                Ok(Some(user)) if !self.matcher.is_another(place, &user) => {
                    let judge = |user: ResolvedUser, action: Action| judge(provider, policy, user, action);
                    self.matcher.see_at(place, &user, judge, &mut self.found);
                }
                Ok(_) => self.matcher.settle(place, self.absent(), &mut self.found),
                Err(reply) => {
                    let code = reply.code.as_deref().unwrap_or("look_up");
                    let message =
                        reply.message.clone().unwrap_or_else(|| "the look-up was refused".to_owned());
                    self.matcher.settle(
                        place,
                        settled(Outcome::Rejected, code, message, None),
                        &mut self.found,
                    );
                }
            }
            self.write(CHUNK).await?;
        }
        Ok(())
    }

    /// What becomes of a request whose user the vendor does not know.
    fn absent(&self) -> Resolution {
        if self.again.is_some() { gone() } else { not_found() }
    }

    /// Writes what has been found, once it is at least `enough`.
    async fn write(&mut self, enough: usize) -> Result<(), ResolveError> {
        if self.found.len() < enough {
            return Ok(());
        }
        if let Some(again) = &self.again {
            again.weigh(&mut self.found);
        }
        for chunk in self.found.chunks(CHUNK) {
            persist(|| self.resolver.store.resolve(self.steward, chunk)).await?;
        }
        for (seq, resolution) in self.found.drain(..) {
            match resolution {
                Resolution::Change(_) => drop(self.kinds.remove(&seq)),
                Resolution::Settled { outcome, .. } => drop(self.kinds.insert(seq, Some(outcome))),
                Resolution::Duplicate { .. } => drop(self.kinds.insert(seq, None)),
            }
        }
        (self.resolver.progress)(Progress {
            resolved: self.total - self.matcher.open(),
            total: self.total,
            calls: self.asker.calls.load(Ordering::Relaxed),
        });
        Ok(())
    }

    pub(super) fn resolved(&self, way: Way) -> Resolved {
        let mut settled = BTreeMap::new();
        let mut duplicates = 0;
        for kind in self.kinds.values() {
            match kind {
                Some(outcome) => *settled.entry(*outcome).or_insert(0) += 1,
                None => duplicates += 1,
            }
        }
        Resolved {
            way,
            calls: self.asker.calls.load(Ordering::Relaxed),
            change: self.total - self.kinds.len() as u64,
            settled,
            duplicates,
            active_users: self.active_users,
        }
    }
}

//! Looks at how accounts and runs stand, and posts what an operator must hear of to the outbox.
//!
//! It goes by states, not by changes: whatever restarts, what is so is found again, under the same id, and the outbox knows
//! what it has. Every process that runs long does this; none has to be there all the time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};
use usher_shared::{
    AccountName, Outcome, RunStatus, Timestamp, WorkerId,
    config::WebhookEvent,
    store::{CHUNK, DeliveryState, Message, SharedStore, StoreError, Tried},
};

use crate::{
    derive::{self, Sight},
    endpoint::Endpoint,
    event::Event,
    leavers::still_active,
    standing::{Holding, LastWord, halts, next_word},
};

/// How far back it is looked for what ended before this process began: whoever starts on an old store is not told of all that
/// ever was, and whoever is restarted misses nothing.
pub const BACK: Duration = Duration::from_secs(60 * 60);
/// Processes' clocks may differ by so much: what ended a little before the last that was seen may show up after it.
const OVERLAP: Duration = Duration::from_secs(5);
/// Runs read at once.
const READ: usize = 500;
/// Where the last word about each account is kept in the outbox: no endpoint can have this name.
const LEDGER: &str = "@accounts";
/// How many last words are read: far more than there are accounts, for each change of one is a word.
const WORDS: usize = 2_000;

/// Finds out what is to be told, and posts it.
#[derive(Debug)]
pub(crate) struct Scribe {
    store: SharedStore,
    worker: WorkerId,
    endpoints: Vec<Arc<Endpoint>>,
    /// Tells couriers that there is something to deliver.
    nudges: Vec<Arc<Notify>>,
    quiet: Duration,
    /// What was posted, by endpoint and id, with the look that found it last: posted again it would be passed over.
    told: HashMap<(usize, String), u64>,
    look: u64,
    began: Option<Timestamp>,
    /// When the last run that was seen of an account ended.
    ended: HashMap<AccountName, Timestamp>,
    words: HashMap<AccountName, LastWord>,
    words_are_read: bool,
    free_since: HashMap<AccountName, Timestamp>,
    /// When the last attempt was made for a run that is over and of which something went through.
    worked: HashMap<AccountName, Timestamp>,
}

impl Scribe {
    /// `quiet`: how long an account must be without a hold before it is told that it goes on.
    pub(crate) fn new(
        store: SharedStore,
        worker: WorkerId,
        endpoints: Vec<Arc<Endpoint>>,
        nudges: Vec<Arc<Notify>>,
        quiet: Duration,
    ) -> Self {
        Self {
            store,
            worker,
            endpoints,
            nudges,
            quiet,
            told: HashMap::new(),
            look: 0,
            began: None,
            ended: HashMap::new(),
            words: HashMap::new(),
            words_are_read: false,
            free_since: HashMap::new(),
            worked: HashMap::new(),
        }
    }

    /// Looks once, and posts what is news. After an error the next look finds it again.
    pub(crate) async fn look(&mut self) -> Result<(), StoreError> {
        let now = self.store.now().await?;
        self.began.get_or_insert(now);
        self.look += 1;
        if !self.words_are_read {
            self.read_words().await?;
        }
        for account in self.store.accounts().await? {
            if self.endpoints.iter().any(|endpoint| endpoint.config.wants_account(&account)) {
                self.look_at(&account, now).await?;
            }
        }
        let look = self.look;
        self.told.retain(|_, found| *found == look);
        Ok(())
    }

    async fn look_at(&mut self, account: &AccountName, now: Timestamp) -> Result<(), StoreError> {
        let unfinished = self.store.unfinished(account).await?;
        let pulses = if unfinished.is_empty() { vec![] } else { self.store.pulses(account).await? };
        let sight = Sight { now, unfinished: &unfinished, ended: &[], pulses: &pulses };
        let mut events = derive::events(&sight);
        self.add_leavers(&unfinished, now, &mut events).await?;
        self.post(&events).await?;
        self.look_at_ended(account, now).await?;
        self.look_at_standing(account, &unfinished, now).await
    }

    /// What ended since, page by page.
    async fn look_at_ended(&mut self, account: &AccountName, now: Timestamp) -> Result<(), StoreError> {
        let began = self.began.unwrap_or(now);
        let first = before(began, BACK);
        let seen = self.ended.get(account).copied().unwrap_or(first);
        let mut since = before(seen, OVERLAP).max(first);
        let mut limit = READ;
        loop {
            let page = self.store.ended(account, since, limit).await?;
            let sight = Sight { now, unfinished: &[], ended: &page, pulses: &[] };
            let mut events = derive::events(&sight);
            self.add_leavers(&page, now, &mut events).await?;
            self.post(&events).await?;
            for at in page.iter().filter_map(went_through) {
                self.worked.entry(account.clone()).and_modify(|seen| *seen = at.max(*seen)).or_insert(at);
            }
            let Some(last) = page.last().and_then(|run| run.finished_at) else { return Ok(()) };
            self.ended.entry(account.clone()).and_modify(|seen| *seen = last.max(*seen)).or_insert(last);
            if page.len() < limit {
                return Ok(());
            }
            // A page may hold runs of one moment alone: then a longer one is read.
            if last > since {
                since = last;
            } else {
                limit *= 2;
            }
        }
    }

    /// Names those who are to be told of for the first time; of others the event is found again without its text.
    async fn add_leavers(
        &mut self,
        runs: &[RunStatus],
        now: Timestamp,
        events: &mut Vec<Event>,
    ) -> Result<(), StoreError> {
        for run in runs {
            let Some(left) = derive::leavers(run, now) else { continue };
            let mut news = false;
            for place in 0..self.endpoints.len() {
                let wants =
                    self.endpoints[place].config.wants(WebhookEvent::LeaversStillActive, &run.run.account);
                news |= wants && !self.was_told(place, &left.id);
            }
            if news {
                let id = left.id.clone();
                match still_active(&self.store, run, left).await? {
                    Some(event) => events.push(event),
                    // Nobody after all: not looked up again.
                    None => self
                        .told
                        .extend((0..self.endpoints.len()).map(|place| ((place, id.clone()), self.look))),
                }
            }
        }
        Ok(())
    }

    /// Whether it was; where it was, it is found again by this look.
    fn was_told(&mut self, place: usize, id: &str) -> bool {
        match self.told.get_mut(&(place, id.to_owned())) {
            Some(look) => {
                *look = self.look;
                true
            }
            None => false,
        }
    }

    /// Posts to those endpoints that want them what was not posted yet.
    async fn post(&mut self, events: &[Event]) -> Result<(), StoreError> {
        let mut messages = Vec::new();
        for place in 0..self.endpoints.len() {
            for event in events {
                if !self.endpoints[place].config.wants(event.kind, &event.account) {
                    continue;
                }
                if self.was_told(place, &event.id) {
                    continue;
                }
                match event.to(&self.endpoints[place].name) {
                    Ok(message) => messages.push((place, message)),
                    Err(error) => {
                        tracing::error!(%error, id = %event.id, "an event can't be written as JSON")
                    }
                }
            }
        }
        self.post_messages(messages).await
    }

    async fn post_messages(&mut self, messages: Vec<(usize, Message)>) -> Result<(), StoreError> {
        for chunk in messages.chunks(CHUNK) {
            let posted: Vec<Message> = chunk.iter().map(|(_, message)| message.clone()).collect();
            let new = self.store.post(&posted).await?;
            for (place, message) in chunk {
                self.told.insert((*place, message.id.clone()), self.look);
                if new > 0 {
                    self.nudges[*place].notify_one();
                }
            }
        }
        Ok(())
    }

    /// Whether the account stands still. What is told of that is put down in a ledger of its own first, so that all who look
    /// agree about what was told last, and it reaches every endpoint although this process should die in between.
    async fn look_at_standing(
        &mut self,
        account: &AccountName,
        unfinished: &[RunStatus],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // A hold is seen on runs that wait for it. With none of them, what went through since tells that it goes on.
        let told = self.words.get(account).filter(|word| word.is_halted()).map(|word| word.posted_at);
        let went_on = told.zip(self.worked.get(account)).is_some_and(|(told, worked)| *worked > told);
        if !unfinished.is_empty() || went_on {
            let hold = unfinished.first().and_then(|run| run.hold.as_ref()).filter(|hold| halts(hold));
            let free_since = match hold {
                Some(_) => {
                    self.free_since.remove(account);
                    None
                }
                None => Some(*self.free_since.entry(account.clone()).or_insert(now)),
            };
            let waiting_runs = unfinished.len() as u64;
            let seen = Holding { account, hold, waiting_runs, free_since, quiet: self.quiet };
            if next_word(&seen, self.words.get(account), now).is_some() {
                // Somebody else may have told meanwhile.
                self.read_words().await?;
                if let Some(event) = next_word(&seen, self.words.get(account), now)
                    && let Ok(message) = event.to(LEDGER)
                {
                    self.store.post(&[message]).await?;
                    self.read_words().await?;
                    self.settle_ledger(now).await?;
                }
            }
        }
        self.pass_on(account, now).await
    }

    /// The last word about an account, to every endpoint, while it is news: to one that was added later, too.
    async fn pass_on(&mut self, account: &AccountName, now: Timestamp) -> Result<(), StoreError> {
        let Some(word) = self.words.get(account) else { return Ok(()) };
        if !word.is_halted() && now.since(word.posted_at) > BACK {
            return Ok(());
        }
        let (kind, id, body) = (word.kind(), word.id.clone(), word.body.clone());
        let mut messages = Vec::new();
        for place in 0..self.endpoints.len() {
            if self.endpoints[place].config.wants(kind, account) && !self.was_told(place, &id) {
                let endpoint = self.endpoints[place].name.clone();
                let (id, body, kind) = (id.clone(), body.clone(), kind.to_string());
                messages.push((place, Message { endpoint, id, kind, account: account.clone(), body }));
            }
        }
        self.post_messages(messages).await
    }

    async fn read_words(&mut self) -> Result<(), StoreError> {
        let posted = self.store.outbox(LEDGER, Some(DeliveryState::Waiting), WORDS).await?;
        self.words.clear();
        for posted in posted {
            if let Some(word) = LastWord::read(&posted) {
                // The newest come first.
                self.words.entry(posted.message.account).or_insert(word);
            }
        }
        self.words_are_read = true;
        Ok(())
    }

    /// What is in the ledger is for nobody: words that another has followed count as delivered, so that the store forgets them
    /// in time. The last ones stay as they are.
    async fn settle_ledger(&self, now: Timestamp) -> Result<(), StoreError> {
        let taken = self.store.take_deliveries(LEDGER, &self.worker, CHUNK, Duration::from_secs(10)).await?;
        for delivery in taken {
            let posted = &delivery.posted;
            let last = self.words.get(&posted.message.account);
            let followed = last.is_some_and(|word| posted.posted_at < word.posted_at);
            let tried = if followed { Tried::Delivered } else { Tried::Again(now) };
            self.store.finish_delivery(delivery, tried, "noted").await?;
        }
        Ok(())
    }

    /// Forgets messages that came to their end long ago.
    pub(crate) async fn sweep(&self) -> Result<(), StoreError> {
        let until = Instant::now() + Duration::from_secs(10);
        while self.store.sweep_outbox().await? >= CHUNK as u64 && Instant::now() < until {}
        Ok(())
    }
}

/// When the last attempt was made for a run of which something went through.
fn went_through(run: &RunStatus) -> Option<Timestamp> {
    let through = run.counters.of(Outcome::Applied) + run.counters.of(Outcome::AlreadyApplied);
    run.effort.last_attempt_at.filter(|_| through > 0)
}

fn before(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;

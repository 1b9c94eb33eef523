//! The end of the audit in memory, read from the store once for all who follow.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::sync::watch;
use usher_shared::{
    AccountName, RunId,
    audit::{AuditEntry, AuditKind},
    store::{SharedStore, StoreError},
};
use utoipa::ToSchema;

/// How often the store is asked what is new: twice a second, whoever follows.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest wait after the store did not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Entries read at a time.
const PAGE: usize = 500;
/// Entries kept: as far back as a follower can go on after a break. Some 4 MiB at most.
pub(super) const KEPT: u64 = 10_000;

/// Something that happened: an entry of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventView {
    /// Its number in the audit.
    pub number: u64,
    /// When, by the store's clock.
    pub at: String,
    /// What: submitted, resolved, applied, approved, held, refused, admitted, finished, paused, resumed, cancelled, expired,
    /// retried, reprioritized, protection_added, protection_removed or pruned.
    pub what: String,
    /// Who: `token:hr-system`, `cli:alice@host`, `worker:w1`.
    pub by: String,
    /// Whose users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Which run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The hash of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// More, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// An entry, as followers get it.
#[derive(Debug)]
pub(super) struct Told {
    pub number: u64,
    pub what: Option<AuditKind>,
    pub account: Option<AccountName>,
    pub run: Option<RunId>,
    /// An [`EventView`]; `None` where the entry can't be read (of a newer usher), which nobody is shown.
    pub data: Option<String>,
}

impl From<&AuditEntry> for Told {
    fn from(entry: &AuditEntry) -> Self {
        let number = entry.number;
        let Some(event) = entry.read() else {
            return Self { number, what: None, account: None, run: None, data: None };
        };
        let view = EventView {
            number,
            at: entry.at.to_string(),
            what: event.what.as_str().to_owned(),
            by: event.by,
            account: event.account.as_ref().map(|account| account.as_str().to_owned()),
            run: event.run.as_ref().map(|run| run.as_str().to_owned()),
            plan: event.plan.as_ref().map(|plan| plan.as_str().to_owned()),
            detail: event.detail,
        };
        let data = serde_json::to_string(&view).ok();
        Self { number, what: Some(event.what), account: event.account, run: event.run, data }
    }
}

/// What comes after an entry.
#[derive(Debug)]
pub(super) enum After {
    /// The next ones, in order; none where there is nothing new.
    Entries(Vec<Arc<Told>>),
    /// So far back nothing is kept: up to this number it is lost to the follower.
    LostUpTo(u64),
}

/// The entries kept: all from `first` up to `last`.
#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Arc<Told>>,
    last: u64,
}

impl Kept {
    fn at(last: u64) -> Self {
        Self { entries: VecDeque::new(), last }
    }

    /// The number of the first entry kept; one more than the last where there is none.
    fn first(&self) -> u64 {
        self.last + 1 - self.entries.len() as u64
    }

    fn push(&mut self, entry: &AuditEntry) {
        if entry.number <= self.last {
            // It was read already.
            return;
        }
        if entry.number > self.last + 1 {
            // Numbers have no gaps, but a store that lost its end may: followers are told of it.
            *self = Self::at(entry.number - 1);
        }
        self.last = entry.number;
        self.entries.push_back(Arc::new(Told::from(entry)));
        if self.entries.len() as u64 > KEPT {
            self.entries.pop_front();
        }
    }

    /// Puts entries in front that were read from there on.
    fn push_front(&mut self, earlier: &[AuditEntry]) {
        for entry in earlier.iter().rev() {
            if entry.number + 1 == self.first() && (self.entries.len() as u64) < KEPT {
                self.entries.push_front(Arc::new(Told::from(entry)));
            }
        }
    }

    fn after(&self, cursor: u64, limit: usize) -> After {
        let first = self.first();
        if cursor + 1 < first {
            return After::LostUpTo(first - 1);
        }
        let skip = usize::try_from(cursor + 1 - first).unwrap_or(usize::MAX);
        After::Entries(self.entries.iter().skip(skip).take(limit).cloned().collect())
    }
}

/// The end of the audit.
#[derive(Debug)]
pub(super) struct Log {
    store: SharedStore,
    kept: Mutex<Kept>,
    /// The number of the last entry; `None` while it is not known how far the audit has come.
    last: watch::Sender<Option<u64>>,
    /// Held by whoever reads back.
    reading_back: tokio::sync::Mutex<()>,
}

impl Log {
    pub fn new(store: SharedStore) -> Self {
        Self {
            store,
            kept: Mutex::default(),
            last: watch::Sender::new(None),
            reading_back: tokio::sync::Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole after a panic of another holder, too: entries come one by one.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of new entries: the number of the last.
    pub fn news(&self) -> watch::Receiver<Option<u64>> {
        self.last.subscribe()
    }

    /// Whoever comes now waits until it is known again how far the audit has come.
    pub fn stands_still(&self) {
        self.last.send_replace(None);
    }

    /// Follows the audit; never ends by itself.
    pub async fn follow(&self) {
        let mut failures = 0_u32;
        loop {
            let wait = match self.catch_up().await {
                Ok(()) => {
                    failures = 0;
                    LOOK_EVERY
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, "what is new in the audit is not known for now; trying again");
                    (LOOK_EVERY * failures).min(LONGEST_WAIT)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        if self.last.borrow().is_none() {
            let last = self.store.audit_last().await?;
            let mut kept = self.kept();
            // What is far behind, or ahead of a store that was restored, begins anew.
            if kept.last > last || last - kept.last > KEPT || kept.entries.is_empty() {
                *kept = Kept::at(last);
            }
        }
        loop {
            let from = self.kept().last + 1;
            let page = self.store.audit(from, PAGE).await?;
            let last = {
                let mut kept = self.kept();
                page.iter().for_each(|entry| kept.push(entry));
                kept.last
            };
            // A page that brings nothing new would be read for ever.
            if page.len() < PAGE || last < from {
                self.last.send_if_modified(|known| {
                    let changed = *known != Some(last);
                    *known = Some(last);
                    changed
                });
                return Ok(());
            }
        }
    }

    /// Reads back so far that what comes after this entry is kept, where that is not more than [`KEPT`] entries ago. Whoever
    /// comes back at the same time waits, and finds it read.
    pub async fn reach_back(&self, cursor: u64) -> Result<(), StoreError> {
        let _alone = self.reading_back.lock().await;
        loop {
            let (first, room) = {
                let kept = self.kept();
                (kept.first(), KEPT.saturating_sub(kept.entries.len() as u64))
            };
            if first <= cursor + 1 || room == 0 {
                return Ok(());
            }
            let page = (PAGE as u64).min(room).min(first - 1 - cursor);
            let read = self.store.audit(first - page, usize::try_from(page).unwrap_or(PAGE)).await?;
            self.kept().push_front(&read);
            if self.kept().first() >= first {
                // Nothing came: it is told as lost.
                return Ok(());
            }
        }
    }

    /// What comes after this entry, at most `limit`.
    pub fn after(&self, cursor: u64, limit: usize) -> After {
        self.kept().after(cursor, limit)
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::Timestamp;

    use super::*;

    fn entry(number: u64) -> AuditEntry {
        AuditEntry { number, at: Timestamp::from_millis(0), event: String::new(), seal: None }
    }

    fn numbers(after: After) -> Vec<u64> {
        match after {
            After::Entries(entries) => entries.iter().map(|told| told.number).collect(),
            After::LostUpTo(lost) => panic!("lost up to {lost}"),
        }
    }

    #[test]
    fn entries_are_kept_in_order_once_each_and_found_by_the_one_before() {
        let mut kept = Kept::at(7);
        for number in [8, 9, 9, 8, 10] {
            kept.push(&entry(number));
        }
        assert_eq!(numbers(kept.after(7, 9)), [8, 9, 10]);
        assert_eq!(numbers(kept.after(8, 1)), [9]);
        assert!(numbers(kept.after(10, 9)).is_empty() && numbers(kept.after(99, 9)).is_empty());
        assert!(matches!(kept.after(5, 9), After::LostUpTo(7)));
        kept.push_front(&[entry(5), entry(6), entry(7)]);
        assert_eq!(numbers(kept.after(5, 9)), [6, 7, 8, 9, 10]);
        kept.push_front(&[entry(1), entry(2)]);
        assert!(matches!(kept.after(3, 9), After::LostUpTo(4)), "what is not next is not put there");
    }

    #[test]
    fn a_gap_in_the_audit_is_lost_to_followers_and_stops_nobody() {
        let mut kept = Kept::at(7);
        for number in [8, 12, 13] {
            kept.push(&entry(number));
        }
        assert!(matches!(kept.after(8, 9), After::LostUpTo(11)));
        assert_eq!(numbers(kept.after(11, 9)), [12, 13]);
    }

    #[test]
    fn no_more_is_kept_than_said() {
        let mut kept = Kept::at(0);
        (1..=KEPT + 5).for_each(|number| kept.push(&entry(number)));
        assert!(matches!(kept.after(4, 9), After::LostUpTo(5)));
        assert_eq!(numbers(kept.after(5, 2)), [6, 7]);
        kept.push_front(&[entry(5)]);
        assert!(matches!(kept.after(4, 9), After::LostUpTo(5)));
    }
}

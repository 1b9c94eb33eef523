//! A line for every call, where the settings ask for one: for measurements that a summary can't give.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::record::Ending;

/// One call, in microseconds since the Unix epoch by the simulator's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    /// The route called.
    pub route: Cow<'static, str>,
    /// The user whom it names, as the caller wrote it, decoded.
    pub user: Option<Arc<str>>,
    /// When it was read, before any planted delay.
    pub seen_us: u64,
    /// When it was counted.
    pub arrived_us: u64,
    /// When it was answered or given up; `None` while it is in flight.
    pub ended_us: Option<u64>,
    /// How it ended: an HTTP status, `lost`, `hung` or `closed`.
    pub ending: Option<Cow<'static, str>>,
}

/// A place in a [`Journal`]. Survives the journal's being emptied: the line is then gone, not another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u64);

/// The calls so far, by the time they arrived.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lines: Vec<JournalLine>,
    forgotten: u64,
}

impl Journal {
    /// A call has arrived.
    pub(crate) fn arrived(
        &mut self,
        route: &'static str,
        user: Option<&str>,
        seen: Moment,
        now: Moment,
    ) -> Place {
        self.lines.push(JournalLine {
            route: route.into(),
            user: user.map(Arc::from),
            seen_us: seen.as_micros(),
            arrived_us: now.as_micros(),
            ended_us: None,
            ending: None,
        });
        Place(self.forgotten + self.lines.len() as u64 - 1)
    }

    /// The call at `place` has ended.
    pub(crate) fn ended(&mut self, place: Place, now: Moment, ending: Ending) {
        let index = place.0.checked_sub(self.forgotten).and_then(|index| usize::try_from(index).ok());
        if let Some(line) = index.and_then(|index| self.lines.get_mut(index)) {
            line.ended_us = Some(now.as_micros());
            line.ending = Some(ending.word().into());
        }
    }

    /// Every line, the first to arrive first.
    pub(crate) fn lines(&self) -> &[JournalLine] {
        &self.lines
    }

    /// Forgets all lines.
    pub(crate) fn forget(&mut self) {
        self.forgotten += self.lines.len() as u64;
        self.lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_ends_after_the_journal_was_emptied_marks_no_other_call() {
        let at = Moment::from_micros;
        let mut journal = Journal::default();
        let first = journal.arrived("GET /users", None, at(1), at(2));
        journal.forget();
        let second = journal.arrived("GET /users", Some("a"), at(3), at(4));
        journal.ended(first, at(5), Ending::Status(200));
        assert_eq!(journal.lines()[0].ended_us, None);
        journal.ended(second, at(6), Ending::Lost);
        assert_eq!(
            (journal.lines()[0].ended_us, journal.lines()[0].ending.as_deref()),
            (Some(6), Some("lost"))
        );
        assert_eq!(journal.lines().len(), 1);
    }
}

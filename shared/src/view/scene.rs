//! What goes on around a run, at one moment: its account's activity, why it waits, the time.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{
    Reader,
    activity::{Activity, Watch},
    waits::{Wait, waits},
};
use crate::{AccountName, Clock, Pulse, RunStatus, Timestamp, store::SharedStore};

/// What goes on around a run.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What the account's workers tell; `None` where that is not known.
    pub activity: Option<Activity>,
    /// Why the run waits, the weightiest first.
    pub waits: Vec<Wait>,
    /// The store's time.
    pub now: Timestamp,
    /// Where the reader is.
    pub zone: TimeZone,
}

impl Scene {
    /// A wait, and until when, for people.
    #[must_use]
    pub fn words(&self, wait: &Wait) -> String {
        wait.words(self.now, &self.zone)
    }
}

/// Watches what goes on around the runs of one account.
#[derive(Debug)]
pub struct Observer {
    watch: Watch,
    reader: Reader,
    zone: TimeZone,
}

impl Observer {
    /// Of this account's runs, for a reader in that zone.
    #[must_use]
    pub fn of(
        store: &SharedStore,
        account: &AccountName,
        reader: Reader,
        clock: Arc<dyn Clock>,
        zone: TimeZone,
    ) -> Self {
        Self { watch: Watch::new(store, account, clock), reader, zone }
    }

    /// What goes on around a run. `own` is what this process itself tells of the account, where it works it.
    pub async fn look(&mut self, status: &RunStatus, own: Option<&Pulse>) -> Scene {
        let over = status.phase.is_over();
        let activity = if over { None } else { self.watch.look(own).await };
        let now = self.watch.now();
        let waits = waits(status, activity.as_ref(), &self.reader, now);
        Scene { activity, waits, now, zone: self.zone.clone() }
    }
}

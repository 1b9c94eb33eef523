//! What goes on around a run, at one moment: its account's activity, why it waits, the time.

use jiff::tz::TimeZone;
use usher_shared::{Pulse, RunStatus, Timestamp, config::StoreAddress, store::SharedStore};

use crate::{
    activity::{Activity, Watch},
    waits::{Wait, waits},
    wiring,
};

/// What goes on around a run.
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
    pub fn words(&self, wait: &Wait) -> String {
        wait.words(self.now, &self.zone)
    }
}

/// Watches what goes on around the runs of one account.
pub struct Observer {
    watch: Watch,
    address: StoreAddress,
    zone: TimeZone,
}

impl Observer {
    /// Of the account of this run.
    pub fn of(store: &SharedStore, address: &StoreAddress, status: &RunStatus) -> Self {
        Self {
            watch: Watch::new(store, &status.run.account, wiring::clock()),
            address: address.clone(),
            zone: TimeZone::system(),
        }
    }

    /// What goes on around a run. `own` is what this process itself tells of the account, where it works it.
    pub async fn look(&mut self, status: &RunStatus, own: Option<&Pulse>) -> Scene {
        let over = status.phase.is_over();
        let activity = if over { None } else { self.watch.look(own).await };
        let now = self.watch.now();
        let waits = waits(status, activity.as_ref(), &self.address, now);
        Scene { activity, waits, now, zone: self.zone.clone() }
    }
}

//! What was done to whom, and when: by this alone the audit excuses what a fault explains.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use usher_shared::{Clock, SystemClock, Timestamp};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was done.
    pub what: What,
    /// The worker that it struck; `None` for all of them.
    pub worker: Option<String>,
    /// When it began.
    pub from: Timestamp,
    /// When it ended; the same moment for one that is over at once, and `None` while it lasts.
    pub until: Option<Timestamp>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A worker was killed.
    Killed,
    /// A worker stood still.
    Stopped,
    /// The store could not be reached, or would not serve.
    StoreAway,
    /// The store forgot what it was told between the fault's begin and its end.
    StoreForgot,
    /// The vendor could not be reached.
    VendorAway,
    /// Something else that may cost a worker its leases.
    Other(&'static str),
}

impl Fault {
    /// Whether it struck this worker at some time between these two.
    pub fn struck(&self, worker: &str, from: Timestamp, until: Timestamp) -> bool {
        let whom = self.worker.as_deref().is_none_or(|struck| struck == worker);
        whom && self.from <= until && self.until.is_none_or(|end| end >= from)
    }
}

/// All faults of a scenario, oldest first.
#[derive(Debug, Default)]
pub struct Chronicle(Mutex<Vec<Fault>>);

/// A fault that still lasts.
#[derive(Debug)]
#[must_use = "a fault that never ends excuses everything after it"]
pub struct Lasting(usize);

/// The time, as the machine's one clock tells it to Redis, the simulator and the workers.
pub fn now() -> Timestamp {
    SystemClock.now()
}

impl Chronicle {
    /// Notes a fault that is over at once.
    pub fn strike(&self, what: What, worker: Option<&str>) {
        let lasting = self.begin(what, worker);
        self.end(&lasting);
    }

    /// Notes the beginning of a fault.
    pub fn begin(&self, what: What, worker: Option<&str>) -> Lasting {
        self.begun_at(what, worker, now())
    }

    /// Notes a fault that began before.
    pub fn begun_at(&self, what: What, worker: Option<&str>, from: Timestamp) -> Lasting {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push(Fault { what, worker: worker.map(str::to_owned), from, until: None });
        Lasting(faults.len() - 1)
    }

    /// Notes the end of a fault.
    pub fn end(&self, lasting: &Lasting) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[lasting.0].until = Some(now());
    }

    /// All of them.
    pub fn faults(&self) -> Vec<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = self.worker.as_deref().unwrap_or("all");
        write!(f, "{} {:?} {whom}", self.from, self.what)?;
        self.until.filter(|until| *until != self.from).map_or(Ok(()), |until| write!(f, " until {until}"))
    }
}

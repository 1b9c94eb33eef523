//! Reads a run's status many times a second for the whole run, through a store of its own, and holds every sample to what
//! must always be so.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use usher_shared::{RunId, RunStatus, store::SharedStore};

use crate::support::Workplace;

/// Between two samples.
const EVERY: Duration = Duration::from_millis(10);
/// A run that is not over after this long is stuck.
const PATIENCE: Duration = Duration::from_secs(180);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Samples read.
    pub samples: u64,
    /// Samples that the store did not answer.
    pub unanswered: u64,
    /// Samples in which what must always be so was not.
    pub flaws: Vec<String>,
    /// The most finished jobs that a later sample knew nothing of.
    pub forgotten: u64,
    /// The last sample.
    pub status: Option<RunStatus>,
}

impl Seen {
    fn take(&mut self, status: RunStatus) {
        self.samples += 1;
        let counters = &status.counters;
        if !counters.add_up() {
            self.flaws.push(format!("the counters do not add up: {counters:?}"));
        }
        if let Some(before) = &self.status {
            if before.counters.total != counters.total {
                self.flaws.push(format!("the total changed: {:?}, then {counters:?}", before.counters));
            }
            let forgotten = before.counters.finished.saturating_sub(counters.finished);
            self.forgotten = self.forgotten.max(forgotten);
        }
        self.status = Some(status);
    }
}

/// A sampler at work.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    news: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Watches a run, by a way to the store that no fault touches.
    pub fn start(place: &Workplace, run: &RunId) -> Self {
        let shared = Arc::new(Shared::default());
        let (store, run, theirs) = (place.store(), run.clone(), Arc::clone(&shared));
        let thread = std::thread::spawn(move || sample(&store, &run, &theirs));
        Self { shared, thread: Some(thread) }
    }

    /// Waits until a sample is like this, and returns it.
    pub fn wait_for(&self, what: &str, mut so: impl FnMut(&RunStatus) -> bool) -> RunStatus {
        let give_up = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen();
        loop {
            if let Some(status) = seen.status.as_ref().filter(|status| so(status)) {
                return status.clone();
            }
            let left = give_up.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}; last seen: {:?}", seen.status);
            seen = self.shared.news.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until so many jobs have their outcome.
    pub fn wait_for_finished(&self, jobs: u64) -> RunStatus {
        self.wait_for(&format!("{jobs} outcomes"), |status| status.counters.finished >= jobs)
    }

    /// Waits until the run is over.
    pub fn wait_until_over(&self) -> RunStatus {
        self.wait_for("the end of the run", |status| status.phase.is_over())
    }

    /// Waits until no job has got its outcome for so long; returns the last sample.
    pub fn wait_until_it_stands_still(&self, still: Duration) -> RunStatus {
        let mut last = (0, Instant::now());
        self.wait_for("the run to stand still", move |status| {
            if status.counters.finished != last.0 {
                last = (status.counters.finished, Instant::now());
            }
            last.1.elapsed() >= still
        })
    }

    /// The last sample.
    pub fn status(&self) -> Option<RunStatus> {
        self.shared.seen().status.clone()
    }

    /// Ends it, and asserts that every sample was as it must be.
    pub fn end(mut self) -> Seen {
        self.join();
        let seen = self.shared.seen().clone();
        assert!(
            seen.flaws.is_empty(),
            "in {} of {} samples: {:#?}",
            seen.flaws.len(),
            seen.samples,
            seen.flaws
        );
        assert!(seen.samples >= 20, "only {} samples: nothing was watched", seen.samples);
        seen
    }

    fn join(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

fn sample(store: &SharedStore, run: &RunId, shared: &Shared) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    while !shared.stop.load(Ordering::SeqCst) {
        match runtime.block_on(store.run(run)) {
            Ok(Some(status)) => shared.seen().take(status),
            Ok(None) => shared.seen().flaws.push("the run is not there".to_owned()),
            Err(error) if error.is_retryable() => shared.seen().unanswered += 1,
            Err(error) => shared.seen().flaws.push(format!("the status can't be read: {error}")),
        }
        shared.news.notify_all();
        std::thread::park_timeout(EVERY);
    }
}

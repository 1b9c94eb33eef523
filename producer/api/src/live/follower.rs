//! One follower: what it was sent, and what comes next.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::response::sse::Event;
use futures::{Stream, stream};
use tokio::{sync::watch, time::Instant};
use usher_shared::{RunId, audit::AuditKind};

use super::{
    EndView, GapView,
    hub::{Hub, Place},
    log::{After, Told},
    overview::Picture,
    runs::Seen,
};
use crate::auth::Caller;

/// How long a browser waits before it connects again.
const CONNECT_AGAIN: Duration = Duration::from_secs(2);
/// Entries taken from the log at a time.
const AT_ONCE: usize = 256;

/// One follower.
pub(super) struct Follower {
    hub: Arc<Hub>,
    _place: Place,
    caller: Caller,
    /// The last entry of the audit that was sent, or passed over for not being this follower's.
    cursor: u64,
    news: watch::Receiver<Option<u64>>,
    of: Of,
    ready: VecDeque<Event>,
    done: bool,
    /// When it is to end, by the caller's own wish.
    until: Option<Instant>,
    stop: watch::Receiver<bool>,
}

/// What is followed.
pub(super) enum Of {
    /// One run.
    Run {
        /// Which.
        id: RunId,
        /// How far it has come.
        seen: watch::Receiver<Seen>,
        /// What was sent of it last.
        sent: Option<Arc<str>>,
        /// The audit has said that it is over.
        told_over: bool,
    },
    /// Everything that the caller sees.
    Service {
        /// How far all have come.
        picture: watch::Receiver<Picture>,
        /// What was sent of each last.
        sent: HashMap<RunId, Arc<str>>,
    },
}

impl Of {
    pub fn run(id: RunId, seen: watch::Receiver<Seen>) -> Self {
        Self::Run { id, seen, sent: None, told_over: false }
    }

    pub fn service(picture: watch::Receiver<Picture>) -> Self {
        Self::Service { picture, sent: HashMap::new() }
    }

    /// Whether an entry is for this follower.
    pub fn concerns(&self, caller: &Caller, told: &Told) -> bool {
        match self {
            Self::Run { id, .. } => told.run.as_ref() == Some(id),
            Self::Service { .. } => match &told.account {
                Some(account) => caller.sees(account),
                // About the store as a whole: for those who see all of it.
                None => caller.rights().accounts.is_none(),
            },
        }
    }
}

/// Who follows, from where, for how long.
pub(super) struct Beginning {
    pub caller: Caller,
    pub cursor: u64,
    pub until: Option<Instant>,
    pub stop: watch::Receiver<bool>,
}

impl Follower {
    pub fn new(hub: &Arc<Hub>, place: Place, of: Of, beginning: Beginning) -> Self {
        let Beginning { caller, cursor, until, stop } = beginning;
        // Without data it is no event to anybody, but whoever connects again goes on from here.
        let first = Event::default().id(cursor.to_string()).retry(CONNECT_AGAIN);
        Self {
            news: hub.log.news(),
            hub: Arc::clone(hub),
            _place: place,
            caller,
            cursor,
            of,
            ready: VecDeque::from([first]),
            done: false,
            until,
            stop,
        }
    }

    /// What it is sent, until it is over.
    pub fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        let (mut stop, until) = (self.stop.clone(), self.until);
        let time_up = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // The sender is gone only with the whole process: that, too, is a stop.
            _ = stop.wait_for(|stop| *stop) => None,
            () = time_up => None,
            event = self.next_event() => event,
        }
    }

    /// Safe to drop half-way: whatever is taken note of is ready by then.
    async fn next_event(&mut self) -> Option<Event> {
        loop {
            self.collect();
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.done {
                return None;
            }
            self.wait().await;
        }
    }

    /// Makes ready what is new: first what happened, then how far it has come, then the end.
    fn collect(&mut self) {
        if self.done || !self.ready.is_empty() {
            return;
        }
        loop {
            match self.hub.log.after(self.cursor, AT_ONCE) {
                After::LostUpTo(to) => {
                    let lost = GapView { from: self.cursor + 1, to };
                    self.cursor = to;
                    self.push("gap", &serde_json::to_string(&lost).unwrap_or_default());
                }
                After::Entries(entries) if entries.is_empty() => break,
                After::Entries(entries) => {
                    for told in entries {
                        self.cursor = told.number;
                        self.take(&told);
                    }
                }
            }
            if !self.ready.is_empty() {
                return;
            }
        }
        match &self.of {
            Of::Run { .. } => self.collect_run(),
            Of::Service { .. } => self.collect_service(),
        }
    }

    fn take(&mut self, told: &Told) {
        if !self.of.concerns(&self.caller, told) {
            return;
        }
        if let (Of::Run { told_over, .. }, Some(AuditKind::Finished)) = (&mut self.of, told.what) {
            *told_over = true;
        }
        if let Some(data) = &told.data {
            self.push("event", data);
        }
    }

    fn collect_run(&mut self) {
        let Of::Run { id, seen, sent, told_over } = &mut self.of else { return };
        let now = seen.borrow_and_update().clone();
        let Seen::Run(run) = now else {
            // Forgotten meanwhile: there is nothing more to come.
            self.done = matches!(now, Seen::NotThere);
            return;
        };
        if sent.as_ref() != Some(&run.data) {
            *sent = Some(Arc::clone(&run.data));
            self.push("status", &run.data);
            return;
        }
        if run.ends.is_some_and(|ends| *told_over || ends <= Instant::now()) {
            let end =
                serde_json::to_string(&EndView { run: id.as_str(), state: run.state }).unwrap_or_default();
            let id = format!("{}{END}", self.cursor);
            self.ready.push_back(Event::default().id(id).event("end").data(end));
            self.done = true;
        }
    }

    fn collect_service(&mut self) {
        let Of::Service { picture, sent } = &mut self.of else { return };
        let now = Arc::clone(&picture.borrow_and_update());
        sent.retain(|run, _| now.contains_key(run));
        let mut news = Vec::new();
        for (run, progress) in now.iter().filter(|(_, progress)| self.caller.sees(&progress.account)) {
            if sent.get(run).is_none_or(|known| !Arc::ptr_eq(known, &progress.data)) {
                sent.insert(run.clone(), Arc::clone(&progress.data));
                news.push(Arc::clone(&progress.data));
            }
        }
        news.iter().for_each(|data| self.push("progress", data));
    }

    fn push(&mut self, event: &str, data: &str) {
        let id = self.cursor.to_string();
        self.ready.push_back(Event::default().id(id).event(event).data(data));
    }

    async fn wait(&mut self) {
        match &mut self.of {
            Of::Run { seen, .. } => {
                let ends = match &*seen.borrow() {
                    Seen::Run(run) => run.ends,
                    Seen::Nothing | Seen::Unavailable | Seen::NotThere => None,
                };
                tokio::select! {
                    _ = self.news.changed() => {}
                    changed = seen.changed(), if ends.is_none() => {
                        // Nobody looks at it any more, though it was not over: it can't be followed further.
                        self.done = changed.is_err();
                    }
                    () = tokio::time::sleep_until(ends.unwrap_or_else(Instant::now)), if ends.is_some() => {}
                }
            }
            Of::Service { picture, .. } => {
                tokio::select! {
                    _ = self.news.changed() => {}
                    changed = picture.changed() => self.done = changed.is_err(),
                }
            }
        }
    }
}

/// What stands after the number in the id of the last event of a run that is over: whoever has that one has all.
pub(super) const END: &str = "/end";

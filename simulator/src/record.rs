//! What happened: every call, how it ended, how fast calls came, what was changed, who did not wait when told
//! to. Tests and `GET /_control/report` read it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;

const SECOND: Duration = Duration::from_secs(1);
const BUCKET: Duration = Duration::from_millis(100);
/// So many calls made too early are listed one by one; the rest are only counted.
const EARLY_CALLS_LISTED: usize = 100;
/// A call that arrives so soon after a refusal was sent was on its way before its caller could read it.
pub const READING_TIME: Duration = Duration::from_millis(5);

/// How one call ended, as its caller saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// It was answered with this HTTP status.
    Status(u16),
    /// It was carried out, and its connection closed without a reply.
    Lost,
    /// It was never answered.
    Hung,
    /// Its connection was closed before it was looked at.
    Closed,
}

impl Ending {
    pub(crate) fn word(self) -> String {
        match self {
            Ending::Status(status) => status.to_string(),
            Ending::Lost => "lost".to_owned(),
            Ending::Hung => "hung".to_owned(),
            Ending::Closed => "closed".to_owned(),
        }
    }
}

/// Whom a told wait concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// Every call of one label or other group of calls.
    Group(&'static str),
    /// Every call on one user, by the user's key.
    User(u64),
}

/// One change of one user, or one call that would have made it had it not been made before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The user's e-mail address.
    pub user: Arc<str>,
    /// The user's id, where there is one.
    pub id: Option<Arc<str>>,
    /// What was asked for: `deactivate`, `activate`, `type=1`, `sign_out` ...
    pub action: Cow<'static, str>,
    /// When it was carried out.
    pub at: Timestamp,
    /// Whether the user differed afterwards.
    pub changed: bool,
}

/// A call that began although its caller had been told to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyCall {
    /// The route called.
    pub route: Cow<'static, str>,
    /// When the call reached the simulator.
    pub at: Timestamp,
    /// Until when it should have waited.
    pub told_until: Timestamp,
}

/// How fast the calls of one group came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// All calls, refused ones included.
    pub calls: u64,
    /// When the first arrived.
    pub first_at: Option<Timestamp>,
    /// When the last arrived.
    pub last_at: Option<Timestamp>,
    /// The most calls in any second, wherever it begins.
    pub max_in_any_second: u64,
    /// Calls by 100 ms, as pairs of the milliseconds since the start and the calls; empty ones are left out.
    pub buckets_100ms: Vec<(u64, u32)>,
}

/// Everything that happened since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Milliseconds since the simulator's start.
    pub uptime_ms: u64,
    /// Calls by route and ending: an HTTP status, `lost`, `hung` or `closed`.
    pub calls: BTreeMap<String, BTreeMap<String, u64>>,
    /// Refusals for being too fast, by kind: `second`, `day`, `user_day`, `concurrent`.
    pub throttled: BTreeMap<String, u64>,
    /// Every change carried out, oldest first.
    pub changes: Vec<Change>,
    /// Calls that reached the simulator after a refusal with a wait had been sent and before that wait was over.
    pub calls_while_told_to_wait: u64,
    /// The first 100 of them.
    pub early_calls: Vec<EarlyCall>,
    /// The most calls that were in flight on one user at the same time.
    pub max_concurrent_per_user: u32,
    /// How fast calls came, by label and for `status`, the calls that deactivate and activate.
    pub pace: BTreeMap<String, Pace>,
    /// Tokens given out.
    pub tokens_issued: u64,
    /// Tokens that are good now.
    pub live_tokens: u64,
    /// Calls of the other app, so far as they have used up the limits.
    pub other_app_calls: u64,
    /// Calls of the other app that were refused, because others had used up the limits.
    pub other_app_refused: u64,
}

impl Report {
    /// Calls of `route` that ended with `status`.
    pub fn calls_with(&self, route: &str, status: u16) -> u64 {
        self.calls.get(route).and_then(|by| by.get(&status.to_string())).copied().unwrap_or(0)
    }

    /// All calls of `route`.
    pub fn calls_of(&self, route: &str) -> u64 {
        self.calls.get(route).map_or(0, |by| by.values().sum())
    }

    /// All refusals for being too fast.
    pub fn throttled_calls(&self) -> u64 {
        self.throttled.values().sum()
    }

    /// The changes of each user by e-mail address, oldest first.
    pub fn changes_by_user(&self) -> BTreeMap<&str, Vec<&Change>> {
        let mut by_user: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
        for change in &self.changes {
            by_user.entry(&change.user).or_default().push(change);
        }
        by_user
    }
}

#[derive(Debug, Default)]
struct PaceCount {
    calls: u64,
    first: Option<Moment>,
    last: Option<Moment>,
    last_second: VecDeque<Moment>,
    max_in_any_second: u64,
    buckets: Vec<(u64, u32)>,
}

impl PaceCount {
    fn arrived(&mut self, now: Moment, start: Moment) {
        self.calls += 1;
        self.first.get_or_insert(now);
        self.last = Some(now);
        while self.last_second.front().is_some_and(|&at| at.plus(SECOND) <= now) {
            self.last_second.pop_front();
        }
        self.last_second.push_back(now);
        self.max_in_any_second = self.max_in_any_second.max(self.last_second.len() as u64);
        let width = BUCKET.as_millis() as u64;
        let bucket = now.since(start).as_millis() as u64 / width * width;
        match self.buckets.last_mut() {
            Some((at, calls)) if *at == bucket => *calls += 1,
            _ => self.buckets.push((bucket, 1)),
        }
    }

    fn report(&self) -> Pace {
        Pace {
            calls: self.calls,
            first_at: self.first.map(Moment::to_timestamp),
            last_at: self.last.map(Moment::to_timestamp),
            max_in_any_second: self.max_in_any_second,
            buckets_100ms: self.buckets.clone(),
        }
    }
}

/// A wait that callers were told: from the moment the refusal was sent until the moment it named.
#[derive(Clone, Copy, Debug)]
struct ToldWait {
    from: Moment,
    until: Moment,
}

/// Collects what a [`Report`] says. Times must be given in their order.
#[derive(Debug)]
pub struct Recorder {
    start: Moment,
    reading_time: Duration,
    calls: HashMap<(&'static str, Ending), u64>,
    throttled: BTreeMap<&'static str, u64>,
    changes: Vec<Change>,
    told: HashMap<Waiting, ToldWait>,
    early: u64,
    early_calls: Vec<EarlyCall>,
    pace: BTreeMap<&'static str, PaceCount>,
}

impl Recorder {
    /// An empty record of a simulator that started at `start`.
    pub fn new(start: Moment) -> Self {
        Self {
            start,
            reading_time: READING_TIME,
            calls: HashMap::new(),
            throttled: BTreeMap::new(),
            changes: Vec::new(),
            told: HashMap::new(),
            early: 0,
            early_calls: Vec::new(),
            pace: BTreeMap::new(),
        }
    }

    /// Grants callers so long, instead of [`READING_TIME`], until a refusal must have reached all of them.
    pub fn set_reading_time(&mut self, reading_time: Duration) {
        self.reading_time = reading_time;
    }

    /// Forgets all calls and changes; waits that were told stay told.
    pub fn reset(&mut self) {
        let told = std::mem::take(&mut self.told);
        *self = Self { told, reading_time: self.reading_time, ..Self::new(self.start) };
    }

    /// A call of `group` was counted at `now`.
    pub fn arrived(&mut self, group: &'static str, now: Moment) {
        self.pace.entry(group).or_default().arrived(now, self.start);
    }

    /// A call of `route` that was seen at `seen`, before any planted delay, concerns these waits.
    /// Returns whether it came too early for one of them.
    pub fn check_waits(&mut self, route: &'static str, seen: Moment, waits: &[Waiting]) -> bool {
        let told = waits
            .iter()
            .filter_map(|waiting| self.told.get(waiting))
            .find(|wait| seen > wait.from.plus(self.reading_time) && seen < wait.until);
        let Some(wait) = told else { return false };
        let told_until = wait.until.to_timestamp();
        self.early += 1;
        if self.early_calls.len() < EARLY_CALLS_LISTED {
            self.early_calls.push(EarlyCall { route: route.into(), at: seen.to_timestamp(), told_until });
        }
        true
    }

    /// A refusal sent at `now` told `waiting` to wait until `until`.
    pub fn told(&mut self, waiting: Waiting, now: Moment, until: Moment) {
        let wait = self.told.entry(waiting).or_insert(ToldWait { from: now, until });
        if wait.until <= now {
            *wait = ToldWait { from: now, until };
        } else {
            wait.until = wait.until.max(until);
        }
    }

    /// A call was refused for being too fast.
    pub fn throttled(&mut self, kind: &'static str) {
        *self.throttled.entry(kind).or_default() += 1;
    }

    /// A call of `route` ended.
    pub fn ended(&mut self, route: &'static str, ending: Ending) {
        *self.calls.entry((route, ending)).or_default() += 1;
    }

    /// A change was carried out.
    pub fn changed(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// The record as it stands at `now`. `with_changes` = false leaves the list of changes out.
    pub fn report(&self, now: Moment, with_changes: bool) -> Report {
        let mut calls: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for ((route, ending), count) in &self.calls {
            calls.entry((*route).to_owned()).or_default().insert(ending.word(), *count);
        }
        Report {
            uptime_ms: now.since(self.start).as_millis() as u64,
            calls,
            throttled: self.throttled.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect(),
            changes: if with_changes { self.changes.clone() } else { Vec::new() },
            calls_while_told_to_wait: self.early,
            early_calls: self.early_calls.clone(),
            pace: self.pace.iter().map(|(group, count)| ((*group).to_owned(), count.report())).collect(),
            ..Report::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIGHT: [Waiting; 1] = [Waiting::Group("light")];

    fn ms(ms: u64) -> Moment {
        Moment::from_micros(1_000_000_000_000 + ms * 1_000)
    }

    #[test]
    fn only_calls_that_began_after_the_refusal_count_as_early() {
        let mut record = Recorder::new(ms(0));
        record.told(LIGHT[0], ms(1000), ms(3000));
        assert!(!record.check_waits("PUT", ms(900), &LIGHT), "it was in flight already");
        assert!(!record.check_waits("PUT", ms(1004), &LIGHT), "nobody reads a reply in no time");
        assert!(record.check_waits("PUT", ms(1500), &LIGHT));
        assert!(!record.check_waits("GET", ms(1500), &[Waiting::Group("medium"), Waiting::User(1)]));
        assert!(!record.check_waits("PUT", ms(3000), &LIGHT), "the wait is over");
        assert_eq!(record.report(ms(3000), true).calls_while_told_to_wait, 1);
        record.set_reading_time(Duration::from_millis(600));
        assert!(!record.check_waits("PUT", ms(1600), &LIGHT), "a fleet takes longer to hear of it");
        assert!(record.check_waits("PUT", ms(1601), &LIGHT));
    }

    #[test]
    fn a_second_refusal_does_not_excuse_calls_that_ignored_the_first() {
        let mut record = Recorder::new(ms(0));
        record.told(LIGHT[0], ms(1000), ms(2000));
        record.told(LIGHT[0], ms(1500), ms(2500));
        assert!(record.check_waits("PUT", ms(1400), &LIGHT));
        assert!(record.check_waits("PUT", ms(2400), &LIGHT));
        record.told(LIGHT[0], ms(9000), ms(9500));
        assert!(!record.check_waits("PUT", ms(8000), &LIGHT), "between the two nobody had to wait");
    }

    #[test]
    fn the_busiest_second_is_found_wherever_it_begins() {
        let mut record = Recorder::new(ms(0));
        for at in [0, 600, 700, 800, 1500, 1599, 1600] {
            record.arrived("status", ms(at));
        }
        let pace = &record.report(ms(2000), true).pace["status"];
        assert_eq!(pace.calls, 7);
        assert_eq!(pace.max_in_any_second, 5, "600 to 1599");
        assert_eq!(pace.buckets_100ms, [(0, 1), (600, 1), (700, 1), (800, 1), (1500, 2), (1600, 1)]);
        assert_eq!(pace.last_at, Some(ms(1600).to_timestamp()));
    }

    #[test]
    fn reset_forgets_calls_but_not_what_callers_were_told() {
        let mut record = Recorder::new(ms(0));
        record.ended("PUT", Ending::Status(204));
        record.told(LIGHT[0], ms(1000), ms(3000));
        record.reset();
        assert!(record.report(ms(1), true).calls.is_empty());
        assert!(record.check_waits("PUT", ms(2000), &LIGHT));
    }
}

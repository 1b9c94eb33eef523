//! What goes on in an account: what its workers tell, taken together.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    AccountName, Clock, DayUse, LanePulse, Pulse, Timestamp,
    store::{SharedStore, StoreError},
};

/// How often the store is asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Less than this part of the plan is more than the room for late calls takes: refusals have lowered it.
const LOWERED: f64 = 0.95;

/// What goes on in an account, summed over its workers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// Workers at work on it.
    pub workers: usize,
    /// Leases that they hold: calls in flight, and those that wait for their start.
    pub in_flight: u64,
    /// Its labels, that of changes first.
    pub lanes: Vec<Lane>,
}

/// One label's calls, over all workers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    /// Which: `light`.
    pub label: String,
    /// Calls a second, over the last two seconds.
    pub rate: f64,
    /// Calls a second that the plan allows.
    pub plan: Option<f64>,
    /// Calls a second that are let out at most now.
    pub allowed: Option<f64>,
    /// Refused calls of the workers that are there now.
    pub refusals: u64,
    /// Until when calls stand still after a refusal.
    pub paused_until: Option<Timestamp>,
    /// How far the day's quota is used up.
    pub day: Option<DayUse>,
}

impl Activity {
    /// Adds up what the workers told.
    pub fn of(pulses: &[Pulse]) -> Self {
        // What they share (the rate that is allowed, the day's use) is told best by who told last.
        let mut pulses: Vec<&Pulse> = pulses.iter().filter(|pulse| !has_ended(pulse)).collect();
        pulses.sort_by_key(|pulse| std::cmp::Reverse(pulse.at));
        let mut lanes: Vec<Lane> = Vec::new();
        for lane in pulses.iter().flat_map(|pulse| &pulse.lanes) {
            match lanes.iter_mut().find(|known| known.label == lane.label) {
                Some(known) => known.add(lane),
                None => lanes.push(Lane::of(lane)),
            }
        }
        let in_flight = pulses.iter().map(|pulse| pulse.in_flight).sum();
        Self { workers: pulses.len(), in_flight, lanes }
    }

    /// The lane of changes.
    pub fn changes(&self) -> Option<&Lane> {
        self.lanes.first()
    }

    /// Calls a second under all labels.
    pub fn rate(&self) -> f64 {
        self.lanes.iter().map(|lane| lane.rate).sum()
    }
}

/// The last word of a worker that works no more.
fn has_ended(pulse: &Pulse) -> bool {
    pulse.lanes.is_empty() && pulse.in_flight == 0
}

impl Lane {
    fn of(lane: &LanePulse) -> Self {
        Self {
            label: lane.label.clone(),
            rate: lane.started,
            plan: lane.plan,
            allowed: lane.allowed,
            refusals: lane.refusals,
            paused_until: lane.paused_until,
            day: lane.day,
        }
    }

    fn add(&mut self, lane: &LanePulse) {
        self.rate += lane.started;
        self.refusals += lane.refusals;
        self.plan = self.plan.or(lane.plan);
        self.allowed = self.allowed.or(lane.allowed);
        self.paused_until = self.paused_until.max(lane.paused_until);
        // Several may have drawn within one interval; the store counted them one after the other.
        let later = lane.day.filter(|day| self.day.is_none_or(|known| day.drawn.at > known.drawn.at));
        self.day = later.or(self.day);
    }

    /// What is let out at most now, where refusals have brought it below the plan.
    pub fn lowered(&self) -> Option<f64> {
        let (plan, allowed) = (self.plan?, self.allowed?);
        (allowed < plan * LOWERED).then_some(allowed)
    }
}

/// Users of an account who can sign in, as its workers saw their number last.
pub async fn active_users(store: &SharedStore, account: &AccountName) -> Option<u64> {
    let mut pulses = store.pulses(account).await.ok()?;
    pulses.sort_by_key(|pulse| std::cmp::Reverse(pulse.at));
    pulses.iter().find_map(|pulse| pulse.active_users)
}

/// Looks at what an account's workers tell, once a second at most, and keeps the store's time.
#[derive(Debug)]
pub struct Watch {
    store: SharedStore,
    account: AccountName,
    clock: Arc<dyn Clock>,
    looked: Option<Instant>,
    pulses: Option<Vec<Pulse>>,
    /// The store's clock less ours, in milliseconds.
    ahead: i64,
}

impl Watch {
    /// Nothing is asked yet.
    pub fn new(store: &SharedStore, account: &AccountName, clock: Arc<dyn Clock>) -> Self {
        Self { store: store.clone(), account: account.clone(), clock, looked: None, pulses: None, ahead: 0 }
    }

    /// What goes on; `None` where it is not known. `own` is this process' own pulse, which is fresher than the store's.
    pub async fn look(&mut self, own: Option<&Pulse>) -> Option<Activity> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.looked = Some(Instant::now());
            self.pulses = match self.ask().await {
                Ok(pulses) => Some(pulses),
                Err(error) => {
                    tracing::debug!(%error, "what the workers tell is not known");
                    None
                }
            };
        }
        match (own, &self.pulses) {
            (None, None) => None,
            (None, Some(pulses)) => Some(Activity::of(pulses)),
            (Some(own), pulses) => {
                let others = pulses.iter().flatten().filter(|pulse| pulse.worker != own.worker);
                Some(Activity::of(&others.chain([own]).cloned().collect::<Vec<_>>()))
            }
        }
    }

    async fn ask(&mut self) -> Result<Vec<Pulse>, StoreError> {
        let now = self.store.now().await?;
        self.ahead = now.as_millis() - self.clock.now().as_millis();
        self.store.pulses(&self.account).await
    }

    /// The time by the store's clock, as it was heard last.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now().as_millis().saturating_add(self.ahead))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Drawn, WorkerId};

    use super::*;

    fn pulse(worker: &str, at: i64, lanes: &[LanePulse]) -> Pulse {
        Pulse {
            active_users: None,
            policy: None,
            account: "zoom-main".parse().unwrap(),
            worker: WorkerId::new(worker),
            at: Timestamp::from_millis(at),
            in_flight: 3,
            lanes: lanes.to_vec(),
        }
    }

    fn light(started: f64, allowed: f64, refusals: u64) -> LanePulse {
        LanePulse {
            label: "light".into(),
            plan: Some(80.0),
            allowed: Some(allowed),
            started,
            refusals,
            ..LanePulse::default()
        }
    }

    #[test]
    fn rates_and_refusals_add_up_and_what_is_shared_is_told_by_who_told_last() {
        let medium = LanePulse { label: "medium".into(), started: 5.0, ..LanePulse::default() };
        let found = Activity::of(&[
            pulse("one", 1_000, &[light(20.0, 78.0, 1), medium]),
            pulse("two", 2_000, &[light(21.0, 41.0, 2)]),
        ]);
        assert_eq!((found.workers, found.in_flight), (2, 6));
        let lane = found.changes().unwrap();
        assert_eq!((lane.label.as_str(), lane.rate, lane.refusals), ("light", 41.0, 3));
        assert_eq!((lane.allowed, lane.lowered()), (Some(41.0), Some(41.0)));
        assert!((found.rate() - 46.0).abs() < 1e-9);
        assert_eq!(Activity::of(&[]), Activity::default());
        let ended = Pulse { in_flight: 0, ..pulse("one", 3_000, &[]) };
        assert_eq!(Activity::of(&[ended]), Activity::default(), "one that has ended is not at work");
    }

    #[test]
    fn the_longest_pause_and_the_last_look_at_the_day_count() {
        let day = |at, used| {
            let drawn = Drawn {
                granted: 0,
                used,
                at: Timestamp::from_millis(at),
                frees_at: Timestamp::from_millis(9_000),
            };
            Some(DayUse { calls: 6_000, urgent_only: 120, drawn })
        };
        let until = |millis| Some(Timestamp::from_millis(millis));
        let found = Activity::of(&[
            pulse(
                "one",
                2_000,
                &[LanePulse { day: day(1_900, 40), paused_until: until(5), ..light(0.0, 80.0, 0) }],
            ),
            pulse(
                "two",
                1_000,
                &[LanePulse { day: day(1_950, 50), paused_until: until(7), ..light(0.0, 80.0, 0) }],
            ),
        ]);
        let lane = found.changes().unwrap();
        assert_eq!((lane.paused_until, lane.day), (until(7), day(1_950, 50)));
    }

    #[test]
    fn the_room_for_late_calls_is_no_lowering() {
        for (allowed, lowered) in [(80.0, false), (78.6, false), (76.0, false), (75.0, true), (30.0, true)] {
            assert_eq!(Lane::of(&light(0.0, allowed, 0)).lowered().is_some(), lowered, "{allowed}");
        }
    }
}

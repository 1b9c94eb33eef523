//! A fleet of workers that share one lane, in virtual time.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Scenario,
    vendor::{Told, Vendor},
};
use crate::{
    decide::RatePause,
    limiter::{
        HORIZON, full_rate,
        lane::{Lane, Reserved, micros},
        room::RoomLeft,
    },
};

/// The run begins here, so that no time is 0, which stands for "never".
const BEGAN: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000;
/// One way to the fleet's Redis.
const ROUND_TRIP: u64 = 400;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A worker asks for starts.
    Ask { worker: usize },
    /// A call starts, unless its permit was withdrawn.
    Start { worker: usize, epoch: u64 },
    /// It reaches the vendor.
    Arrival { worker: usize, epoch: u64 },
    /// Its reply is back.
    Reply { worker: usize, epoch: u64, through: Option<u32> },
}

/// A fleet at work.
pub(super) struct Fleet<'a> {
    scenario: &'a Scenario,
    lane: Lane,
    vendor: Vendor,
    random: StdRng,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    /// Gives events of one moment an order.
    number: u64,
    /// Permits that a worker holds: waiting for their start, or in flight.
    held: Vec<usize>,
    /// Whether the worker's next question is under way.
    asking: Vec<bool>,
    room: Vec<RoomLeft>,
    seconds: Vec<Second>,
}

/// What came of one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    calls: u64,
    through: u64,
    refused: u64,
}

/// What came of each second of a run.
pub(super) struct Figures {
    seconds: Vec<Second>,
    /// Calls that the vendor would have taken from us.
    left_to_us: Vec<f64>,
}

/// What came of a part of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub calls: u64,
    pub through: u64,
    pub refused: u64,
    pub left_to_us: f64,
}

impl Figures {
    pub fn between(&self, from: f64, to: f64) -> Part {
        let mut part = Part::default();
        for second in from as usize..to as usize {
            let one = self.seconds[second];
            part.calls += one.calls;
            part.through += one.through;
            part.refused += one.refused;
            part.left_to_us += self.left_to_us[second];
        }
        part
    }
}

impl<'a> Fleet<'a> {
    pub fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let workers = scenario.fleet.workers;
        Self {
            lane: Lane::new(full_rate(scenario.fleet.plan)),
            vendor: Vendor::new(&scenario.vendor, BEGAN, scenario.seconds),
            random: StdRng::seed_from_u64(seed),
            events: BinaryHeap::new(),
            number: 0,
            held: vec![0; workers],
            asking: vec![false; workers],
            room: (0..workers).map(|_| RoomLeft::default()).collect(),
            seconds: vec![Second::default(); scenario.seconds as usize + 10],
            scenario,
        }
    }

    pub fn run(mut self) -> Figures {
        for worker in 0..self.held.len() {
            let at = BEGAN + self.random.random_range(0..5_000);
            self.ask(worker, at);
        }
        let end = BEGAN + (self.scenario.seconds * 1e6) as u64;
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            if now >= end {
                break;
            }
            self.happens(now, event);
        }
        self.vendor.let_others_call(end, BEGAN);
        let limit = self.scenario.vendor.limit;
        let left_to_us =
            (0..self.scenario.seconds as usize)
                .map(|second| {
                    if self.is_idle(second as f64) {
                        0.0
                    } else {
                        limit - self.vendor.others_in(second) as f64
                    }
                })
                .collect();
        Figures { seconds: self.seconds, left_to_us }
    }

    fn happens(&mut self, now: u64, event: Event) {
        match event {
            Event::Ask { worker } => {
                self.asking[worker] = false;
                self.reserve(now, worker);
            }
            Event::Start { worker, epoch } => {
                if epoch < self.lane.pause().1 {
                    self.let_go(now, worker);
                } else {
                    self.second(now).calls += 1;
                    let late = self.between(self.scenario.fleet.delay_ms);
                    self.at(now + late, Event::Arrival { worker, epoch });
                }
            }
            Event::Arrival { worker, epoch } => {
                let through = match self.vendor.arrive(now, BEGAN) {
                    Told::Through(room) => {
                        self.second(now).through += 1;
                        Some(room)
                    }
                    Told::Refused => {
                        self.second(now).refused += 1;
                        None
                    }
                };
                let latency = self.between(self.scenario.fleet.latency_ms);
                self.at(now + latency, Event::Reply { worker, epoch, through });
            }
            Event::Reply { worker, epoch, through } => {
                match through {
                    Some(room) => {
                        self.lane.accepted(now, epoch);
                        let room = Some(room).filter(|_| self.scenario.vendor.tells_room);
                        if let Some(room) = self.room[worker].told(now, room) {
                            self.lane.room(now, room);
                        }
                    }
                    None => {
                        let said = self.scenario.vendor.retry_after.map(Duration::from_secs_f64);
                        self.lane.refused(now, epoch, said.map_or(RatePause::Unsaid, RatePause::Said));
                    }
                }
                self.let_go(now, worker);
            }
        }
    }

    fn reserve(&mut self, now: u64, worker: usize) {
        if let Some(until) = self.idle_until(now) {
            return self.ask(worker, until);
        }
        let rate = self.lane.rate(now).unwrap();
        // As the feeder does: as many as may start in half a horizon, within Little's law.
        let handful = (rate * HORIZON.as_secs_f64() / 2.0).ceil() as usize;
        let latency = (self.scenario.fleet.latency_ms[1] + self.scenario.fleet.delay_ms[1]) / 1e3;
        let width = ((rate * (latency + HORIZON.as_secs_f64()) * 1.5).ceil() as usize).max(8);
        let free = width.saturating_sub(self.held[worker]);
        if free == 0 {
            return;
        }
        match self.lane.reserve(now, free.min(handful)) {
            Reserved::Starts(starts, epoch) => {
                self.held[worker] += starts.len();
                for start in starts {
                    self.at(start + ROUND_TRIP, Event::Start { worker, epoch });
                }
                self.ask(worker, now + ROUND_TRIP);
            }
            Reserved::From(time) => self.ask(worker, time + ROUND_TRIP),
        }
    }

    fn let_go(&mut self, now: u64, worker: usize) {
        self.held[worker] -= 1;
        self.ask(worker, now);
    }

    fn ask(&mut self, worker: usize, at: u64) {
        if !std::mem::replace(&mut self.asking[worker], true) {
            self.at(at, Event::Ask { worker });
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.events.push(Reverse((time, self.number, event)));
    }

    fn second(&mut self, now: u64) -> &mut Second {
        &mut self.seconds[((now - BEGAN) / SECOND) as usize]
    }

    fn between(&mut self, [from, to]: [f64; 2]) -> u64 {
        if to <= from { (from * 1e3) as u64 } else { (self.random.random_range(from..to) * 1e3) as u64 }
    }

    fn is_idle(&self, second: f64) -> bool {
        self.scenario.fleet.idle.iter().any(|[from, to]| (*from..*to).contains(&second))
    }

    fn idle_until(&self, now: u64) -> Option<u64> {
        let at = (now - BEGAN) as f64 / 1e6;
        let idle = self.scenario.fleet.idle.iter().find(|[from, to]| (*from..*to).contains(&at))?;
        Some(BEGAN + micros(Duration::from_secs_f64(idle[1])))
    }
}

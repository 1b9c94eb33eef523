//! A vendor that counts calls when they arrive.

use std::collections::VecDeque;

use super::{Other, VendorSettings, Window};

const SECOND: u64 = 1_000_000;

/// A vendor that counts calls when they arrive. Times are microseconds.
pub(super) struct Vendor {
    settings: VendorSettings,
    counted: VecDeque<u64>,
    /// Calls of the other apps that went through, by the second.
    others: Vec<u64>,
    next_of_other: Vec<u64>,
}

/// What a call is told.
pub(super) enum Told {
    /// It went through; how many more would have.
    Through(u32),
    Refused,
}

impl Vendor {
    pub fn new(settings: &VendorSettings, began: u64, seconds: f64) -> Self {
        Self {
            counted: VecDeque::new(),
            others: vec![0; seconds as usize + 3],
            next_of_other: vec![began; settings.others.len()],
            settings: settings.clone(),
        }
    }

    /// A call of ours arrives. Arrivals come in the order of time.
    pub fn arrive(&mut self, now: u64, began: u64) -> Told {
        self.let_others_call(now, began);
        self.count(now)
    }

    /// Calls of other apps that went through in a second of the run.
    pub fn others_in(&self, second: usize) -> u64 {
        self.others.get(second).copied().unwrap_or(0)
    }

    pub fn let_others_call(&mut self, now: u64, began: u64) {
        loop {
            // One after the other in the order of time: they share the window.
            let next = self.next_of_other.iter().copied().enumerate().min_by_key(|(_, at)| *at);
            let Some((which, at)) = next.filter(|(_, at)| *at <= now) else { return };
            let other = &self.settings.others[which];
            let gap = (1e6 / other.per_second) as u64;
            self.next_of_other[which] = at + gap;
            if is_on(other, (at - began) as f64 / 1e6) && matches!(self.count(at), Told::Through(_)) {
                let second = ((at - began) / SECOND) as usize;
                if let Some(calls) = self.others.get_mut(second) {
                    *calls += 1;
                }
            }
        }
    }

    fn count(&mut self, now: u64) -> Told {
        let from = match self.settings.window {
            Window::Sliding => (now + 1).saturating_sub(SECOND),
            Window::Fixed => now / SECOND * SECOND,
        };
        while self.counted.front().is_some_and(|at| *at < from) {
            self.counted.pop_front();
        }
        let limit = self.settings.limit as usize;
        let through = self.counted.len() < limit;
        if through || self.settings.counts_refused {
            self.counted.push_back(now);
        }
        if through { Told::Through((limit - self.counted.len()) as u32) } else { Told::Refused }
    }
}

fn is_on(other: &Other, at: f64) -> bool {
    other.between.is_none_or(|[from, to]| (from..to).contains(&at))
        && other.on_off.is_none_or(|[on, off]| at % (on + off) < on)
}

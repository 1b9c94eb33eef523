//! What the simulator's journal says of a run: calls let in and refused, by when they arrived.

use usher_simulator::zoom::JournalLine;

/// The route of the calls that deactivate.
pub const STATUS: &str = "PUT /users/{userId}/status";

/// The vendor's side of a run: its status calls.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When each was counted, in seconds since the Unix epoch, and whether it was let in; in order.
    calls: Vec<(f64, bool)>,
    /// Answers that were neither a success nor a 429.
    pub odd: u64,
}

impl Seen {
    /// Reads a journal.
    pub fn of(lines: &[JournalLine]) -> Self {
        let mut seen = Self::default();
        for line in lines.iter().filter(|line| line.route == STATUS) {
            let ending = line.ending.as_deref().unwrap_or_default();
            // What is in flight yet was let in: a refusal has no latency of its own, but neither is it lost.
            let let_in = ending.starts_with('2') || ending.is_empty();
            seen.odd += u64::from(!let_in && ending != "429");
            seen.calls.push((seconds(line.arrived_us), let_in));
        }
        seen
    }

    /// When the first and the last status call arrived.
    pub fn ends(&self) -> Option<(f64, f64)> {
        Some((self.calls.first()?.0, self.calls.last()?.0))
    }

    /// Calls that were let in.
    pub fn let_in(&self) -> u64 {
        self.calls.iter().filter(|(_, let_in)| *let_in).count() as u64
    }

    /// Calls that were refused.
    pub fn refused(&self) -> u64 {
        self.calls.len() as u64 - self.let_in() - self.odd
    }

    /// The refused part of all calls.
    pub fn refused_share(&self) -> f64 {
        self.refused() as f64 / (self.calls.len() as f64).max(1.0)
    }

    /// Calls let in from a moment on until the last call, a second.
    pub fn rate_from(&self, from: f64) -> f64 {
        let inside: Vec<f64> =
            self.calls.iter().filter(|(at, let_in)| *let_in && *at >= from).map(|(at, _)| *at).collect();
        let Some((first, last)) = inside.first().zip(self.ends().map(|(_, last)| last)) else { return 0.0 };
        // Between n arrivals lie n - 1 spaces; where the span begins before the first of them, there are n.
        let (spaces, since) = if self.ends().is_some_and(|(start, _)| start >= from) {
            (inside.len() - 1, *first)
        } else {
            (inside.len(), from)
        };
        if last > since { spaces as f64 / (last - since) } else { 0.0 }
    }

    /// Calls let in a second, from the first status call to the last.
    pub fn rate(&self) -> f64 {
        self.rate_from(f64::NEG_INFINITY)
    }

    /// Calls refused from one moment until before another.
    pub fn refused_between(&self, from: f64, to: f64) -> usize {
        self.calls.iter().filter(|(at, let_in)| !*let_in && (from..to).contains(at)).count()
    }

    /// The most calls, refused ones too, in any second.
    pub fn busiest_second(&self) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (index, (at, _)) in self.calls.iter().enumerate() {
            while self.calls[first].0 <= at - 1.0 {
                first += 1;
            }
            most = most.max(index + 1 - first);
        }
        most
    }
}

/// Microseconds as seconds.
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ms: u64, ending: &'static str) -> JournalLine {
        JournalLine {
            route: STATUS.into(),
            user: None,
            seen_us: ms * 1000,
            arrived_us: ms * 1000,
            ended_us: Some(ms * 1000),
            ending: Some(ending.into()),
        }
    }

    #[test]
    fn the_rate_counts_the_spaces_between_calls_that_were_let_in() {
        let mut lines: Vec<_> = (0..=100).map(|n| line(50_000 + n * 100, "204")).collect();
        lines.insert(50, line(54_950, "429"));
        let seen = Seen::of(&lines);
        assert_eq!((seen.let_in(), seen.refused(), seen.odd), (101, 1, 0));
        assert!((seen.rate() - 10.0).abs() < 1e-9);
        assert!((seen.rate_from(55.05) - 50.0 / 4.95).abs() < 1e-9);
        assert_eq!(seen.busiest_second(), 11);
        assert_eq!(Seen::default().rate(), 0.0);
    }
}

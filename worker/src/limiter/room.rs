//! What a vendor tells of the calls it would still have taken (`X-RateLimit-Remaining`), as far as it can be believed.

use std::sync::{Mutex, PoisonError};

/// The span over which the fullest moment is looked for: with a fixed window every second begins with all its room, so one
/// reply alone says nothing.
const SPAN_US: u64 = 1_100_000;
/// Fewer replies than this in a span say too little.
const FEWEST: u32 = 5;

/// The least room told in the span that runs.
#[derive(Debug, Default)]
pub(super) struct RoomLeft(Mutex<Span>);

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    began: u64,
    replies: u32,
    least: u32,
}

impl RoomLeft {
    /// Takes note of a reply. Answers what to act on: the least room of a span that is over, or at once that there is none.
    pub fn told(&self, now: u64, room: Option<u32>) -> Option<u32> {
        let room = room?;
        // Three numbers are whole after a panic of another holder, too.
        let mut span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if room == 0 {
            *span = Span { began: now, replies: 0, least: u32::MAX };
            return Some(0);
        }
        if span.replies == 0 {
            *span = Span { began: now, replies: 1, least: room };
            return None;
        }
        span.replies = span.replies.saturating_add(1);
        span.least = span.least.min(room);
        if now.saturating_sub(span.began) < SPAN_US {
            return None;
        }
        let over = *span;
        *span = Span::default();
        // A span with a long silence in it says nothing about the rate.
        (over.replies >= FEWEST && now.saturating_sub(over.began) < 2 * SPAN_US).then_some(over.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_window_s_fresh_seconds_do_not_count_as_room() {
        let left = RoomLeft::default();
        let mut told = vec![];
        for call in 0..400_u64 {
            let now = 1_000_000 + call * 12_700;
            let in_second = u32::try_from(now % 1_000_000 / 12_700).unwrap();
            told.extend(left.told(now, Some(80 - in_second)));
        }
        assert!(told.len() >= 3 && told.iter().all(|room| *room <= 3), "{told:?}");
    }

    #[test]
    fn no_room_is_told_at_once_and_few_replies_or_none_say_nothing() {
        let left = RoomLeft::default();
        assert_eq!(left.told(1, Some(0)), Some(0));
        for call in 0..20 {
            assert_eq!(left.told(2_000_000 + call * 900_000, Some(50)), None);
            assert_eq!(left.told(2_000_000 + call * 900_000, None), None);
        }
    }
}

//! Whether the way to an endpoint is open: pure, but for chance.
//!
//! An endpoint that is down is asked by one message at a time, and less and less often; as soon as one arrives, all that wait
//! go out. So the endpoint has an interval of its own, kept by each process, and the messages that wait for it come due within
//! seconds. A message that is refused while others arrive has an interval of its own.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;
use usher_shared::backoff::Backoff;

use crate::answer::Meaning;

/// Between tries at an endpoint that is down, and at a message that is refused: 5 s, doubling, up to five minutes.
pub const TRIES: Backoff = Backoff { base: Duration::from_secs(5), cap: Duration::from_secs(5 * 60) };
/// An endpoint that answers, but refuses, keeps other messages waiting for no longer: it may take the next one.
const REFUSING: Duration = Duration::from_secs(30);
/// An endpoint that can't be connected to is looked for at least so often, so that what waits goes out seconds after it is back:
/// it is no burden to it. After as many looks as make half an hour, it is looked for once a minute.
const AWAY: Duration = Duration::from_secs(10);
const AWAY_FOR_LONG: (u32, Duration) = (360, Duration::from_secs(60));
/// Whatever chance says, so much lies between two tries.
const LEAST: Duration = Duration::from_millis(250);
/// A message that waits for an endpoint, not for its own sake, comes due within this.
const AT_THE_READY: Duration = Duration::from_secs(5);
/// Messages that are on their way to an endpoint at once, while they arrive.
pub const AT_ONCE: usize = 8;

/// The way to an endpoint, as one process knows it.
#[derive(Debug, Default)]
pub struct Road {
    /// Whether anything has arrived; nothing is known before.
    known: bool,
    /// Rounds in a row of which nothing arrived.
    failures: u32,
    /// Nothing is tried before.
    not_before: Option<Instant>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Send so many at once.
    Send(usize),
    /// Nothing before then.
    Wait(Instant),
}

impl Road {
    /// What may be sent now.
    #[must_use]
    pub fn room(&self, now: Instant) -> Room {
        match self.not_before {
            Some(at) if at > now => Room::Wait(at),
            _ if self.failures == 0 && self.known => Room::Send(AT_ONCE),
            // One message asks whether it is there.
            _ => Room::Send(1),
        }
    }

    /// Takes note of a round: of its messages, what was answered. Answers when each that failed is due again, by its tries so
    /// far, this one included; `true` where the endpoint's state has changed, for the log.
    pub fn seen(
        &mut self,
        round: &[(Meaning, u32)],
        now: Instant,
        random: &mut impl Rng,
    ) -> (Vec<Option<Duration>>, bool) {
        // Who says that it wants no such message is there.
        let arrived = round.iter().any(|(meaning, _)| matches!(meaning, Meaning::Arrived | Meaning::Gone));
        let before = self.failures;
        let was_open = self.known && before == 0;
        if arrived {
            *self = Self { known: true, failures: 0, not_before: None };
        } else if !round.is_empty() {
            self.failures = before.saturating_add(1);
            let at_most =
                round.iter().map(|(meaning, _)| longest(*meaning, self.failures)).max().unwrap_or(TRIES.cap);
            let wait = TRIES.interval(self.failures, random).clamp(LEAST, at_most);
            let asked = round.iter().filter_map(|(meaning, _)| match meaning {
                Meaning::Down { retry_after } => *retry_after,
                Meaning::Arrived | Meaning::Gone | Meaning::Refused | Meaning::Away => None,
            });
            self.not_before = Some(now + asked.fold(wait, Duration::max));
        }
        let due = round.iter().map(|(meaning, tries)| {
            let own = TRIES.interval(*tries, random).max(LEAST);
            match meaning {
                Meaning::Arrived | Meaning::Gone => None,
                Meaning::Refused => Some(own),
                Meaning::Away => Some(own.min(AT_THE_READY)),
                // Others arrive, or did until now: it may be this message's own fault.
                Meaning::Down { retry_after } if arrived || was_open => Some(retry_after.unwrap_or(own)),
                Meaning::Down { retry_after } => Some(retry_after.unwrap_or(own.min(AT_THE_READY))),
            }
        });
        let due = due.collect();
        (due, (before == 0) != (self.failures == 0))
    }

    /// Whether nothing arrives.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.failures > 0
    }
}

/// The longest wait before an endpoint that answered so, so often in a row, is asked again.
fn longest(meaning: Meaning, failures: u32) -> Duration {
    match meaning {
        Meaning::Refused => REFUSING,
        Meaning::Away if failures < AWAY_FOR_LONG.0 => AWAY,
        Meaning::Away => AWAY_FOR_LONG.1,
        Meaning::Arrived | Meaning::Gone | Meaning::Down { .. } => TRIES.cap,
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const DOWN: Meaning = Meaning::Down { retry_after: None };

    fn chance() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    #[test]
    fn nothing_but_one_message_goes_out_until_one_has_arrived() {
        let (mut road, mut random, now) = (Road::default(), chance(), Instant::now());
        assert_eq!(road.room(now), Room::Send(1));
        assert_eq!(road.seen(&[(Meaning::Arrived, 1)], now, &mut random), (vec![None], false));
        assert_eq!(road.room(now), Room::Send(AT_ONCE));
        let (_, changed) = road.seen(&[(DOWN, 1); 8], now, &mut random);
        assert!(changed && road.is_down());
        let Room::Wait(until) = road.room(now) else { panic!() };
        assert_eq!(road.room(until), Room::Send(1));
        let (_, changed) = road.seen(&[(Meaning::Arrived, 2)], until, &mut random);
        assert!(changed && !road.is_down());
        assert_eq!(road.room(until), Room::Send(AT_ONCE));
    }

    #[test]
    fn an_endpoint_that_stays_down_is_asked_less_and_less_often_and_its_messages_stay_at_the_ready() {
        let (mut random, now) = (chance(), Instant::now());
        let mut longest = Duration::ZERO;
        for failures in 1..=20 {
            for _ in 0..50 {
                let mut road = Road { known: true, failures: failures - 1, not_before: None };
                let (due, _) = road.seen(&[(DOWN, failures)], now, &mut random);
                let Room::Wait(until) = road.room(now) else { panic!() };
                let ceiling = TRIES.ceiling(failures).max(LEAST);
                assert!(until - now <= ceiling && until - now >= LEAST, "{failures}");
                longest = longest.max(until - now);
                if failures > 1 {
                    assert!(due[0].unwrap() <= AT_THE_READY, "{due:?}");
                }
            }
        }
        assert!(longest > Duration::from_secs(280) && longest <= Duration::from_secs(300), "{longest:?}");
    }

    #[test]
    fn a_message_that_fails_while_others_arrive_waits_alone() {
        let (mut road, mut random, now) = (Road::default(), chance(), Instant::now());
        let round = [(Meaning::Arrived, 1), (DOWN, 9), (Meaning::Refused, 9), (Meaning::Gone, 1)];
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            let (due, _) = road.seen(&round, now, &mut random);
            assert_eq!(road.room(now), Room::Send(AT_ONCE));
            assert_eq!((due[0], due[3]), (None, None));
            longest = longest.max(due[1].unwrap()).max(due[2].unwrap());
        }
        assert!(longest > AT_THE_READY * 10, "{longest:?}");
    }

    #[test]
    fn an_endpoint_that_asks_to_be_left_alone_is_and_one_that_refuses_a_message_may_take_the_next_soon() {
        let (mut road, mut random, now) = (Road::default(), chance(), Instant::now());
        let wait = Duration::from_secs(900);
        let (due, _) = road.seen(&[(Meaning::Down { retry_after: Some(wait) }, 1)], now, &mut random);
        assert_eq!((due, road.room(now)), (vec![Some(wait)], Room::Wait(now + wait)));
        for _ in 0..100 {
            let mut road = Road { known: true, failures: 12, not_before: None };
            road.seen(&[(Meaning::Refused, 12)], now, &mut random);
            let Room::Wait(until) = road.room(now) else { panic!() };
            assert!(until - now <= REFUSING);
        }
    }

    #[test]
    fn an_endpoint_that_is_away_is_looked_for_every_few_seconds_and_after_half_an_hour_every_minute() {
        let (mut random, now) = (chance(), Instant::now());
        for (failures, most) in [(0, 5), (6, 10), (100, 10), (358, 10), (359, 60), (100_000, 60)] {
            let mut longest = Duration::ZERO;
            for _ in 0..100 {
                let mut road = Road { known: true, failures, not_before: None };
                let (due, _) = road.seen(&[(Meaning::Away, failures + 1)], now, &mut random);
                let Room::Wait(until) = road.room(now) else { panic!() };
                longest = longest.max(until - now);
                assert!(due[0].unwrap() <= AT_THE_READY);
            }
            let most = Duration::from_secs(most);
            assert!(longest <= most && longest > most / 2, "{failures}: {longest:?}");
        }
    }
}

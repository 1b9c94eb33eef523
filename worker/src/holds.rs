//! What this worker knows of its account's hold: its own findings at once, the store's word from then on.

use std::{sync::Mutex, time::Duration};

use usher_shared::{Hold, Timestamp};

use crate::account::locked;

/// What this worker knows of its account's hold.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: Option<Hold>,
    /// A finding of ours that the store does not know yet.
    unwritten: Option<Hold>,
    /// When the store was told last, on the boot clock: what it said before then is old.
    written_at: Duration,
}

impl Holds {
    /// A finding of our own: in force here at once. Answers whether the store is to be told; a hold that waits for a
    /// person is not replaced by one that ends by itself.
    pub fn place(&self, hold: &Hold) -> bool {
        let mut state = locked(&self.0);
        let waits_for_a_person = state.known.as_ref().is_some_and(|known| known.until.is_none());
        let same = state
            .known
            .as_ref()
            .is_some_and(|known| known.reason == hold.reason && known.until >= hold.until);
        if waits_for_a_person || (same && hold.until.is_some()) {
            return false;
        }
        state.known = Some(hold.clone());
        state.unwritten = Some(hold.clone());
        true
    }

    /// A finding that the store has to be told of.
    pub fn unwritten(&self) -> Option<Hold> {
        locked(&self.0).unwritten.clone()
    }

    /// The store has been told of this finding, at that moment of the boot clock.
    pub fn written(&self, hold: &Hold, at: Duration) {
        let mut state = locked(&self.0);
        if state.unwritten.as_ref() == Some(hold) {
            state.unwritten = None;
        }
        state.written_at = at;
    }

    /// What the store said to a question sent at that moment of the boot clock.
    pub fn heard(&self, asked_at: Duration, hold: Option<&Hold>) {
        let mut state = locked(&self.0);
        if state.unwritten.is_none() && asked_at >= state.written_at {
            state.known = hold.cloned();
        }
    }

    /// The hold in force.
    pub fn in_force(&self, now: Timestamp) -> Option<Hold> {
        locked(&self.0).known.clone().filter(|hold| hold.until.is_none_or(|until| until > now))
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::HoldReason;

    use super::*;

    fn hold(reason: HoldReason, until: Option<i64>) -> Hold {
        Hold {
            reason,
            message: String::new(),
            since: Timestamp::from_millis(0),
            until: until.map(Timestamp::from_millis),
        }
    }

    #[test]
    fn a_finding_is_in_force_at_once_and_what_the_store_said_before_it_was_told_does_not_lift_it() {
        let (holds, now) = (Holds::default(), Timestamp::from_millis(1));
        let scope = hold(HoldReason::Scope, None);
        assert!(holds.place(&scope) && !holds.place(&scope));
        holds.heard(Duration::from_secs(1), None);
        assert_eq!(holds.in_force(now), Some(scope.clone()));
        holds.written(&scope, Duration::from_secs(5));
        holds.heard(Duration::from_secs(4), None);
        assert_eq!(holds.in_force(now), Some(scope));
        holds.heard(Duration::from_secs(6), None);
        assert_eq!(holds.in_force(now), None);
    }

    #[test]
    fn a_breaker_never_replaces_a_hold_that_waits_for_a_person() {
        let holds = Holds::default();
        assert!(holds.place(&hold(HoldReason::Breaker, Some(5))));
        assert!(holds.place(&hold(HoldReason::Credentials, None)));
        assert!(!holds.place(&hold(HoldReason::Breaker, Some(50))));
        assert_eq!(holds.in_force(Timestamp::from_millis(99)).unwrap().reason, HoldReason::Credentials);
    }

    #[test]
    fn a_hold_with_a_time_ends_by_itself() {
        let holds = Holds::default();
        holds.place(&hold(HoldReason::Breaker, Some(5)));
        assert!(holds.in_force(Timestamp::from_millis(4)).is_some());
        assert!(holds.in_force(Timestamp::from_millis(5)).is_none());
    }
}

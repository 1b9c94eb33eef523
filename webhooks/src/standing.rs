//! Whether an account stands still, as it was told last and as it is: pure.
//!
//! Holds come and go while one and the same thing is wrong (a breaker's probes, two workers that both find out), so they don't
//! make ids. What was told last does: the next word's id is made of when the last one was posted, so that of all who find
//! out at once, one is heard.

use std::time::Duration;

use serde::Deserialize;
use usher_shared::{AccountName, Hold, HoldReason, Timestamp, config::WebhookEvent, store::Posted};

use crate::event::{AccountHalted, AccountResumed, Data, Event, id};

/// The last word about an account: as it was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWord {
    /// Its id.
    pub id: String,
    /// When it was posted, by the store's clock.
    pub posted_at: Timestamp,
    /// What it said.
    pub body: String,
    said: Said,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Halted { why: String },
    Resumed,
}

#[derive(Deserialize)]
struct Body {
    data: BodyData,
}

#[derive(Deserialize)]
struct BodyData {
    why: String,
}

impl LastWord {
    /// Reads what was posted; `None` where it is something else.
    #[must_use]
    pub fn read(posted: &Posted) -> Option<Self> {
        let said = if posted.message.kind == WebhookEvent::AccountHalted.as_str() {
            let Body { data } = serde_json::from_str(&posted.message.body).ok()?;
            Said::Halted { why: data.why }
        } else if posted.message.kind == WebhookEvent::AccountResumed.as_str() {
            Said::Resumed
        } else {
            return None;
        };
        Some(Self {
            id: posted.message.id.clone(),
            posted_at: posted.posted_at,
            body: posted.message.body.clone(),
            said,
        })
    }

    /// Whether it said that the account stands still.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        matches!(self.said, Said::Halted { .. })
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> WebhookEvent {
        if self.is_halted() { WebhookEvent::AccountHalted } else { WebhookEvent::AccountResumed }
    }
}

/// An account's hold, as it is seen.
#[derive(Clone, Copy, Debug)]
pub struct Holding<'a> {
    /// Whose.
    pub account: &'a AccountName,
    /// The hold in force; a day's quota is none: its runs are parked.
    pub hold: Option<&'a Hold>,
    /// Runs that wait for it.
    pub waiting_runs: u64,
    /// Since when none has been in force, as far as it was watched.
    pub free_since: Option<Timestamp>,
    /// How long none must be in force before the account goes on: between a breaker's probes there is none, either.
    pub quiet: Duration,
}

/// The word for why an account stands still, as `usher status --json` has it.
fn why(reason: HoldReason) -> Option<&'static str> {
    match reason {
        HoldReason::Credentials => Some("credentials"),
        HoldReason::Scope => Some("scope"),
        HoldReason::Breaker => Some("vendor_fails"),
        HoldReason::Disagreement => Some("disagreement"),
        HoldReason::Quota => None,
    }
}

/// Whether a hold is one that an account is halted by.
#[must_use]
pub fn halts(hold: &Hold) -> bool {
    why(hold.reason).is_some()
}

/// What is to be told next, where the account does not stand as it was told last.
#[must_use]
pub fn next_word(seen: &Holding<'_>, last: Option<&LastWord>, now: Timestamp) -> Option<Event> {
    let told = last.map(|word| &word.said);
    let (kind, at, data) = match (seen.hold, told) {
        (Some(hold), _) => {
            let by_itself = hold.until.is_some();
            let why = why(hold.reason)?;
            // Another reason is news where a person has to do something about it.
            let known = match told {
                Some(Said::Halted { why: known }) => known == why || by_itself,
                Some(Said::Resumed) | None => false,
            };
            if known {
                return None;
            }
            let data = AccountHalted {
                account: seen.account.clone(),
                why: why.to_owned(),
                message: hold.message.clone(),
                by_itself,
                waiting_runs: seen.waiting_runs,
                since: hold.since,
            };
            (WebhookEvent::AccountHalted, hold.since, Data::AccountHalted(data))
        }
        (None, Some(Said::Halted { why })) => {
            let free_since = seen.free_since.filter(|since| now.since(*since) >= seen.quiet)?;
            let halted_at = last.map_or(free_since, |word| word.posted_at);
            let data = AccountResumed { account: seen.account.clone(), why: why.clone(), halted_at };
            (WebhookEvent::AccountResumed, free_since, Data::AccountResumed(data))
        }
        (None, Some(Said::Resumed) | None) => return None,
    };
    // What was told long ago is forgotten: the day keeps a first word from being taken for an earlier first one.
    let after =
        last.map_or(now.as_millis().div_euclid(24 * 60 * 60 * 1000), |word| word.posted_at.as_millis());
    let id = id(kind, &[seen.account, &after]);
    Some(Event { id, kind, account: seen.account.clone(), at, data })
}

#[cfg(test)]
mod tests {
    use usher_shared::store::{DeliveryState, Posted};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_763_700_000_000 + seconds * 1_000)
    }

    fn hold(reason: HoldReason, since: i64, until: Option<i64>) -> Hold {
        Hold { reason, message: "what to do".into(), since: at(since), until: until.map(at) }
    }

    fn posted(event: &Event, seconds: i64) -> LastWord {
        let posted = Posted {
            message: event.to("ops").unwrap(),
            posted_at: at(seconds),
            state: DeliveryState::Waiting,
            tries: 0,
            tried_at: None,
            due: None,
            last: None,
        };
        LastWord::read(&posted).unwrap()
    }

    fn look(
        hold: Option<&Hold>,
        free_since: Option<i64>,
        last: Option<&LastWord>,
        now: i64,
    ) -> Option<Event> {
        let account = "zoom-main".parse().unwrap();
        let quiet = Duration::from_secs(20);
        let seen =
            Holding { account: &account, hold, waiting_runs: 3, free_since: free_since.map(at), quiet };
        next_word(&seen, last, at(now))
    }

    #[test]
    fn a_breaker_that_opens_after_each_probe_is_one_halt_and_one_resumption() {
        let first = look(Some(&hold(HoldReason::Breaker, 0, Some(1))), None, None, 0).unwrap();
        assert_eq!(first.kind, WebhookEvent::AccountHalted);
        let halted = posted(&first, 0);
        for probe in 1..30 {
            let again = hold(HoldReason::Breaker, probe * 15, Some(probe * 15 + 15));
            assert_eq!(look(Some(&again), None, Some(&halted), probe * 15), None);
            assert_eq!(
                look(None, Some(probe * 15 + 15), Some(&halted), probe * 15 + 25),
                None,
                "a probe is out"
            );
        }
        let resumed = look(None, Some(450), Some(&halted), 470).unwrap();
        assert_eq!((resumed.kind, resumed.at), (WebhookEvent::AccountResumed, at(450)));
        let resumed = posted(&resumed, 470);
        assert_eq!(look(None, Some(450), Some(&resumed), 9_000), None);
        let second = look(Some(&hold(HoldReason::Breaker, 9_000, Some(9_001))), None, Some(&resumed), 9_000);
        assert_ne!(second.unwrap().id, first.id, "another outage is another event");
    }

    #[test]
    fn workers_that_see_different_holds_of_one_trouble_tell_it_under_one_id() {
        let ids: Vec<String> = [(0, 1), (3, 5), (7, 11)]
            .map(|(since, until)| {
                look(Some(&hold(HoldReason::Breaker, since, Some(until))), None, None, since).unwrap().id
            })
            .into();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn what_asks_for_a_person_is_told_over_what_ends_by_itself_and_not_the_other_way_round() {
        let breaker = hold(HoldReason::Breaker, 0, Some(1));
        let (scope, credentials) = (hold(HoldReason::Scope, 5, None), hold(HoldReason::Credentials, 9, None));
        let halted = posted(&look(Some(&breaker), None, None, 0).unwrap(), 0);
        let by_scope = posted(&look(Some(&scope), None, Some(&halted), 5).unwrap(), 5);
        assert_eq!(look(Some(&breaker), None, Some(&by_scope), 6), None);
        assert!(look(Some(&credentials), None, Some(&by_scope), 9).is_some());
        assert_eq!(look(Some(&scope), None, Some(&by_scope), 9), None);
        let disagree = hold(HoldReason::Disagreement, 3, Some(9));
        assert_eq!(look(Some(&disagree), None, Some(&halted), 3), None);
    }

    #[test]
    fn a_used_up_day_and_an_account_that_was_never_halted_are_no_news() {
        assert_eq!(look(Some(&hold(HoldReason::Quota, 0, Some(9_000))), None, None, 0), None);
        assert_eq!(look(None, Some(0), None, 9_000), None);
        assert!(!halts(&hold(HoldReason::Quota, 0, Some(9_000))));
    }
}

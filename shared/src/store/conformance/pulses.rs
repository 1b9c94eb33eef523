//! What workers tell of themselves: the last word of each, and nothing of those that are gone.

use std::time::Duration;

use super::{
    Fixture,
    samples::{account, other_account, worker},
    steps::Steps,
};
use crate::{
    AccountName, DayUse, LanePulse, Pulse, QuotaWindow, Timestamp,
    store::{PULSE_LASTS, SharedStore},
};

fn pulse(of: AccountName, by: &str, at: Timestamp, in_flight: u64) -> Pulse {
    Pulse {
        active_users: None,
        policy: None,
        account: of,
        worker: worker(by),
        at,
        in_flight,
        lanes: Vec::new(),
    }
}

async fn names(store: &SharedStore) -> Vec<String> {
    let pulses = store.pulses(&account()).await.unwrap();
    pulses.iter().map(|pulse| pulse.worker.as_str().to_owned()).collect()
}

pub async fn a_pulse_is_seen_as_it_was_told(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(steps.store.pulses(&account()).await.unwrap(), []);
    let drawn = steps.store.draw_quota(&account(), "light", QuotaWindow::UtcDay, 5, 6_000).await.unwrap();
    let full = LanePulse {
        label: "light".into(),
        plan: Some(80.0),
        allowed: Some(78.25),
        started: 77.5,
        refusals: 3,
        paused_until: Some(steps.now().after(Duration::from_millis(1_500))),
        day: Some(DayUse { calls: 6_000, urgent_only: 120, drawn }),
    };
    let lanes = vec![full, LanePulse { label: "é | \"heavy\"\n".into(), ..LanePulse::default() }];
    let told = Pulse { lanes, ..pulse(account(), "host:1:a", steps.now(), 42) };
    steps.store.publish_pulse(&told).await.unwrap();
    let second = fixture.second_handle().await;
    assert_eq!(second.pulses(&account()).await.unwrap(), [told]);
}

pub async fn the_last_pulse_of_a_worker_replaces_the_one_before(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for in_flight in [1, 2, 3] {
        let (one, other) = (
            pulse(account(), "w1", steps.now(), in_flight),
            pulse(account(), "w2", steps.now(), 10 * in_flight),
        );
        steps.store.publish_pulse(&one).await.unwrap();
        steps.store.publish_pulse(&other).await.unwrap();
        assert_eq!(steps.store.pulses(&account()).await.unwrap(), [one, other]);
        steps.pass(Duration::from_secs(1)).await;
    }
}

pub async fn pulses_come_by_the_names_of_the_workers(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for name in ["host-b:7:x", "host-a:9:x", "host-c:1:x", "host-a:10:x"] {
        steps.store.publish_pulse(&pulse(account(), name, steps.now(), 0)).await.unwrap();
    }
    assert_eq!(names(&steps.store).await, ["host-a:10:x", "host-a:9:x", "host-b:7:x", "host-c:1:x"]);
}

pub async fn a_pulse_is_gone_when_it_is_not_told_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.store.publish_pulse(&pulse(account(), "w1", steps.now(), 0)).await.unwrap();
    steps.store.publish_pulse(&pulse(account(), "w2", steps.now(), 0)).await.unwrap();
    steps.pass(PULSE_LASTS - Duration::from_millis(1)).await;
    assert_eq!(names(&steps.store).await, ["w1", "w2"]);
    steps.store.publish_pulse(&pulse(account(), "w2", steps.now(), 0)).await.unwrap();
    steps.pass(Duration::from_millis(1)).await;
    assert_eq!(names(&steps.store).await, ["w2"]);
    steps.pass(PULSE_LASTS).await;
    assert!(names(&steps.store).await.is_empty());
    // Its time is that of the store, whatever clock the worker goes by.
    steps.store.publish_pulse(&pulse(account(), "w1", Timestamp::from_millis(0), 0)).await.unwrap();
    assert_eq!(names(&steps.store).await, ["w1"]);
}

pub async fn the_pulses_of_two_accounts_are_apart(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (one, other) = (pulse(account(), "w1", steps.now(), 1), pulse(other_account(), "w1", steps.now(), 2));
    steps.store.publish_pulse(&one).await.unwrap();
    steps.store.publish_pulse(&other).await.unwrap();
    assert_eq!(steps.store.pulses(&account()).await.unwrap(), [one]);
    assert_eq!(steps.store.pulses(&other_account()).await.unwrap(), [other]);
}

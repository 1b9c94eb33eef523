//! A receiver that is down for a while gets each event once it is back, each once.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    receiver::{directory, place, stop, submit, worker},
    support::{Kind, wait_until},
};

/// Seconds that the receiver is down; `USHER_TEST_OUTAGE_SECONDS` makes it longer, as `tests/webhook_outage` does.
fn outage() -> Duration {
    let seconds = std::env::var("USHER_TEST_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(8))
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn a_receiver_that_was_down_gets_each_event_once(kind: Kind) {
    let (place, mut receiver) = place(kind, directory(24), "");
    let worker = worker(&place);
    let users = place.ordinary();
    let before = submit(&place, &users[..1], &[]);
    receiver.one("run.finished");
    receiver.down();
    let down_at = Instant::now();
    let mut runs: BTreeSet<String> = users[1..21].chunks(1).map(|users| submit(&place, users, &[])).collect();
    // The whole time, not less: what is under test is what happens in it.
    while let Some(left) = outage().checked_sub(down_at.elapsed()) {
        std::thread::park_timeout(left);
    }
    let waiting = place.usher(&["webhook", "list", "--json"]).succeeded().json();
    assert_eq!((&waiting[0]["waiting"], &waiting[0]["given_up"]), (&20.into(), &0.into()), "{waiting}");
    receiver.up();
    let back_at = seconds_now();
    // The next try may be as far off as what a try waits by then, and that is no more than twice the outage.
    let patience = (outage() * 2).max(Duration::from_secs(60));
    let start = Instant::now();
    while receiver.taken("run.finished").len() < 21 {
        assert!(
            start.elapsed() < patience,
            "{} of 21 after {patience:?}",
            receiver.taken("run.finished").len()
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
    wait_until("the store to know", || {
        place.usher(&["webhook", "list", "--json"]).succeeded().json()[0]["waiting"] == 0
    });
    stop(worker);
    let got: Vec<_> = receiver.taken("run.finished").into_iter().skip(1).collect();
    let (first, last) = (got[0].at - back_at, got[got.len() - 1].at - back_at);
    println!(
        "{kind:?}: down for {:.0} s; the first of 20 messages came {first:.1} s after it was back, the last {:.1} s later",
        outage().as_secs_f64(),
        last - first
    );
    assert!(last - first < 15.0, "once one has arrived the rest follows");
    runs.insert(before);
    let told: BTreeSet<String> = receiver
        .taken("run.finished")
        .iter()
        .map(|got| got.data["run"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, runs);
    assert!(receiver.times().values().all(|times| *times == 1), "{:?}", receiver.times());
    receiver.assert_verified();
}

#[test]
fn a_receiver_that_was_down_gets_each_event_once_from_sqlite() {
    a_receiver_that_was_down_gets_each_event_once(Kind::Sqlite);
}

#[test]
fn a_receiver_that_was_down_gets_each_event_once_from_redis() {
    a_receiver_that_was_down_gets_each_event_once(Kind::Redis);
}

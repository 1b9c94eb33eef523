//! Several who deliver at once, and some who die.

use std::collections::BTreeSet;

use crate::{
    receiver::{BOTH, directory, place, stop, submit, worker},
    support::{Kind, wait_until},
};

#[test]
fn what_two_workers_and_a_server_deliver_arrives_once() {
    let (place, receiver) = place(Kind::Redis, directory(40), "");
    let workers = [worker(&place), worker(&place)];
    let serve = place.start(&["serve", "--listen", "127.0.0.1:0"]);
    let runs: BTreeSet<String> =
        place.ordinary().chunks(2).map(|users| submit(&place, users, &["--priority", "urgent"])).collect();
    assert_eq!(runs.len(), 20);
    wait_until("every run to be told", || receiver.taken("run.finished").len() >= 20);
    for process in [serve].into_iter().chain(workers) {
        stop(process);
    }
    let got = receiver.got();
    assert_eq!(got.len(), 20, "each was sent once: {got:?}");
    let told: BTreeSet<String> = got.iter().map(|got| got.data["run"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, runs);
    receiver.assert_verified();
}

#[test]
fn what_a_worker_was_killed_over_is_delivered_by_the_next_under_the_same_id() {
    for kind in BOTH {
        let (place, receiver) = place(kind, directory(3), "");
        // It has the message, and is killed before it hears the answer.
        receiver.answer("204 30");
        let first = worker(&place);
        let run = submit(&place, &place.ordinary(), &[]);
        wait_until("the message to be on its way", || receiver.got().len() == 1);
        first.kill();
        receiver.answer("204 0");
        let next = worker(&place);
        // What was taken is free again 40 s after it was.
        wait_until("the message to be sent again", || receiver.got().len() == 2);
        let got = receiver.got();
        assert_eq!((&got[0].id, &got[0].data), (&got[1].id, &got[1].data));
        assert_eq!(got[0].data["run"], run.as_str());
        receiver.assert_verified();
        stop(next);
    }
}

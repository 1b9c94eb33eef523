//! The network between workers and the vendor.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use usher_shared::Outcome;
use usher_simulator::zoom::{SimUser, Status};

use crate::{
    chronicle::What,
    fleet::{Fleet, Post},
    proxy::{Direction, Line, Proxy},
    scenario::{Ended, Scenario, short_calls, vendor},
    watch::Watch,
};

/// Deactivates so many users by two workers whose way to the vendor is struck again and again.
fn struck(name: &'static str, users: u32, lines: &[(Line, std::ops::Range<u64>)]) -> Ended {
    let mut scenario = Scenario::new(name, short_calls(vendor(users), ""));
    let proxy = Proxy::to(scenario.place.sim.addr());
    let posts = ["w1", "w2"].map(|name| Post::straight(&scenario.place, name).vendor_by(proxy.addr()));
    let fleet = Fleet::start_at(&scenario.place, &scenario.chronicle, posts.to_vec());
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    for (n, (line, ms)) in lines.iter().enumerate() {
        watch.wait_for_finished((n as u64 + 1) * u64::from(users) / (lines.len() as u64 + 1));
        let away = scenario.chronicle.begin(What::VendorAway, None);
        proxy.set(*line);
        scenario.pause(ms.clone());
        proxy.set(Line::Open);
        scenario.chronicle.end(&away);
    }
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), u64::from(users), "nobody fails for the network");
    assert_eq!((ended.findings.lost, ended.seen.forgotten), (0, 0), "the workers kept their leases");
    ended
}

#[test]
fn a_vendor_that_can_not_be_reached_fails_no_user() {
    struck(
        "a_vendor_that_can_not_be_reached_fails_no_user",
        400,
        &[(Line::Cut, 300..900), (Line::Cut, 1500..2500)],
    );
}

#[test]
fn lost_replies_of_the_vendor_are_our_own_doing() {
    let name = "lost_replies_of_the_vendor_are_our_own_doing";
    let ended = struck(name, 400, &[(Line::LosesReplies, 200..400), (Line::LosesReplies, 800..1200)]);
    assert!(ended.findings.calls > 400, "no reply was lost");
}

#[test]
fn calls_that_hang_end_by_their_timeout_and_are_tried_again() {
    let name = "calls_that_hang_end_by_their_timeout_and_are_tried_again";
    let both = Line::Silent(Direction::Both);
    let ended = struck(name, 400, &[(both, 300..600), (Line::Silent(Direction::Replies), 300..600)]);
    assert!(ended.findings.attempts > 400, "no call hung");
}

#[test]
fn a_slow_vendor_costs_time_alone() {
    let name = "a_slow_vendor_costs_time_alone";
    struck(
        name,
        400,
        &[(Line::Late(Duration::from_millis(400)), 1500..2000), (Line::Slow(20_000), 1500..2000)],
    );
}

/// What a captive portal, a broken gateway or another server altogether may answer, in turn.
const RUBBISH: [&str; 6] = [
    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 18\r\n\r\n<html>Sign in</htm",
    "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\nnot found",
    "HTTP/1.1 403 Forbidden\r\ncontent-length: 7\r\n\r\nblocked",
    "HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\n\u{1}\u{2}\u{3}",
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"code\":",
    "220 mail.corp.example ESMTP\r\n",
];

/// A server on a free port that answers every request with rubbish, for as long as the test program runs.
fn rubbish() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (answer, connection) in RUBBISH.iter().cycle().zip(listener.incoming()) {
            let Ok(mut connection) = connection else { return };
            // Whoever hangs up first is of no matter here.
            drop(connection.read(&mut [0; 4096]));
            drop(connection.write_all(answer.as_bytes()));
        }
    });
    addr
}

#[test]
fn a_vendor_whose_every_answer_is_rubbish_decides_about_nobody() {
    let name = "a_vendor_whose_every_answer_is_rubbish_decides_about_nobody";
    let mut scenario = Scenario::new(name, short_calls(vendor(400), ""));
    let proxy = Proxy::to(scenario.place.sim.addr());
    let posts = ["w1", "w2"].map(|name| Post::straight(&scenario.place, name).vendor_by(proxy.addr()));
    let fleet = Fleet::start_at(&scenario.place, &scenario.chronicle, posts.to_vec());
    let users = scenario.place.ordinary();
    let run = scenario.deactivate(&users);
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(100);
    let away = scenario.chronicle.begin(What::VendorAway, None);
    proxy.lead_to(rubbish());
    // Connections that are open would stay where they are.
    proxy.set(Line::Cut);
    scenario.pause(50..100);
    proxy.set(Line::Open);
    // What the vendor had answered before the cut may still be on its way into the store: nobody else ends.
    let is_inactive =
        |user: &&SimUser| scenario.place.sim.user(&user.email).unwrap().status == Status::Inactive;
    let changed = users.iter().filter(is_inactive).count() as u64;
    let before = watch.wait_until_it_stands_still(Duration::from_secs(1)).counters.finished;
    assert!(before <= changed, "{before} ended, and the vendor changed {changed}: rubbish decided");
    scenario.pause(2_000..3_000);
    assert_eq!(watch.status().unwrap().counters.finished, before, "rubbish decides about nobody");
    proxy.lead_to(scenario.place.sim.addr());
    proxy.set(Line::Cut);
    scenario.pause(50..100);
    proxy.set(Line::Open);
    scenario.chronicle.end(&away);
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 400, "the run goes on by itself");
    assert_eq!((ended.findings.lost, ended.seen.forgotten), (0, 0));
}

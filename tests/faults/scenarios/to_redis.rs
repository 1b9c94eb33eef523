//! The network between workers and Redis.

use std::time::Duration;

use usher_shared::{Outcome, RunId, Timestamp};

use crate::{
    chronicle::{What, now},
    fleet::{Fleet, Post},
    proxy::{Direction, Line, Proxy},
    scenario::{Ended, SHORT_LEASE_MS, Scenario, short_leases, vendor},
    support::{Kind, Layout, wait_until},
    watch::Watch,
};

/// Two workers, each behind a proxy of its own to Redis, at work on a run.
struct Network {
    scenario: Scenario,
    proxies: [Proxy; 2],
    fleet: Fleet,
    run: RunId,
    watch: Watch,
}

impl Network {
    fn of(name: &'static str, users: u32) -> Self {
        Self::laid_out(name, Layout::new(Kind::Redis, vendor(users)))
    }

    fn laid_out(name: &'static str, layout: Layout) -> Self {
        let scenario = Scenario::new(name, layout);
        let proxies = [Proxy::to(scenario.redis_addr()), Proxy::to(scenario.redis_addr())];
        let post =
            |n: usize| Post::straight(&scenario.place, &format!("w{}", n + 1)).store_by(proxies[n].addr());
        let fleet = Fleet::start_at(&scenario.place, &scenario.chronicle, vec![post(0), post(1)]);
        let run = scenario.deactivate(&scenario.place.ordinary());
        let watch = Watch::start(&scenario.place, &run);
        Self { scenario, proxies, fleet, run, watch }
    }

    /// The line of these workers is like this for so many milliseconds.
    fn strike(&mut self, workers: &[usize], line: Line, ms: std::ops::Range<u64>) {
        let away: Vec<_> = workers
            .iter()
            .map(|&worker| self.scenario.chronicle.begin(What::StoreAway, Some(self.fleet.name(worker))))
            .collect();
        workers.iter().for_each(|&worker| self.proxies[worker].set(line));
        self.scenario.pause(ms);
        workers.iter().for_each(|&worker| self.proxies[worker].set(Line::Open));
        away.iter().for_each(|away| self.scenario.chronicle.end(away));
    }

    /// Waits until a worker has finished something after this: it came back by itself.
    fn wait_until_back(&self, worker: usize) {
        let (name, since) = (self.fleet.name(worker), now());
        wait_until(&format!("{name} to be back"), || self.scenario.has_worked_since(&self.run, name, since));
    }

    fn end(self) -> Ended {
        let Self { scenario, fleet, run, watch, proxies } = self;
        let ended = scenario.to_its_end(&run, fleet, watch);
        let total = ended.seen.status.as_ref().unwrap().counters.total;
        assert_eq!(ended.findings.of(Outcome::Applied), total);
        assert_eq!(ended.seen.forgotten, 0);
        drop(proxies);
        ended
    }
}

#[test]
fn workers_cut_off_from_redis_connect_again_by_themselves() {
    let mut network = Network::of("workers_cut_off_from_redis_connect_again_by_themselves", 500);
    for n in 1..=3 {
        network.watch.wait_for_finished(n * 80);
        network.strike(&[0, 1], Line::Cut, 200..1200);
    }
    network.wait_until_back(0);
    network.fleet.wait_for_words(0, "trying again");
    let ended = network.end();
    assert_eq!(
        (ended.findings.calls_let_in(), ended.findings.lost),
        (500, 0),
        "a cut is shorter than a lease"
    );
}

#[test]
fn a_worker_whose_connections_are_half_open_leaves_them_for_new_ones() {
    let mut network = Network::of("a_worker_whose_connections_are_half_open_leaves_them_for_new_ones", 1400);
    network.watch.wait_for_finished(80);
    // A moment is enough: what has lost something stays silent for good.
    network.strike(&[0], Line::Silent(Direction::Both), 300..400);
    network.wait_until_back(0);
    network.watch.wait_for_finished(600);
    network.strike(&[0], Line::Silent(Direction::Replies), 300..400);
    network.wait_until_back(0);
    network.end();
}

#[test]
fn lost_replies_of_redis_count_nothing_twice() {
    let mut network = Network::of("lost_replies_of_redis_count_nothing_twice", 500);
    for n in 1..=8 {
        network.watch.wait_for_finished(n * 40);
        network.strike(&[0, 1], Line::LosesReplies, 20..150);
    }
    let ended = network.end();
    assert_eq!((ended.findings.calls_let_in(), ended.findings.lost), (500, 0));
}

#[test]
fn a_redis_far_away_or_on_a_slow_line_costs_time_alone() {
    let mut network = Network::of("a_redis_far_away_or_on_a_slow_line_costs_time_alone", 500);
    network.watch.wait_for_finished(60);
    network.strike(&[0, 1], Line::Late(Duration::from_millis(150)), 3000..4000);
    network.watch.wait_for_finished(150);
    network.strike(&[0, 1], Line::Slow(4000), 3000..4000);
    let ended = network.end();
    assert_eq!((ended.findings.calls_let_in(), ended.findings.lost), (500, 0));
}

#[test]
fn a_worker_cut_off_past_its_lease_is_taken_for_dead_and_works_on_when_it_is_back() {
    let name = "a_worker_cut_off_past_its_lease_is_taken_for_dead_and_works_on_when_it_is_back";
    let mut network = Network::laid_out(name, short_leases(vendor(1000)));
    network.watch.wait_for_finished(100);
    wait_until("that worker to work, too", || {
        network.scenario.has_worked_since(&network.run, "w1", Timestamp::from_millis(0))
    });
    network.strike(&[0], Line::Silent(Direction::Both), SHORT_LEASE_MS + 1500..SHORT_LEASE_MS + 2500);
    network.wait_until_back(0);
    let ended = network.end();
    // Its last outcomes could not be recorded; whoever did those jobs again found the users as wished, by our own doing.
    assert!(ended.findings.lost > 0, "it held nothing when it was cut off: nothing is proven");
}

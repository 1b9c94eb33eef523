//! A Redis that answers, but will not serve: out of memory, loading, failing over.

use usher_redis_server::{Durability, RedisServer};
use usher_shared::Outcome;

use crate::{
    chronicle::What,
    fleet::{Fleet, Post},
    proxy::Proxy,
    scenario::{Scenario, vendor},
    support::{Kind, Layout, wait_until},
    watch::Watch,
};

#[test]
fn work_waits_while_redis_is_out_of_memory_and_goes_on_by_itself() {
    let mut scenario = Scenario::new(
        "work_waits_while_redis_is_out_of_memory_and_goes_on_by_itself",
        Layout::new(Kind::Redis, vendor(400)),
    );
    let fleet = scenario.fleet(2);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(80);
    let away = scenario.chronicle.begin(What::StoreAway, None);
    scenario.ask_redis(&["CONFIG", "SET", "maxmemory", "1mb"]);
    fleet.wait_for_words(0, "raise it, and work goes on");
    scenario.pause(2000..3000);
    let status = watch.status().unwrap();
    assert_eq!(status.counters.leased, 0, "what was in flight is recorded all the same");
    let calls = scenario.place.sim.journal().len();
    scenario.pause(1000..1500);
    assert_eq!(scenario.place.sim.journal().len(), calls, "no call is made that could not be recorded");
    scenario.ask_redis(&["CONFIG", "SET", "maxmemory", "0"]);
    scenario.chronicle.end(&away);
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!((ended.findings.of(Outcome::Applied), ended.findings.calls_let_in()), (400, 400));
    assert_eq!(ended.findings.lost, 0);
}

#[test]
fn a_redis_that_is_loading_is_waited_for() {
    let mut scenario =
        Scenario::new("a_redis_that_is_loading_is_waited_for", Layout::new(Kind::Redis, vendor(400)));
    // Enough to be loaded for some seconds.
    let mut ballast = redis::pipe();
    for n in 0..20_000 {
        ballast.set(format!("ballast:{n}"), n).ignore();
    }
    let client = redis::Client::open(scenario.redis().url()).unwrap();
    ballast.exec(&mut client.get_connection().unwrap()).unwrap();
    let fleet = scenario.fleet(2);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    for n in 1..=2 {
        watch.wait_for_finished(n * 100);
        let away = scenario.chronicle.begin(What::StoreAway, None);
        scenario.redis().kill();
        // So many microseconds a command that it loads; it answers after every 1,024 of them.
        scenario.redis().start_again_with(&["--key-load-delay", "100"]);
        scenario.chronicle.end(&away);
    }
    fleet.wait_for_words(0, "loading its data");
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!((ended.findings.of(Outcome::Applied), ended.findings.calls_let_in()), (400, 400));
    assert_eq!((ended.seen.forgotten, ended.findings.lost), (0, 0));
}

#[test]
fn a_redis_that_became_read_only_is_waited_for() {
    let mut scenario =
        Scenario::new("a_redis_that_became_read_only_is_waited_for", Layout::new(Kind::Redis, vendor(400)));
    let fleet = scenario.fleet(2);
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(100);
    let away = scenario.chronicle.begin(What::StoreAway, None);
    // Nobody listens on port 1: a replica that never hears of its master.
    scenario.ask_redis(&["REPLICAOF", "127.0.0.1", "1"]);
    fleet.wait_for_words(0, "takes no writes");
    scenario.pause(3000..4000);
    scenario.ask_redis(&["REPLICAOF", "NO", "ONE"]);
    scenario.chronicle.end(&away);
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!((ended.findings.of(Outcome::Applied), ended.findings.calls_let_in()), (400, 400));
    assert_eq!(ended.findings.lost, 0);
}

#[test]
fn after_a_failover_every_connection_is_made_anew() {
    let mut scenario = Scenario::new(
        "after_a_failover_every_connection_is_made_anew",
        Layout::new(Kind::Redis, vendor(400)),
    );
    let replica = RedisServer::start(Durability::Always, &[]);
    let old = scenario.place.redis.as_ref().unwrap().port().to_string();
    Scenario::ask(&replica, &["REPLICAOF", "127.0.0.1", &old]);
    wait_until("the replica to be in step", || {
        scenario.ask_redis(&["INFO", "replication"]).contains("state=online")
    });
    let proxy = Proxy::to(scenario.redis_addr());
    let posts = ["w1", "w2"].map(|name| Post::straight(&scenario.place, name).store_by(proxy.addr()));
    let fleet = Fleet::start_at(&scenario.place, &scenario.chronicle, posts.to_vec());
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(100);
    watch.end();

    let away = scenario.chronicle.begin(What::StoreAway, None);
    let new = replica.port().to_string();
    // Connections that are open stay with the old one, which says READONLY from now on.
    proxy.lead_to(([127, 0, 0, 1], replica.port()).into());
    scenario.ask_redis(&["FAILOVER", "TO", "127.0.0.1", &new]);
    wait_until("the replica to be the master", || Scenario::ask(&replica, &["ROLE"]).starts_with("master"));
    scenario.chronicle.end(&away);
    // What the scenario itself asks, it asks the new one from here on; the old one goes with the end of the scenario.
    let _old = scenario.place.redis.replace(replica);
    let watch = Watch::start(&scenario.place, &run);
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!((ended.findings.of(Outcome::Applied), ended.findings.calls_let_in()), (400, 400));
    assert_eq!(ended.findings.lost, 0);
}

//! The scripts, raw and through their wrapper, on a real Redis of the test's own.

use proptest::{prelude::*, test_runner::TestRunner};
use usher_redis_server::{Durability, RedisServer};

use super::{
    super::{
        conformance,
        lane::{Lane, Reserved},
    },
    *,
};

const LIGHT: Label = Label("light");

/// A redis-server, and what the tests make with it.
struct Server(RedisServer);

impl Server {
    fn start() -> Self {
        Self(RedisServer::start(Durability::Memory, &[]))
    }

    fn client(&self) -> redis::Client {
        redis::Client::open(self.0.url()).unwrap()
    }

    fn limiter(&self, per_second: f64) -> Arc<RedisLimiter> {
        let rates = [Rate { label: LIGHT, per_second, per_day: None }];
        RedisLimiter::new(self.client(), &"zoom-main".parse().unwrap(), &rates)
    }
}

fn reserve(
    connection: &mut redis::Connection,
    n: usize,
    full: f64,
    accepted_in: Option<u64>,
    now: u64,
) -> scripts::Reserved {
    let reply: Vec<u64> =
        scripts::reserve("k", n, full, accepted_in, 0, &now.to_string()).invoke(connection).unwrap();
    scripts::reserved(&reply).unwrap()
}

fn refuse(
    connection: &mut redis::Connection,
    pause: RatePause,
    epoch: u64,
    accepted: bool,
    now: u64,
) -> scripts::Refused {
    let refusal = Refusal { epoch, pause, accepted, channel: "channel", label: "light", full: FULL };
    let reply: Vec<u64> = refusal.call("k", &now.to_string()).invoke(connection).unwrap();
    scripts::refused(&reply).unwrap()
}

const FULL: f64 = 78.56;

#[test]
fn starts_are_spaced_and_never_given_out_twice_or_beyond_the_horizon() {
    let server = Server::start();
    let mut connection = server.client().get_connection().unwrap();
    let (mut now, mut all) = (1_760_000_000_000_000_u64, vec![]);
    let period = 12_730;
    while all.len() < 500 {
        let reserved = reserve(&mut connection, 7, FULL, None, now);
        assert!(reserved.starts.iter().all(|start| *start <= 200_000));
        now += if reserved.starts.is_empty() { reserved.wait } else { 1_000 };
        all.extend(reserved.starts.iter().map(|start| now - 1_000 + start));
    }
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] >= period));
    assert!(
        all[499] - all[0] <= 499 * period,
        "places were lost while there was always somebody to take them"
    );
    let left: i64 = redis::cmd("PTTL").arg("k").query(&mut connection).unwrap();
    assert!((1..=60_300).contains(&left), "{left}");
}

#[test]
fn what_a_refusal_taught_outlives_an_idle_minute_and_is_gone_by_itself_later() {
    let server = Server::start();
    let mut connection = server.client().get_connection().unwrap();
    let now = 1_760_000_000_000_000_u64;
    let first = reserve(&mut connection, 1, FULL, None, now);
    let refused = refuse(&mut connection, RatePause::Unsaid, first.epoch, true, now);
    assert_eq!((refused.left, refused.rate), (50_000, 76_596));
    let left: i64 = redis::cmd("PTTL").arg("k").query(&mut connection).unwrap();
    assert!((899_000..=900_100).contains(&left), "{left}");
}

/// What may happen to a label, after so many microseconds.
#[derive(Clone, Debug)]
enum Happens {
    Reserve { n: usize },
    Accepted,
    Refused { stale: bool, said: Option<u64>, day: bool },
    Room(u32),
}

fn anything() -> impl Strategy<Value = (u64, Happens)> {
    let what = prop_oneof![
        4 => (1..20_usize).prop_map(|n| Happens::Reserve { n }),
        2 => Just(Happens::Accepted),
        2 => (any::<bool>(), prop::option::of(0..4_000_000_u64), prop::bool::weighted(0.1))
            .prop_map(|(stale, said, day)| Happens::Refused { stale, said, day }),
        1 => (0..40_u32).prop_map(Happens::Room),
    ];
    (prop_oneof![3 => 0..40_000_u64, 1 => 0..6_000_000_u64], what)
}

#[test]
fn the_scripts_and_the_rust_model_give_the_same_starts_pauses_and_rates() {
    let server = Server::start();
    let connection = std::cell::RefCell::new(server.client().get_connection().unwrap());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 120, failure_persistence: None, ..Default::default() });
    runner
        .run(&prop::collection::vec(anything(), 1..60), |steps| {
            let mut connection = connection.borrow_mut();
            let _: () = redis::cmd("DEL").arg("k").query(&mut *connection).unwrap();
            let mut now = 1_760_000_000_000_000_u64;
            let first = reserve(&mut connection, 1, FULL, None, now);
            let mut model = Lane::beginning(Some(FULL), first.epoch);
            prop_assert_eq!(model.reserve(now, 1), Reserved::Starts(vec![now], first.epoch));
            let mut accepted_in = None;
            for (later, happens) in steps {
                now += later;
                let epoch = model.pause().1;
                match happens {
                    Happens::Reserve { n } => {
                        let told = reserve(&mut connection, n, FULL, accepted_in, now);
                        prop_assert_eq!(told.epoch, epoch);
                        prop_assert_eq!(told.left, model.pause().0.saturating_sub(now));
                        let starts: Vec<u64> = told.starts.iter().map(|start| now + start).collect();
                        match model.reserve(now, n) {
                            Reserved::Starts(expected, _) => prop_assert_eq!(starts, expected),
                            Reserved::From(_) => prop_assert_eq!(starts, Vec::<u64>::new()),
                        }
                    }
                    Happens::Accepted => {
                        accepted_in = Some(epoch);
                        model.accepted(now, epoch);
                        // The fleet hears of it with the next question.
                        let told = reserve(&mut connection, 1, FULL, accepted_in, now);
                        let expected = match model.reserve(now, 1) {
                            Reserved::Starts(starts, _) => starts,
                            Reserved::From(_) => vec![],
                        };
                        prop_assert_eq!(
                            told.starts.iter().map(|start| now + start).collect::<Vec<_>>(),
                            expected
                        );
                    }
                    Happens::Refused { stale, said, day } => {
                        let pause = match said.map(Duration::from_micros) {
                            Some(wait) if day => RatePause::Day(wait),
                            Some(wait) => RatePause::Said(wait),
                            None => RatePause::Unsaid,
                        };
                        let of = if stale { epoch - 1 } else { epoch };
                        let told = refuse(&mut connection, pause, of, accepted_in == Some(epoch), now);
                        model.refused(now, of, pause);
                        let (until, epoch) = model.pause();
                        prop_assert_eq!((told.epoch, told.left), (epoch, until.saturating_sub(now)));
                    }
                    Happens::Room(room) => {
                        let rate: u64 = scripts::room("k", room, FULL, &now.to_string())
                            .invoke(&mut *connection)
                            .unwrap();
                        model.room(now, room);
                        prop_assert_eq!(rate, thousandths(model.rate(now).unwrap()));
                    }
                }
                let told = rate_told(&mut connection, now);
                prop_assert_eq!(told, thousandths(model.rate(now).unwrap()), "the rate after {:?}", happens);
            }
            Ok(())
        })
        .unwrap();
}

/// The rate that the fleet is told, without taking a start.
fn rate_told(connection: &mut redis::Connection, now: u64) -> u64 {
    // A room that is neither none nor much teaches nothing, and tells the rate.
    scripts::room("k", 2, FULL, &now.to_string()).invoke(connection).unwrap()
}

#[tokio::test]
async fn it_keeps_the_promises_of_every_limiter() {
    let server = Server::start();
    let account = std::sync::atomic::AtomicU32::new(0);
    let fresh = async || {
        // Another account is another limit: nobody has called under it yet.
        let name = format!("zoom-{}", account.fetch_add(1, Ordering::Relaxed)).parse().unwrap();
        RedisLimiter::new(server.client(), &name, &conformance::rates()) as Arc<dyn Limiter>
    };
    conformance::keeps_its_promises(fresh).await;
}

#[tokio::test]
async fn two_workers_share_one_pace() {
    let server = Server::start();
    let (one, two) = (server.limiter(200.0), server.limiter(200.0));
    let take = |limiter: Arc<RedisLimiter>| async move {
        let mut starts = vec![];
        while starts.len() < 40 {
            for mut permit in limiter.acquire(LIGHT, 4, Priority::Normal).await.unwrap() {
                permit.start().await.unwrap();
                starts.push(permit.starts_at);
            }
        }
        starts
    };
    let began = Instant::now();
    let (mut all, more) = tokio::join!(take(one), take(two));
    all.extend(more);
    assert!(all.len() >= 80);
    // 80 starts at 200/s with their room are 399 ms apart, first to last; no more than a third may be lost.
    let spent = began.elapsed();
    assert!(spent >= Duration::from_millis(380), "{spent:?}: faster than the limit");
    assert!(spent < Duration::from_millis(1_500), "{spent:?}");
}

#[tokio::test]
async fn a_refusal_seen_by_one_worker_withdraws_the_permits_of_the_other_without_its_asking() {
    let server = Server::start();
    let (one, two) = (server.limiter(1.0), server.limiter(1.0));
    let first = one.acquire(LIGHT, 1, Priority::Normal).await.unwrap().remove(0);
    let mut second = two.acquire(LIGHT, 1, Priority::Normal).await.unwrap().remove(0);
    assert!(second.is_live());
    // The other has to be listening before it can hear.
    let mut connection = server.client().get_connection().unwrap();
    for _ in 0..400 {
        let (_, listening): (String, u64) =
            redis::cmd("PUBSUB").arg("NUMSUB").arg(one.channel()).query(&mut connection).unwrap();
        if listening == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let waiting = tokio::spawn(async move {
        second.heard.changed().await.unwrap();
        second.start().await
    });
    one.throttled(&first, RatePause::Said(Duration::from_secs(30))).await;
    assert!(!first.is_live());
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap(),
        Err(super::super::Withdrawn)
    );
    assert!(two.status(LIGHT).paused_for.is_some_and(|left| left > Duration::from_secs(5)));
}

#[tokio::test]
async fn a_limiter_whose_redis_is_away_waits_and_goes_on_when_it_is_back() {
    let server = Server::start();
    let limiter = server.limiter(80.0);
    limiter.acquire(LIGHT, 1, Priority::Normal).await.unwrap();
    let mut connection = server.client().get_connection().unwrap();
    // Every connection cut: the next call on them fails, and the limiter comes back by itself.
    let _: u64 = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).query(&mut connection).unwrap();
    let again = limiter.acquire(LIGHT, 1, Priority::Normal);
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), again).await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn permits_live_after_a_redis_that_forgot_the_last_pause() {
    let server = Server::start();
    let limiter = server.limiter(80.0);
    let mut connection = server.client().get_connection().unwrap();
    let first = limiter.acquire(LIGHT, 1, Priority::Normal).await.unwrap().remove(0);
    let key = limiter.lane(LIGHT).key.clone();
    let before: Vec<String> = redis::cmd("HGETALL").arg(&key).query(&mut connection).unwrap();
    limiter.throttled(&first, RatePause::Unsaid).await;
    assert!(!first.is_live());
    // As after a crash that took what was not flushed.
    let _: () =
        redis::pipe().del(&key).cmd("HSET").arg(&key).arg(before).ignore().query(&mut connection).unwrap();
    let again = limiter.acquire(LIGHT, 1, Priority::Normal);
    let again = tokio::time::timeout(Duration::from_secs(20), again).await.unwrap().unwrap().remove(0);
    assert!(again.is_live(), "no call would ever start again");
    let other = server.limiter(80.0).acquire(LIGHT, 1, Priority::Normal).await.unwrap().remove(0);
    assert_eq!(other.epoch, again.epoch, "the others are told the same");
}

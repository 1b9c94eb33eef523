//! The scripts, raw and through their wrapper, on a real Redis of the test's own.

use std::process::{Child, Command, Stdio};

use proptest::{prelude::*, test_runner::TestRunner};
use tempfile::TempDir;

use super::{super::pause::Pauses, *};

const LIGHT: Label = Label("light");

/// A redis-server on a free port, gone with this value.
struct Server {
    process: Child,
    port: u16,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server must be installed");
        let server = Self { process, port, _dir: dir };
        for _ in 0..200 {
            if server.client().get_connection().is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("redis-server did not answer on port {port}");
    }

    fn client(&self) -> redis::Client {
        redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    fn limiter(&self, per_second: f64) -> Arc<RedisLimiter> {
        let rates = [Rate { label: LIGHT, per_second, per_day: None }];
        RedisLimiter::new(self.client(), &"zoom-main".parse().unwrap(), &rates)
    }
}

fn reserve(connection: &mut redis::Connection, n: u64, spacing: u64, now: u64) -> (u64, u64, Vec<u64>) {
    let reply: Vec<u64> =
        RESERVE.key("k").arg(n).arg(spacing).arg(200_000).arg(now).invoke(connection).unwrap();
    (reply[0], reply[1], reply[2..].to_vec())
}

fn refuse(
    connection: &mut redis::Connection,
    said: Option<u64>,
    epoch: u64,
    accepted: bool,
    now: u64,
) -> (u64, u64) {
    REFUSE
        .key("k")
        .arg(said.map(|wait| wait.to_string()).unwrap_or_default())
        .arg(epoch)
        .arg(u8::from(accepted))
        .arg(UNSAID_US)
        .arg(LONGEST_UNSAID_US)
        .arg(STREAK_ENDS_US)
        .arg("channel")
        .arg("light")
        .arg(now)
        .invoke(connection)
        .unwrap()
}

#[test]
fn starts_are_spaced_and_never_given_out_twice_or_beyond_the_horizon() {
    let server = Server::start();
    let mut connection = server.client().get_connection().unwrap();
    let (mut now, mut all) = (1_760_000_000_000_000_u64, vec![]);
    while all.len() < 500 {
        let (_, wait, starts) = reserve(&mut connection, 7, 12_659, now);
        assert!(starts.iter().all(|start| *start <= 200_000));
        all.extend(starts.iter().map(|start| now + start));
        now += if starts.is_empty() { wait } else { 1_000 };
    }
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] >= 12_659));
    assert!(
        all[499] - all[0] <= 499 * 12_659,
        "places were lost while there was always somebody to take them"
    );
    let left: i64 = redis::cmd("PTTL").arg("k").query(&mut connection).unwrap();
    assert!((1..=60_300).contains(&left), "{left}");
}

#[test]
fn the_script_keeps_the_same_pauses_as_the_rule_in_rust() {
    let server = Server::start();
    let connection = std::cell::RefCell::new(server.client().get_connection().unwrap());
    let step = (0..3_000_000_u64, any::<bool>(), prop::option::of(0..4_000_000_u64), any::<bool>());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() });
    runner
        .run(&prop::collection::vec(step, 1..30), |steps| {
            let mut connection = connection.borrow_mut();
            let _: () = redis::cmd("DEL").arg("k").query(&mut *connection).unwrap();
            let mut now = 1_760_000_000_000_000_u64;
            let (first, ..) = reserve(&mut connection, 1, 0, now);
            let mut rule = Pauses { until: 0, epoch: first, streak: 0 };
            for (later, stale, said, accepted) in steps {
                now += later;
                let epoch = if stale { rule.epoch - 1 } else { rule.epoch };
                let pause = said.map_or(RatePause::Unsaid, |us| RatePause::Said(Duration::from_micros(us)));
                let told = refuse(&mut connection, said, epoch, accepted, now);
                rule.refused(now, epoch, pause, accepted);
                prop_assert_eq!(told, (rule.epoch, rule.until.saturating_sub(now)));
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn two_workers_share_one_pace() {
    let server = Server::start();
    let (one, two) = (server.limiter(200.0), server.limiter(200.0));
    let take = |limiter: Arc<RedisLimiter>| async move {
        let mut starts = vec![];
        while starts.len() < 40 {
            for mut permit in limiter.acquire(LIGHT, 4, Priority::Normal).await {
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
    let first = one.acquire(LIGHT, 1, Priority::Normal).await.remove(0);
    let mut second = two.acquire(LIGHT, 1, Priority::Normal).await.remove(0);
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
    limiter.acquire(LIGHT, 1, Priority::Normal).await;
    let mut connection = server.client().get_connection().unwrap();
    // Every connection cut: the next call on them fails, and the limiter comes back by itself.
    let _: u64 = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).query(&mut connection).unwrap();
    let again = limiter.acquire(LIGHT, 1, Priority::Normal);
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), again).await.unwrap().len(), 1);
}

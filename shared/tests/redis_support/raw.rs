//! The scripts by name, past the store.

use redis::{FromRedisValue, ToRedisArgs, Value, aio::MultiplexedConnection};
use usher_shared::store::redis::script;

use usher_redis_server::RedisServer;

pub const START: i64 = 1_790_000_000_000;
pub const FS: char = '\u{1f}';

/// A connection that calls scripts by name on one account.
pub struct Raw {
    pub connection: MultiplexedConnection,
    pub prefix: String,
}

impl Raw {
    pub async fn of(server: &RedisServer, account: &str) -> Self {
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let load = redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(script::library()).take();
        let _: String = load.query_async(&mut connection).await.unwrap();
        Self { connection, prefix: format!("usher:{{{account}}}") }
    }

    pub async fn script(&mut self, name: &str, now: i64, args: &[impl ToRedisArgs]) -> Value {
        let function = script::ALL.iter().find(|script| script.name() == name).unwrap().function();
        let mut call = redis::cmd("FCALL");
        call.arg(function).arg(1).arg(&self.prefix).arg(now).arg(args);
        call.query_async(&mut self.connection).await.unwrap()
    }

    /// A script's reply as texts, numbers included, lists within lists left out.
    pub async fn call(&mut self, name: &str, now: i64, args: &[impl ToRedisArgs]) -> Vec<String> {
        let reply = self.script(name, now, args).await;
        let Value::Array(values) = reply else { panic!("{reply:?}") };
        values.into_iter().filter_map(|value| String::from_redis_value(value).ok()).collect()
    }

    pub async fn get<T: FromRedisValue>(&mut self, command: &str, key: &str, args: &[&str]) -> T {
        let key = format!("{}{key}", self.prefix);
        redis::cmd(command).arg(key).arg(args).query_async(&mut self.connection).await.unwrap()
    }

    /// A sealed run of `n` requests.
    pub async fn sealed(&mut self, run: &str, n: usize) {
        assert_eq!(self.call("open", START, &[run, "1", "{}"]).await, ["0"]);
        let requests: Vec<String> = (0..n).map(|i| format!("d{i}{FS}user{i}@corp.example")).collect();
        let mut args = vec![run, "0"];
        args.extend(requests.iter().map(String::as_str));
        assert_eq!(self.call("append", START, &args).await, ["0"]);
        let seal = [run, &n.to_string(), "{}", run, "digest", "1"];
        assert_eq!(self.call("seal", START, &seal).await, ["0", ""]);
    }

    /// A run of `n` jobs in the queue.
    pub async fn queued(&mut self, run: &str, n: usize) {
        self.sealed(run, n).await;
        let token = self.call("steward", START, &[run, "take", "w", "5000"]).await.remove(1);
        for seq in (0..n).map(|seq| seq.to_string()) {
            let change = format!("Cid{seq}{FS}{FS}={FS}a{FS}{FS}{FS}");
            assert_eq!(self.call("resolve", START, &[run, &token, &seq, &change]).await, ["0"]);
        }
        assert_eq!(self.call("steward", START, &[run, "finish", &token, "0"]).await, ["0"]);
        assert_eq!(self.call("admit", START, &[run]).await[0], "0");
        assert_eq!(self.call("promote", START, &[run, "500"]).await, ["0", "0"]);
    }

    /// Leases one job at a time, of one run; the leases as they stand in the store.
    pub async fn lease(&mut self, now: i64, leases: &str, ask: &str, answered: &str) -> Vec<String> {
        let args = ["w", leases, "1", "15000", "", "0", "session", ask, answered, "0", "10"];
        let reply = self.call("lease", now, &args).await;
        let [.., first, granted, _] = reply.as_slice() else { panic!("{reply:?}") };
        let first: u64 = first.parse().unwrap();
        let parts: Vec<&str> = granted.split('\u{1c}').collect();
        let member = |(lease, token): (&[&str], u64)| {
            let run = lease[0].split(FS).next().unwrap();
            format!("{run}{FS}{}{FS}{token}{FS}{now}{FS}w", lease[1])
        };
        parts.chunks_exact(4).zip(first..).map(member).collect()
    }

    /// A count of a run's packed state, by its place in lua/lib_runs.lua.
    pub async fn counter(&mut self, run: &str, field: &str) -> u64 {
        const COUNTS: [&str; 16] = [
            "adm",
            "total",
            "next",
            "appended",
            "cursor",
            "pending",
            "queued",
            "leased",
            "done",
            "dups",
            "unresolved",
            "attempts",
            "calls",
            "throttled",
            "retries",
            "lost",
        ];
        let state: Vec<u8> = self.get("HGET", &format!(":run:{run}"), &["state"]).await;
        let at = match COUNTS.iter().position(|known| *known == field) {
            Some(at) => 4 + 4 * at,
            None => 4 + 16 * 4 + 4 * 8 + 4 * "ayrnpdusxeck".find(&field[2..]).unwrap(),
        };
        u64::from(u32::from_le_bytes(state[at..at + 4].try_into().unwrap()))
    }

    /// A run's phase, and whether it is paused and cancelled.
    pub async fn steered(&mut self, run: &str) -> (char, bool, bool) {
        let state: Vec<u8> = self.get("HGET", &format!(":run:{run}"), &["state"]).await;
        (char::from(state[0]), state[2] == 1, state[3] == 1)
    }
}

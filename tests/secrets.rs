//! Everything is run at trace level with secrets that are known, and all that came of it is searched for them: output, reports,
//! the store's files, every key of Redis, its append-only file. In clear text, in base64, in an address.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine, prelude::*};
use support::{Ended, Kind, Workplace};
use usher_redis_server::{Durability, RedisServer};
use usher_simulator::zoom::{Population, Settings};

const PASSWORD: &str = "redis/passw0rd+of=ann";
const SECRET: &str = "sim-secret";

/// What must be nowhere, and all that is searched for it.
struct Search {
    secrets: Vec<(&'static str, String)>,
    searched: usize,
}

impl Search {
    fn new() -> Self {
        let mut search = Self { secrets: vec![], searched: 0 };
        search.secret("the client secret", SECRET);
        search.secret("the client secret in a header", "sim-client:sim-secret");
        search.secret("the Redis password", PASSWORD);
        // Every token of the simulator begins so.
        search.secrets.push(("a token", "eyJzdiI6IjAwMDAwMSJ9.".to_owned()));
        search
    }

    fn secret(&mut self, what: &'static str, secret: &str) {
        let percent: String = url_encoded(secret);
        let base64 = BASE64_STANDARD.encode(secret).trim_end_matches('=').to_owned();
        let url_safe = BASE64_URL_SAFE_NO_PAD.encode(secret);
        self.secrets.extend([secret.to_owned(), percent, base64, url_safe].map(|form| (what, form)));
    }

    #[track_caller]
    fn bytes(&mut self, place: &str, bytes: &[u8]) {
        for (what, form) in &self.secrets {
            let found = bytes.windows(form.len()).position(|part| part == form.as_bytes());
            if let Some(at) = found {
                let around = &bytes[at.saturating_sub(200)..(at + 100).min(bytes.len())];
                panic!("{what} is in {place}: ...{}...", String::from_utf8_lossy(around));
            }
        }
        self.searched += bytes.len();
    }

    #[track_caller]
    fn output(&mut self, ended: Ended) -> Ended {
        self.bytes("standard output", ended.out.as_bytes());
        self.bytes("standard error", ended.err.as_bytes());
        ended
    }

    /// Every file below, each of which is its owner's alone.
    fn files(&mut self, dir: &Path, private: bool) {
        for path in below(dir) {
            assert!(!private || support::is_private(&path), "{} is not private", path.display());
            self.bytes(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                (byte as char).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut dirs) = (vec![], vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Everything that can be typed, at trace level, on this store.
fn everything(place: &Workplace, search: &mut Search) {
    let usher = |words: &[&str]| {
        let mut command = place.command(words);
        command.env("USHER_LOG", "trace").env("RUST_LOG", "trace");
        Ended::run(command, words)
    };
    let users = place.ordinary();
    let half = users.len() / 2;
    let (file, rest) = (place.csv("half.csv", &users[..half]), place.csv("rest.csv", &users[half..]));
    let words =
        |verb, file: &'static str| [verb, file, "--account", "zoom-main", "--action", "deactivate", "--yes"];
    let _ = (&file, &rest);
    search.output(usher(&[&words("run", "half.csv")[..], &["--verify", "--json"]].concat())).succeeded();
    let run = search.output(usher(&words("submit", "rest.csv"))).succeeded().out.trim().to_owned();
    search.output(usher(&["status", &run])).succeeded();
    search.output(usher(&["pause", &run])).succeeded();
    search.output(usher(&["resume", &run])).succeeded();
    for format in ["table", "csv", "json"] {
        search
            .output(usher(&[
                "report",
                &run,
                "--format",
                format,
                "--output",
                &format!("data/report.{format}"),
            ]))
            .succeeded();
        search.output(usher(&["report", &run, "--format", format])).succeeded();
    }
    search.output(usher(&["status"])).succeeded();
    search.output(usher(&["runs", "--json"])).succeeded();
    search.output(usher(&["doctor"]));
    search.output(usher(&["doctor", "--json"]));
    search.output(usher(&["accounts", "check"])).succeeded();
    search.output(usher(&["verify", &run])).succeeded();

    // A worker, stopped while it works.
    let again = search.output(usher(&words("submit", "half.csv"))).succeeded().out.trim().to_owned();
    let mut worker = place.start(&["worker", "--log", "trace", "--log-format", "json"]);
    search.output(usher(&["status", &again, "--watch"]));
    worker.signal("TERM");
    search.output(worker.end());
}

#[test]
fn no_secret_is_anywhere_on_sqlite() {
    let place = place(Kind::Sqlite);
    let mut search = Search::new();
    everything(&place, &mut search);
    wrong_secrets_and_echoes(&place, &mut search);
    search.files(&place.path("data"), true);
    assert!(support::is_private(&place.path("data")));
    assert!(place.sim.report().tokens_issued > 0 && search.searched > 100_000, "{}", search.searched);
}

#[test]
fn no_secret_is_anywhere_on_redis() {
    let password = format!(">{PASSWORD}");
    let options = ["--user", "ann", "on", &password, "~usher:*", "&usher:*", "+@all", "-@dangerous", "+info"];
    let redis = RedisServer::start(Durability::Always, &options);
    let place = place(Kind::Sqlite);
    place.file("password", PASSWORD);
    place.configure(
        "store = \"sqlite:usher.db\"\n",
        &format!(
            "store = {:?}\nstore_password = {{ file = {:?} }}\n",
            redis.url_as("ann@"),
            place.path("password")
        ),
    );
    let mut search = Search::new();
    everything(&place, &mut search);
    wrong_secrets_and_echoes(&place, &mut search);

    let mut raw = ::redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let keys: Vec<String> = ::redis::cmd("KEYS").arg("*").query(&mut raw).unwrap();
    assert!(keys.iter().any(|key| key.contains("token")), "{keys:?}");
    for key in keys {
        let dumped: Vec<u8> = ::redis::cmd("DUMP").arg(&key).query(&mut raw).unwrap();
        search.bytes(&key, &dumped);
    }
    // The users of the server are in no file of its own.
    search.files(redis.dir(), false);
    search.files(&place.path("data"), true);
    // A password that is written into the address, wrong or right, is not repeated either.
    let at = redis.url_as(&format!("ann:{}@", url_encoded(PASSWORD)));
    search.output(place.usher(&["runs", "--store", &at, "--log", "trace"])).succeeded();
    search.output(place.usher(&["doctor", "--store", &at, "--log", "trace"]));
    search.output(place.usher(&["runs", "--store", &at.replace("ann", "bob"), "--log", "trace"])).code(4);
}

fn place(kind: Kind) -> Workplace {
    let directory = Population { users: 24, ..Population::default() };
    Workplace::new(kind, Settings { directory, ..Settings::default() })
}

/// A wrong secret; then a vendor that says everything back that it is told.
fn wrong_secrets_and_echoes(place: &Workplace, search: &mut Search) {
    place.file("secret", "wrong-secret-of-mine");
    search.secret("a wrong secret", "wrong-secret-of-mine");
    search.output(place.usher(&["accounts", "check", "--log", "trace"])).code(4);
    search.output(place.usher(&["doctor", "--log", "trace"])).code(4);
    place.file("secret", SECRET);

    // Its tokens come from the simulator, so that a call is made and its header echoed; then its token address echoes, too.
    let echo = Echo::start();
    let base = place.sim.base_url().to_string();
    place.configure(&format!("base_url = {base:?}"), &format!("base_url = \"{}/v2\"", echo.url));
    let echoed = search.output(place.usher(&["accounts", "check", "--log", "trace"])).code(4);
    assert!(echoed.out.contains("[secret]"), "the echo is shown, without the secret: {}", echoed.out);
    let users = place.ordinary();
    let file = place.csv("echoed.csv", &users[..2]);
    let words = [
        "run",
        file.to_str().unwrap(),
        "--account",
        "zoom-main",
        "--action",
        "activate",
        "--yes",
        "--log",
        "trace",
    ];
    search.output(place.usher(&words));
    let run = place.newest_run();
    search.output(place.usher(&["status", &run, "--json"]));
    search.output(place.usher(&["report", &run, "--format", "json"]));

    let token = place.sim.token_url().to_string();
    place.configure(&format!("token_url = {token:?}"), &format!("token_url = \"{}/oauth/token\"", echo.url));
    let echoed = search.output(place.usher(&["accounts", "check", "--log", "trace"])).code(4);
    assert!(echoed.out.contains("[secret]"), "{}", echoed.out);
    assert!(echo.heard.lock().unwrap().iter().any(|said| said.contains("Basic ")), "nothing was echoed");
}

/// A vendor that answers every request with 400 and the request itself in its message.
struct Echo {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&heard);
        // It ends with the test's process.
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| echo(stream, &kept)));
        Self { url, heard }
    }
}

fn echo(mut stream: TcpStream, heard: &Mutex<Vec<String>>) {
    let mut buffer = [0; 16 * 1024];
    let Ok(read) = stream.read(&mut buffer) else { return };
    let said = String::from_utf8_lossy(&buffer[..read]).into_owned();
    let authorization = said
        .lines()
        .find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("authorization")))
        .map(|(_, value)| value.to_owned())
        .unwrap_or_default();
    let body = serde_json::json!({
        "code": 300, "error": authorization, "reason": format!("echo {authorization}"),
        "message": format!("echo {authorization} {}", url_encoded(&authorization)),
    })
    .to_string();
    heard.lock().unwrap().push(said);
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A caller that has gone is no concern of the echo's.
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())));
}

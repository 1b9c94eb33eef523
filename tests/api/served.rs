//! What these tests have in common: a served usher, tokens, and a client.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use usher_shared::identity::PersonalToken;
use usher_simulator::zoom::{Population, Settings};

use crate::support::{Kind, PATIENCE, Workplace};

pub const BOTH: [Kind; 2] = [Kind::Sqlite, Kind::Redis];

pub fn directory(users: u32) -> Settings {
    Settings { directory: Population { users, ..Population::default() }, ..Settings::default() }
}

/// Tokens of one role each (`submit`, `operate`, `approve`, `read`), one of all roles (`all`), and one of all roles that is for
/// the account `zoom-other` alone (`other`).
#[derive(Clone)]
pub struct Tokens {
    pub submit: String,
    pub operate: String,
    pub approve: String,
    pub read: String,
    pub all: String,
    pub other: String,
}

impl Tokens {
    /// Makes them known in a workplace, whose second account is `zoom-other`.
    pub fn known_in(place: &Workplace) -> Self {
        let mut lines = String::new();
        let mut token = |name: &str, roles: &str, accounts: &str| {
            let token = PersonalToken::generate().unwrap();
            let key = token.key().unwrap();
            lines += &format!("[tokens.{name}]\nkey = \"{key}\"\nroles = [{roles}]\n{accounts}\n");
            token.reveal()
        };
        let every = "\"submit\", \"operate\", \"approve\", \"read\"";
        let tokens = Self {
            submit: token("submit", "\"submit\"", ""),
            operate: token("operate", "\"operate\"", ""),
            approve: token("approve", "\"approve\"", ""),
            read: token("read", "\"read\"", ""),
            all: token("all", every, ""),
            other: token("other", every, "accounts = [\"zoom-other\"]"),
        };
        let config = fs::read_to_string(place.path("usher.toml")).unwrap();
        let (_, account) = config.split_once("[accounts.zoom-main]").unwrap();
        let account = account.split("\n[").next().unwrap().replace("sim-account", "other-account");
        place.file("usher.toml", format!("{config}\n[accounts.zoom-other]{account}\n{lines}"));
        tokens
    }
}

/// A workplace, and tokens that are known in it.
pub fn place(kind: Kind, users: u32) -> (Workplace, Tokens) {
    let place = Workplace::new(kind, directory(users));
    let tokens = Tokens::known_in(&place);
    (place, tokens)
}

/// Adds lines to `[serve]`.
pub fn serve_lines(place: &Workplace, lines: &str) {
    let config = fs::read_to_string(place.path("usher.toml")).unwrap();
    place.file("usher.toml", format!("{config}\n[serve]\n{lines}\n"));
}

/// `usher serve`, until it is dropped.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
    pub base: String,
    pub client: reqwest::Client,
    log: Arc<Mutex<String>>,
    runtime: tokio::runtime::Runtime,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Served {
    /// Serves this workplace, with these words behind `serve`.
    pub fn start(place: &Workplace, words: &[&str]) -> Self {
        Self::start_with(place, words, |builder| builder)
    }

    /// The same, called by a client of one's own making.
    pub fn start_with(
        place: &Workplace,
        words: &[&str],
        client: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Self {
        let _other_was_first = rustls::crypto::ring::default_provider().install_default();
        let mut command = place.command(&[&["serve", "--listen", "127.0.0.1:0"], words].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, err) = (Arc::clone(&log), child.stderr.take().unwrap());
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("address=") {
                    // Nobody listens after the first.
                    let _ = tell.send(rest.split_whitespace().next().unwrap_or_default().to_owned());
                }
                *lines.lock().unwrap() += &(line + "\n");
            }
        });
        let base = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{}", log.lock().unwrap()));
        let address = base.split_once("://").unwrap().1.parse().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = client(reqwest::Client::builder().no_proxy().timeout(PATIENCE)).build().unwrap();
        Self { child, address, base, client, log, runtime }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    /// Waits for its end; returns its exit code and all that it logged.
    pub fn end(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "usher serve does not end:\n{}", self.log());
            thread::park_timeout(Duration::from_millis(20));
        };
        (status.code(), self.log())
    }

    /// A call as it is put together; `send` it.
    pub fn call(&self, method: &str, path: &str, token: Option<&str>) -> reqwest::RequestBuilder {
        let call = self.client.request(method.parse().unwrap(), format!("{}{path}", self.base));
        match token {
            Some(token) => call.bearer_auth(token),
            None => call,
        }
    }

    pub fn send(&self, call: reqwest::RequestBuilder) -> Answer {
        self.block_on(async {
            let answer = call.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Answer { status, headers, text: answer.text().await.unwrap() }
        })
    }

    pub fn get(&self, token: &str, path: &str) -> Answer {
        self.send(self.call("GET", path, Some(token)))
    }

    /// Posts JSON.
    pub fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.send(self.call("POST", path, Some(token)).json(body))
    }

    /// Posts rows of this type to `/v1/runs`, with this query.
    pub fn rows(&self, token: &str, content_type: &str, query: &str, rows: &str) -> Answer {
        let call = self.call("POST", &format!("/v1/runs?{query}"), Some(token));
        self.send(call.header("content-type", content_type).body(rows.to_owned()))
    }

    /// A connection on which this is said, and nothing more yet.
    pub fn say(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    /// Begins to post a CSV of this length: sends only what is given, once the server asked for it. By then the submission is
    /// under way.
    pub fn begin(&self, token: &str, more_headers: &str, length: usize, begins: &str) -> TcpStream {
        let mut stream = self.head(token, more_headers, length);
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(begins.as_bytes()).unwrap();
        stream
    }

    /// The head of such a post, whose body is sent once the server asks for it.
    pub fn head(&self, token: &str, more_headers: &str, length: usize) -> TcpStream {
        self.say(&format!(
            "POST /v1/runs?account=zoom-main&action=deactivate HTTP/1.1\r\nHost: usher\r\nContent-Type: text/csv\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n{more_headers}\r\n"
        ))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// All that comes on a connection until it is closed.
pub fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // Closed by the other side in whatever way.
    let _ = stream.read_to_string(&mut text);
    text
}

impl Answer {
    #[track_caller]
    pub fn status(self, expected: u16) -> Self {
        assert_eq!(self.status, expected, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A problem of this kind, whose detail says this.
    #[track_caller]
    pub fn problem(self, status: u16, word: &str, says: &str) -> Self {
        let answer = self.status(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let body = answer.json();
        assert_eq!(body["type"], format!("urn:usher:problem:{word}"), "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert!(body["detail"].as_str().unwrap().contains(says), "{body} does not say {says:?}");
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The run that was taken.
    #[track_caller]
    pub fn run(&self) -> String {
        self.json()["run"].as_str().unwrap_or_else(|| panic!("{}", self.text)).to_owned()
    }
}

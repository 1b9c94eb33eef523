//! `usher serve` and those who call it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::Value;
use usher_shared::identity::PersonalToken;
use usher_simulator::zoom::{Population, Settings};

use crate::support::{Kind, Layout, PATIENCE, Workplace};

/// A token, and the lines that make it known.
pub struct Token {
    pub text: String,
    lines: String,
}

impl Token {
    /// A token with these roles, for these accounts (`[]` in the end for all).
    pub fn new(name: &str, roles: &str, accounts: Option<&str>) -> Self {
        let token = PersonalToken::generate().unwrap();
        let key = token.key().unwrap();
        let accounts = accounts.map(|accounts| format!("accounts = [\"{accounts}\"]\n")).unwrap_or_default();
        let lines = format!("[tokens.{name}]\nkey = \"{key}\"\nroles = [{roles}]\n{accounts}");
        Self { text: token.reveal(), lines }
    }
}

/// A workplace of so many users whose configuration knows these tokens, with more lines behind them.
pub fn place(kind: Kind, users: u32, tokens: &[&Token], more: &str) -> Workplace {
    let directory = Population { users, ..Population::default() };
    placed(kind, Settings { directory, ..Settings::default() }, tokens, more)
}

/// The same beside a Zoom of these settings.
pub fn placed(kind: Kind, settings: Settings, tokens: &[&Token], more: &str) -> Workplace {
    let mut lines: String = tokens.iter().map(|token| token.lines.as_str()).collect();
    lines.push_str(more);
    Workplace::laid_out(Layout { account_lines: lines, ..Layout::new(kind, settings) })
}

/// A process that listens: killed by its own id when dropped.
pub struct Process {
    child: Child,
    /// Where it serves the API.
    pub api: Option<SocketAddr>,
    /// Where it serves metrics.
    pub metrics: Option<SocketAddr>,
}

/// Starts `usher` with these words, and waits until it says `until` in its log.
pub fn start(place: &Workplace, words: &[&str], until: &str) -> Process {
    let mut child = place.command(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let (mut api, mut metrics, mut said) = (None, None, String::new());
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "usher {words:?} ended:\n{said}");
        said.push_str(&line);
        let address = line.split("address=http://").nth(1).map(|rest| {
            let end = rest.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(rest.len());
            rest[..end].parse().unwrap()
        });
        if line.contains("metrics are served") {
            metrics = address;
        } else if address.is_some() {
            api = address;
        }
        if line.contains(until) {
            break;
        }
    }
    // Somebody has to read on, or the process would stand still once the pipe is full.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Process { child, api, metrics }
}

impl Process {
    pub fn serve(place: &Workplace) -> Self {
        start(
            place,
            &["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"],
            "serving until told to stop",
        )
    }

    pub fn worker(place: &Workplace) -> Self {
        start(
            place,
            &["worker", "--account", "zoom-main", "--metrics-listen", "127.0.0.1:0"],
            "working until told to stop",
        )
    }

    pub fn terminate(&mut self) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits for its end, and answers whether that was as wished.
    pub fn end(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// Begins a GET of the API.
    pub fn get(&self, path: &str, token: Option<&Token>, headers: &[(&str, &str)]) -> Answer {
        get(self.api.unwrap(), path, token, headers)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer whose body is still to be read.
pub struct Answer {
    pub status: u16,
    pub head: String,
    body: BufReader<TcpStream>,
}

/// Sends a GET. By HTTP/1.0: then the body is what follows until the connection ends, without chunks.
pub fn get(address: SocketAddr, path: &str, token: Option<&Token>, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut call = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n");
    if let Some(token) = token {
        call.push_str(&format!("Authorization: Bearer {}\r\n", token.text));
    }
    for (name, value) in headers {
        call.push_str(&format!("{name}: {value}\r\n"));
    }
    call.push_str("\r\n");
    stream.write_all(call.as_bytes()).unwrap();
    let mut body = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(body.read_line(&mut head).unwrap() > 0, "{path}: no answer but {head:?}");
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body }
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.head);
        self
    }

    /// The rest of the body.
    pub fn text(mut self) -> String {
        let mut text = String::new();
        self.body.read_to_string(&mut text).unwrap();
        text
    }

    /// The next event of a stream; `None` once it has ended. Comments are passed over.
    pub fn event(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.body.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end_matches(['\r', '\n']).split_once(": ") {
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                Some(_) => {}
                None if line.starts_with(':') => {}
                None if event.id.is_empty() => {}
                None => return Some(event),
            }
        }
    }

    /// The events up to the first one that is so, that one included.
    pub fn events_until(&mut self, so: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.event() {
            let last = so(&event);
            events.push(event);
            if last {
                return events;
            }
        }
        panic!("the stream ended after {events:#?}");
    }

    /// What must come within less time than a test waits otherwise.
    pub fn within(self, time: Duration) -> Self {
        self.body.get_ref().set_read_timeout(Some(time)).unwrap();
        self
    }
}

/// An event. The first one of a stream has no name and no data.
#[derive(Clone, Debug, Default)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: Value,
}

//! A vendor that means ill, or is none: it writes raw bytes, so that no HTTP library makes them better.

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "a part of test files, each of which uses some of it"
)]

use std::{
    collections::HashMap,
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::sleep,
};
use usher_shared::config::{SecretSource, Value, ZoomConfig, ZoomPlan};
use usher_worker::provider::{ProviderOptions, zoom::ZoomProvider};

/// What is done about a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Writes this and closes.
    Say(Vec<u8>),
    /// Writes this and waits for the next request on the same connection.
    Keep(Vec<u8>),
    /// Writes the first, then the second again and again until nobody reads.
    Pour(Vec<u8>, Vec<u8>),
    /// Writes the first, then a byte of the second now and then, again and again.
    Drip(Vec<u8>, &'static [u8]),
    /// Writes this and breaks the connection off (RST).
    Break(Vec<u8>),
    /// Says nothing and keeps the connection.
    Hang,
}

/// Between two bytes of a drip.
const DRIP: Duration = Duration::from_millis(10);

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    Token,
    Change,
    LookUp,
    List,
}

#[derive(Debug, Default)]
pub struct Seen {
    /// The heads of all requests, in order.
    pub heads: Mutex<Vec<String>>,
    /// Bytes that could be written before the client hung up.
    pub written: AtomicU64,
    /// Told when a client has closed a connection.
    pub closed: Notify,
}

/// The server, and an account that is configured for it.
pub struct Vendor {
    pub seen: Arc<Seen>,
    pub config: ZoomConfig,
    pub port: u16,
    task: JoinHandle<()>,
    _secret: NamedTempFile,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Vendor {
    /// Does the same about every question but that for a token, which it answers well.
    pub async fn of(act: Act) -> Self {
        let acts =
            [Question::Change, Question::LookUp, Question::List].map(|question| (question, act.clone()));
        Self::start(acts.into()).await
    }

    /// Does this about these questions, and answers that for a token well unless it is among them.
    pub async fn start(acts: HashMap<Question, Act>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, acts) = (Arc::new(Seen::default()), Arc::new(acts));
        let record = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acts, seen) = (Arc::clone(&acts), Arc::clone(&record));
                tokio::spawn(async move {
                    serve(stream, &acts, &seen).await;
                    seen.closed.notify_one();
                });
            }
        });
        let mut secret = NamedTempFile::new().unwrap();
        write!(secret, "s3cret").unwrap();
        let config = ZoomConfig {
            approval: None,
            caps: Default::default(),
            base_url: format!("http://127.0.0.1:{port}/v2").parse().unwrap(),
            token_url: format!("http://127.0.0.1:{port}/oauth/token").parse().unwrap(),
            account_id: Value::Plain("account".into()),
            client_id: Value::Plain("client".into()),
            client_secret: SecretSource::File(secret.path().to_owned()),
            plan: ZoomPlan::Pro,
            light: None,
            medium: None,
            protected: vec![],
        };
        Self { seen, config, port, task, _secret: secret }
    }

    /// The account's provider, whose calls take at most so long.
    pub fn provider(&self, call_timeout: Duration) -> ZoomProvider {
        let options = ProviderOptions { call_timeout, ..ProviderOptions::default() };
        ZoomProvider::new(&"zoom-main".parse().unwrap(), &self.config, options).unwrap()
    }

    pub fn written(&self) -> u64 {
        self.seen.written.load(Ordering::Relaxed)
    }

    /// The first lines of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        let heads = self.seen.heads.lock().unwrap();
        heads.iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect()
    }
}

const GOOD_TOKEN: &str = r#"{"access_token":"t0ken-value","token_type":"bearer","expires_in":3600,"scope":"user:read:admin user:write:admin"}"#;

/// A whole answer with this body.
pub fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

async fn serve(mut stream: TcpStream, acts: &HashMap<Question, Act>, seen: &Seen) {
    loop {
        let Some(head) = read_request(&mut stream).await else { return };
        let question = match head.split(' ').collect::<Vec<_>>()[..] {
            ["POST", ..] => Question::Token,
            ["PUT", ..] => Question::Change,
            ["GET", path, ..] if path.contains("/users/") => Question::LookUp,
            _ => Question::List,
        };
        seen.heads.lock().unwrap().push(head);
        let good = Act::Keep(answer("200 OK", "", GOOD_TOKEN.as_bytes()));
        let wrote = |bytes: &[u8]| seen.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        match acts.get(&question).unwrap_or(&good) {
            Act::Say(bytes) => {
                for part in bytes.chunks(64 * 1024) {
                    if stream.write_all(part).await.is_err() {
                        return;
                    }
                    wrote(part);
                }
                let _closed = stream.shutdown().await;
                return;
            }
            Act::Keep(bytes) => {
                if stream.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Act::Pour(head, more) => {
                let mut part = head;
                while stream.write_all(part).await.is_ok() {
                    wrote(part);
                    part = more;
                }
                return;
            }
            Act::Drip(head, more) => {
                if stream.write_all(head).await.is_err() {
                    return;
                }
                for byte in more.iter().cycle() {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    sleep(DRIP).await;
                }
            }
            Act::Break(bytes) => {
                let _written = stream.write_all(bytes).await;
                let _flushed = stream.flush().await;
                // So that what was written is read before the break is.
                sleep(DRIP).await;
                let _set = stream.set_zero_linger();
                return;
            }
            Act::Hang => {
                // Until the client hangs up.
                let _closed = stream.read(&mut [0]).await;
                return;
            }
        }
    }
}

/// The head of the next request, its body read and dropped; `None` where the client hung up.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break end + 4;
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&part[..read]),
            _ => return None,
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut left = length.unwrap_or(0_usize).saturating_sub(bytes.len() - end);
    while left > 0 {
        match stream.read(&mut [0; 4096]).await {
            Ok(read) if read > 0 => left = left.saturating_sub(read),
            _ => return None,
        }
    }
    Some(head)
}

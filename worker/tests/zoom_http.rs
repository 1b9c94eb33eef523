//! A vendor that misbehaves on the wire: bounded memory, bounded time, no redirect followed, a clear reply for each, and the
//! token goes nowhere else. The server here writes raw bytes, so that no HTTP library makes them better.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod resolve_support;

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use usher_shared::{
    Action, ResolvedUser, Status, UserState, Verdict,
    config::{AccountConfig, SecretSource, Value, ZoomConfig, ZoomPlan},
};
use usher_worker::provider::{
    Provider, ProviderError, ProviderOptions, Reply, SharedProvider, open, zoom::ZoomProvider,
};

/// What the server does with a request that is no call for a token.
#[derive(Clone)]
enum Act {
    /// Writes this and closes.
    Say(Vec<u8>),
    /// Writes this again and again until nobody reads.
    Pour(&'static [u8], Vec<u8>),
    /// Writes one byte of this at a time, for ever.
    Drip(&'static [u8]),
    /// Closes without a word.
    Close,
    /// Says nothing and keeps the connection.
    Hang,
}

struct Server {
    port: u16,
    /// The heads of all requests, in order.
    seen: Arc<Mutex<Vec<String>>>,
    /// Bytes that could be written before the client hung up.
    poured: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
    _secret: NamedTempFile,
    config: ZoomConfig,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(act: Act) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, poured) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (record, count) = (seen.clone(), poured.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, act.clone(), record.clone(), count.clone()));
            }
        });
        let mut secret = NamedTempFile::new().unwrap();
        write!(secret, "s3cret").unwrap();
        let config = ZoomConfig {
            approval: None,
            caps: Default::default(),
            base_url: format!("http://127.0.0.1:{port}/v2").parse().unwrap(),
            token_url: format!("http://127.0.0.1:{port}/oauth/token").parse().unwrap(),
            account_id: Value::Plain("acc&ount=1".into()),
            client_id: Value::Plain("client".into()),
            client_secret: SecretSource::File(secret.path().to_owned()),
            plan: ZoomPlan::Pro,
            light: None,
            medium: Some(7.5),
            protected: vec![],
        };
        Self { port, seen, poured, task, _secret: secret, config }
    }

    fn provider(&self, timeout: Duration) -> ZoomProvider {
        let options = ProviderOptions { call_timeout: timeout, ..ProviderOptions::default() };
        ZoomProvider::new(&resolve_support::account(), &self.config, options).unwrap()
    }
}

async fn serve(mut stream: TcpStream, act: Act, seen: Arc<Mutex<Vec<String>>>, poured: Arc<Mutex<usize>>) {
    loop {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut byte = [0; 1024];
            match stream.read(&mut byte).await {
                Ok(n) if n > 0 => head.extend_from_slice(&byte[..n]),
                _ => return,
            }
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let token_call = text.starts_with("POST /oauth/token");
        seen.lock().unwrap().push(text);
        if token_call {
            let body = r#"{"access_token":"t0ken-value","expires_in":3600,"scope":"user:read:admin","api_url":"https://elsewhere.example"}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        match act {
            Act::Say(bytes) => {
                let _written = stream.write_all(&bytes).await;
                let _closed = stream.shutdown().await;
            }
            Act::Pour(head, chunk) => {
                let _written = stream.write_all(head).await;
                while stream.write_all(&chunk).await.is_ok() {
                    *poured.lock().unwrap() += chunk.len();
                }
            }
            Act::Drip(bytes) => {
                for byte in bytes.iter().cycle() {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }
            Act::Close => {}
            Act::Hang => std::future::pending().await,
        }
        return;
    }
}

fn user() -> ResolvedUser {
    let before = UserState { status: Status::Active, license: None, role: None, groups: vec![] };
    ResolvedUser { id: "KDcu".into(), email: None, before }
}

async fn deactivate(provider: &ZoomProvider) -> Reply {
    provider.apply(Action::Deactivate, &[&user()]).await.remove(0)
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn answers_that_are_odd_on_the_wire_have_a_clear_verdict() {
    let say = |text: &str| Act::Say(text.as_bytes().to_vec());
    let body = b"{\"code\":1000,\"message\":\"\xff\xfe locked\"}";
    let mut invalid =
        format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    invalid.extend_from_slice(body);
    let cases: Vec<(Act, Verdict, bool, &str)> = vec![
        (say("HTTP/1.1 204 No Content\r\n\r\n"), Verdict::Applied, false, ""),
        (Act::Say(invalid), Verdict::Rejected, false, "1000"),
        (say("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n"), Verdict::Transient, true, "body_broken"),
        (
            say("HTTP/1.1 404 Not Found\r\ncontent-length: 50\r\n\r\n{\"code\":10"),
            Verdict::Transient,
            false,
            "body_broken",
        ),
        (
            say("HTTP/1.1 302 Found\r\nlocation: /v2/users/other/status\r\ncontent-length: 0\r\n\r\n"),
            Verdict::Transient,
            false,
            "redirect",
        ),
        (say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), Verdict::Applied, false, ""),
        (say("HTTP/1.1 777 Odd\r\ncontent-length: 0\r\n\r\n"), Verdict::Transient, true, "777"),
        (say("SSH-2.0-OpenSSH_9.9\r\n"), Verdict::Transient, true, "transport"),
        (Act::Close, Verdict::Transient, true, "transport"),
    ];
    for (number, (act, verdict, may_have_applied, code)) in cases.into_iter().enumerate() {
        let server = Server::start(act).await;
        let reply = deactivate(&server.provider(LONG)).await;
        assert_eq!(
            (reply.verdict, reply.may_have_applied, reply.code.as_deref().unwrap_or_default()),
            (verdict, may_have_applied, code),
            "case {number}: {reply:?}"
        );
        assert_eq!(
            server.seen.lock().unwrap().len(),
            2,
            "one call for a token, one for the user, none repeated"
        );
    }
}

#[tokio::test]
async fn a_body_without_an_end_is_cut_and_does_not_fill_the_memory() {
    let head = b"HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
    let server = Server::start(Act::Pour(head, chunk)).await;
    let reply = deactivate(&server.provider(LONG)).await;
    assert_eq!((reply.verdict, reply.code.as_deref()), (Verdict::Transient, Some("body_too_long")));

    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    let server = Server::start(Act::Pour(head, chunk)).await;
    let provider = server.provider(LONG);
    let reply = provider.list(&provider.listings()[0]).await.unwrap_err();
    assert_eq!((reply.verdict, reply.code.as_deref()), (Verdict::Transient, Some("body_too_long")));
    let poured = *server.poured.lock().unwrap();
    assert!(poured < 64 * 1024 * 1024, "{poured} bytes were taken, sockets' buffers included");
}

#[tokio::test]
async fn silence_and_drips_end_at_the_timeout() {
    for (act, code) in [(Act::Hang, "timeout"), (Act::Drip(b"HTTP/1.1 200 OK\r\nx: "), "timeout")] {
        let server = Server::start(act).await;
        let provider = server.provider(Duration::from_secs(2));
        provider.access().await.unwrap();
        let began = Instant::now();
        let reply = deactivate(&provider).await;
        assert!(began.elapsed() < LONG, "it ended by itself");
        assert_eq!(reply.verdict, Verdict::Transient, "{reply:?}");
        // A head without an end may be refused for its size before the time is over.
        let said = reply.code.as_deref();
        assert!(said == Some(code) || said == Some("transport"), "{reply:?}");
        assert!(reply.may_have_applied);
        let page = provider.list(&provider.listings()[0]).await.unwrap_err();
        assert!(!page.may_have_applied, "reading changes nobody");
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_applied() {
    let server = Server::start(Act::Close).await;
    let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let mut config = server.config.clone();
    config.base_url = format!("http://127.0.0.1:{free}/v2").parse().unwrap();
    let provider =
        ZoomProvider::new(&resolve_support::account(), &config, ProviderOptions::default()).unwrap();
    let reply = deactivate(&provider).await;
    assert_eq!(
        (reply.verdict, reply.code.as_deref(), reply.may_have_applied),
        (Verdict::Transient, Some("connect"), false)
    );
    assert!(reply.message.unwrap().contains("refused"));
    config.token_url = format!("http://127.0.0.1:{free}/oauth/token").parse().unwrap();
    let provider =
        ZoomProvider::new(&resolve_support::account(), &config, ProviderOptions::default()).unwrap();
    let reply = deactivate(&provider).await;
    assert_eq!((reply.verdict, reply.may_have_applied), (Verdict::Transient, false));
}

#[tokio::test]
async fn a_host_that_does_not_speak_tls_gets_nothing_over_https() {
    let server = Server::start(Act::Say(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())).await;
    let mut config = server.config.clone();
    config.base_url = format!("https://127.0.0.1:{}/v2", server.port).parse().unwrap();
    config.token_url = format!("https://127.0.0.1:{}/oauth/token", server.port).parse().unwrap();
    let options = ProviderOptions { call_timeout: Duration::from_secs(2), ..ProviderOptions::default() };
    let provider = ZoomProvider::new(&resolve_support::account(), &config, options).unwrap();
    let reply = deactivate(&provider).await;
    assert_eq!((reply.verdict, reply.may_have_applied), (Verdict::Transient, false), "{reply:?}");
    assert!(!server.seen.lock().unwrap().iter().any(|head| head.contains("HTTP/1.1")));
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_neither_the_call_nor_the_token() {
    let other = Server::start(Act::Say(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!(
            "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:{}/v2/users/a/status\r\ncontent-length: 0\r\n\r\n",
            other.port
        );
        let server = Server::start(Act::Say(to.into_bytes())).await;
        let reply = deactivate(&server.provider(LONG)).await;
        assert_eq!(
            (reply.verdict, reply.code.as_deref()),
            (Verdict::Transient, Some("redirect")),
            "{status}"
        );
    }
    assert!(other.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_request_is_what_zoom_documents_and_api_url_is_ignored() {
    let server = Server::start(Act::Say(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())).await;
    let account = AccountConfig::Zoom(server.config.clone());
    let provider: SharedProvider =
        open(&resolve_support::account(), &account, ProviderOptions::default()).unwrap();
    let odd = ResolvedUser { id: "a b+c?d#e%f".into(), ..user() };
    assert_eq!(provider.apply(Action::Activate, &[&odd]).await[0].verdict, Verdict::Applied);
    let seen = server.seen.lock().unwrap().clone();
    let (token, call) = (seen[0].to_lowercase(), seen[1].as_str());
    assert!(token.contains("authorization: basic y2xpzw50onmzy3jlda=="), "{token}");
    assert!(token.contains("content-type: application/x-www-form-urlencoded"), "{token}");
    assert!(call.starts_with("PUT /v2/users/a%20b%2Bc%3Fd%23e%25f/status HTTP/1.1\r\n"), "{call}");
    assert!(call.contains("authorization: Bearer t0ken-value\r\n"), "{call}");
    assert!(call.contains(concat!("user-agent: usher/", env!("CARGO_PKG_VERSION"))), "{call}");
    let rates: Vec<_> =
        provider.rates().iter().map(|rate| (rate.label.0, rate.per_second, rate.per_day)).collect();
    assert_eq!(rates, [("light", 30.0, None), ("medium", 7.5, None)]);
}

#[tokio::test]
async fn an_error_that_echoes_the_token_is_shown_without_it() {
    let body = r#"{"code":300,"message":"bad header Bearer t0ken-value or s3cret"}"#;
    let answer = format!("HTTP/1.1 400 X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let server = Server::start(Act::Say(answer.into_bytes())).await;
    let reply = deactivate(&server.provider(LONG)).await;
    assert_eq!(reply.message.as_deref(), Some("bad header Bearer [secret] or [secret]"));
}

#[tokio::test]
async fn what_is_configured_wrongly_is_refused_before_any_call() {
    let server = Server::start(Act::Close).await;
    let refused = |change: &dyn Fn(&mut ZoomConfig)| {
        let mut config = server.config.clone();
        change(&mut config);
        ZoomProvider::new(&resolve_support::account(), &config, ProviderOptions::default()).unwrap_err()
    };
    let error = refused(&|config| config.base_url = "http://api.zoom.us/v2".parse().unwrap());
    assert!(matches!(error, ProviderError::NotHttps { key: "base_url", .. }));
    let error = refused(&|config| config.token_url = "http://zoom.us/oauth/token".parse().unwrap());
    assert!(matches!(error, ProviderError::NotHttps { key: "token_url", .. }));
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        let error = refused(&|config| config.light = Some(rate));
        assert!(matches!(error, ProviderError::Value { key: "light", .. }), "{rate}");
    }
    let error = refused(&|config| config.client_secret = SecretSource::File("/nonexistent/secret".into()));
    assert!(
        error.to_string().contains("accounts.zoom-main.client_secret")
            && error.to_string().contains("/nonexistent")
    );
    assert!(server.seen.lock().unwrap().is_empty());
}

//! A TCP proxy whose line is cut, slowed or silenced while it runs.

use std::{
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

/// What becomes of what is said over the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// It passes.
    Open,
    /// It passes, each way so much later.
    Late(Duration),
    /// It passes at so many bytes a second, each way.
    Slow(u64),
    /// Connections are reset, and new ones too.
    Cut,
    /// Connections stay open and new ones are accepted, but what is said in this direction is gone. A connection that has lost
    /// something is silent for good, as one whose other end is no more.
    Silent(Direction),
    /// Requests pass; the connection is reset when the answer comes.
    LosesReplies,
    /// Nobody uses the proxy any more.
    Gone,
}

/// A direction over the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From whoever connected.
    Requests,
    /// To whoever connected.
    Replies,
    /// Either.
    Both,
}

impl Direction {
    fn has(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

/// A TCP proxy on a thread of its own. Dropping it resets its connections.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    line: watch::Sender<Line>,
    upstream: Arc<Mutex<SocketAddr>>,
    accepted: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy to this address, on a free port, its line open.
    pub fn to(upstream: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        let (line, lines) = watch::channel(Line::Open);
        let (upstream, accepted) = (Arc::new(Mutex::new(upstream)), Arc::new(AtomicU64::new(0)));
        let (to, count) = (Arc::clone(&upstream), Arc::clone(&accepted));
        let thread = std::thread::spawn(move || runtime.block_on(accept(listener, lines, to, count)));
        Self { addr, line, upstream, accepted, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on the line is like this.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// New connections lead here from now on; those that are open stay where they are.
    pub fn lead_to(&self, upstream: SocketAddr) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.send_replace(Line::Gone);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(
    listener: TcpListener,
    mut line: watch::Receiver<Line>,
    upstream: Arc<Mutex<SocketAddr>>,
    accepted: Arc<AtomicU64>,
) {
    let lines = line.clone();
    let gone = async move { line.wait_for(|line| *line == Line::Gone).await.map(drop) };
    let mut gone = std::pin::pin!(gone);
    loop {
        let client = tokio::select! {
            _ = &mut gone => return,
            client = listener.accept() => client,
        };
        if let Ok((client, _)) = client {
            accepted.fetch_add(1, Ordering::SeqCst);
            let to = *upstream.lock().unwrap_or_else(PoisonError::into_inner);
            tokio::spawn(carry(client, to, lines.clone()));
        }
    }
}

/// A piece on its way: when it is due, and what it is.
type Piece = (Instant, Vec<u8>);

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

async fn carry(mut client: TcpStream, to: SocketAddr, mut line: watch::Receiver<Line>) {
    let now = *line.borrow_and_update();
    if matches!(now, Line::Cut | Line::Gone) {
        return drop(client.set_zero_linger());
    }
    drop(client.set_nodelay(true));
    let mut server = None;
    // Whoever is silent in both directions has nobody behind.
    if now != Line::Silent(Direction::Both) {
        match TcpStream::connect(to).await {
            Ok(stream) => server = Some(stream),
            Err(_) => return drop(client.set_zero_linger()),
        }
    }
    let mut cut = line.clone();
    let cut = async move {
        // A sender that is gone is a proxy that is.
        drop(cut.wait_for(|line| matches!(line, Line::Cut | Line::Gone)).await);
        End::Reset
    };
    let end = match &mut server {
        Some(server) => {
            drop(server.set_nodelay(true));
            tokio::select! { end = exchange(&mut client, server, &line) => end, end = cut => end }
        }
        None => tokio::select! { end = swallow(&mut client) => end, end = cut => end },
    };
    if end == End::Reset {
        drop(client.set_zero_linger());
        drop(server.map(|server| server.set_zero_linger()));
    }
}

/// Reads, and says nothing.
async fn swallow(client: &mut TcpStream) -> End {
    let mut bytes = vec![0; 4096];
    while client.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    End::Closed
}

async fn exchange(client: &mut TcpStream, server: &mut TcpStream, line: &watch::Receiver<Line>) -> End {
    let (client_reads, client_writes) = client.split();
    let (server_reads, server_writes) = server.split();
    let (to_server, for_server) = mpsc::unbounded_channel();
    let (to_client, for_client) = mpsc::unbounded_channel();
    let silenced = AtomicBool::new(false);
    let requests = Reader { line, direction: Direction::Requests, silenced: &silenced };
    let replies = Reader { line, direction: Direction::Replies, silenced: &silenced };
    tokio::select! {
        end = requests.read(client_reads, to_server) => end,
        end = replies.read(server_reads, to_client) => end,
        end = write(client_writes, for_client, line) => end,
        end = write(server_writes, for_server, line) => end,
    }
}

/// Takes in what comes from one side.
struct Reader<'a> {
    line: &'a watch::Receiver<Line>,
    direction: Direction,
    silenced: &'a AtomicBool,
}

impl Reader<'_> {
    async fn read(self, mut from: impl AsyncRead + Unpin, onwards: mpsc::UnboundedSender<Piece>) -> End {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let read = match from.read(&mut bytes).await {
                Ok(0) => {
                    // What is still on its way arrives first: the writer ends the connection.
                    drop(onwards);
                    return pending().await;
                }
                Ok(read) => read,
                Err(_) => return End::Reset,
            };
            let mut due = Instant::now();
            match *self.line.borrow() {
                Line::Silent(direction) if direction.has(self.direction) => {
                    self.silenced.store(true, Ordering::SeqCst);
                    continue;
                }
                _ if self.silenced.load(Ordering::SeqCst) => continue,
                Line::LosesReplies if self.direction == Direction::Replies => return End::Reset,
                Line::Late(by) => due += by,
                _ => {}
            }
            if onwards.send((due, bytes[..read].to_vec())).is_err() {
                return End::Reset;
            }
        }
    }
}

/// Sends on what is due. Ends once nothing more can come.
async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut pieces: mpsc::UnboundedReceiver<Piece>,
    line: &watch::Receiver<Line>,
) -> End {
    const TICK: Duration = Duration::from_millis(50);
    while let Some((due, piece)) = pieces.recv().await {
        sleep_until(due).await;
        let mut left = &piece[..];
        while !left.is_empty() {
            let mut now = left.len();
            if let Line::Slow(bytes_a_second) = *line.borrow() {
                now = now.min(usize::try_from(bytes_a_second / 20).unwrap_or(now).max(1));
            }
            let (first, rest) = left.split_at(now);
            if to.write_all(first).await.is_err() {
                return End::Reset;
            }
            left = rest;
            if matches!(*line.borrow(), Line::Slow(_)) {
                sleep(TICK).await;
            }
        }
    }
    End::Closed
}

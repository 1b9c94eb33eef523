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

/// How the line is now, and how often it was cut: a cut that was over before a connection came to look resets it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    line: Line,
    cuts: u64,
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
    state: watch::Sender<State>,
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
        let (state, states) = watch::channel(State { line: Line::Open, cuts: 0 });
        let (upstream, accepted) = (Arc::new(Mutex::new(upstream)), Arc::new(AtomicU64::new(0)));
        let (to, count) = (Arc::clone(&upstream), Arc::clone(&accepted));
        let thread = std::thread::spawn(move || runtime.block_on(accept(listener, states, to, count)));
        Self { addr, state, upstream, accepted, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on the line is like this.
    pub fn set(&self, line: Line) {
        self.state.send_modify(|state| {
            state.line = line;
            state.cuts += u64::from(line == Line::Cut);
        });
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
        self.set(Line::Gone);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(
    listener: TcpListener,
    mut state: watch::Receiver<State>,
    upstream: Arc<Mutex<SocketAddr>>,
    accepted: Arc<AtomicU64>,
) {
    let states = state.clone();
    let gone = async move { state.wait_for(|state| state.line == Line::Gone).await.map(drop) };
    let mut gone = std::pin::pin!(gone);
    loop {
        let client = tokio::select! {
            _ = &mut gone => return,
            client = listener.accept() => client,
        };
        if let Ok((client, _)) = client {
            accepted.fetch_add(1, Ordering::SeqCst);
            // Before it is asked where it leads: whoever leads it elsewhere and then cuts it means this one, too.
            let cuts = states.borrow().cuts;
            let to = *upstream.lock().unwrap_or_else(PoisonError::into_inner);
            tokio::spawn(carry(client, to, states.clone(), cuts));
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

/// `cuts`: how often the line had been cut when the connection came.
async fn carry(mut client: TcpStream, to: SocketAddr, state: watch::Receiver<State>, cuts: u64) {
    let is_cut = move |state: &State| state.cuts != cuts || matches!(state.line, Line::Cut | Line::Gone);
    let now = *state.borrow();
    if is_cut(&now) {
        return drop(client.set_zero_linger());
    }
    drop(client.set_nodelay(true));
    let mut server = None;
    // Whoever is silent in both directions has nobody behind.
    if now.line != Line::Silent(Direction::Both) {
        match TcpStream::connect(to).await {
            Ok(stream) => server = Some(stream),
            Err(_) => return drop(client.set_zero_linger()),
        }
    }
    let mut cut = state.clone();
    let cut = async move {
        // A sender that is gone is a proxy that is.
        drop(cut.wait_for(is_cut).await);
        End::Reset
    };
    let end = match &mut server {
        Some(server) => {
            drop(server.set_nodelay(true));
            tokio::select! { end = exchange(&mut client, server, &state) => end, end = cut => end }
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

async fn exchange(client: &mut TcpStream, server: &mut TcpStream, state: &watch::Receiver<State>) -> End {
    let (client_reads, client_writes) = client.split();
    let (server_reads, server_writes) = server.split();
    let (to_server, for_server) = mpsc::unbounded_channel();
    let (to_client, for_client) = mpsc::unbounded_channel();
    let silenced = AtomicBool::new(false);
    let requests = Reader { state, direction: Direction::Requests, silenced: &silenced };
    let replies = Reader { state, direction: Direction::Replies, silenced: &silenced };
    tokio::select! {
        end = requests.read(client_reads, to_server) => end,
        end = replies.read(server_reads, to_client) => end,
        end = write(client_writes, for_client, state) => end,
        end = write(server_writes, for_server, state) => end,
    }
}

/// Takes in what comes from one side.
struct Reader<'a> {
    state: &'a watch::Receiver<State>,
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
            match self.state.borrow().line {
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
    state: &watch::Receiver<State>,
) -> End {
    const TICK: Duration = Duration::from_millis(50);
    while let Some((due, piece)) = pieces.recv().await {
        sleep_until(due).await;
        let mut left = &piece[..];
        while !left.is_empty() {
            let mut now = left.len();
            if let Line::Slow(bytes_a_second) = state.borrow().line {
                now = now.min(usize::try_from(bytes_a_second / 20).unwrap_or(now).max(1));
            }
            let (first, rest) = left.split_at(now);
            if to.write_all(first).await.is_err() {
                return End::Reset;
            }
            left = rest;
            if matches!(state.borrow().line, Line::Slow(_)) {
                sleep(TICK).await;
            }
        }
    }
    End::Closed
}

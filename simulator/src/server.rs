//! Serves a vendor over HTTP/1.1 and HTTP/2 without TLS on a loopback address: reads calls, lets planted
//! delays pass, closes connections and leaves calls unanswered where the vendor says so.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::clock::{Clock, Moment};
use crate::message::{Call, Reply};
use crate::wait::http_date;

/// Longer bodies are refused with 413.
const MAX_BODY: usize = 4 << 20;
/// How long open connections may take to end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// Paths that begin so are the simulator's own and meet none of the vendor's rules.
pub const CONTROL: &str = "/_control";

/// How long a call takes on the way to the vendor and there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Travel {
    /// Before it is counted.
    pub before: Duration,
    /// After it is counted.
    pub after: Duration,
}

/// How a call ends.
#[derive(Debug)]
pub enum End {
    /// With a reply.
    Reply(Reply),
    /// With its connection closed.
    Close,
    /// Not at all, until its caller hangs up; [`Vendor::left`] is then told the key.
    Hang(Option<u64>),
}

/// A vendor whose rules a server enforces. All calls come under one lock.
pub trait Vendor: Send + 'static {
    /// What is decided about a call when it arrives.
    type Ticket: Send + 'static;

    /// Answers a call of the simulator's own.
    fn control(&mut self, now: Moment, call: &Call) -> Reply;

    /// A call was read; how long does it take? Also what tells it from others with the same path.
    fn travel(&mut self, call: &Call) -> (Travel, u64);

    /// The call, read at `seen` and the `nth` of its path, reaches the vendor `now`, who counts it.
    fn arrive(&mut self, now: Moment, seen: Moment, call: &Call, nth: u64) -> Self::Ticket;

    /// The vendor carries the call out and answers it.
    fn finish(&mut self, now: Moment, call: &Call, ticket: Self::Ticket) -> End;

    /// The caller of a call that was never answered has hung up.
    fn left(&mut self, key: u64);
}

/// The lock, also after a panic of another holder: a simulator's state is only counts and users.
pub fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Binds `addr` (port 0: any free one) and serves `vendor` there, in tasks of the current runtime.
    pub async fn start<V: Vendor>(addr: SocketAddr, clock: Clock, vendor: Arc<Mutex<V>>) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, clock, vendor, stopped));
        Ok(Self { addr, stop, task })
    }

    /// The address that is served.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts no more, lets the calls in flight end for up to two seconds, then closes their connections.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.task).await {
            tracing::warn!(%error, "the simulator's server did not end well");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<V: Vendor>(
    listener: TcpListener,
    clock: Clock,
    vendor: Arc<Mutex<V>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, clock.clone(), vendor.clone(), stopped.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: they come back as connections end.
                    tracing::warn!(%error, "the simulator could not accept a connection");
                    sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN, all_ended).await.is_err() {
        tracing::debug!("connections were still open when the simulator ended");
    }
}

async fn serve<V: Vendor>(
    stream: TcpStream,
    clock: Clock,
    vendor: Arc<Mutex<V>>,
    mut stopped: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let hangs_end = stopped.clone();
    let service = service_fn(move |request| {
        let (clock, vendor, hangs_end) = (clock.clone(), vendor.clone(), hangs_end.clone());
        async move { respond(request, clock, vendor, hangs_end).await }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(error = %error, "a connection ended early");
    }
}

/// The service's error: hyper closes the connection without a reply.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Tells the vendor when the caller of an unanswered call is gone.
struct Hanging<V: Vendor> {
    vendor: Arc<Mutex<V>>,
    key: Option<u64>,
}

impl<V: Vendor> Hanging<V> {
    /// Takes over who is to be told. Before anything is awaited: a caller may be gone at any moment.
    fn of(end: &mut End, vendor: &Arc<Mutex<V>>) -> Option<Self> {
        let End::Hang(key) = end else { return None };
        Some(Self { vendor: vendor.clone(), key: key.take() })
    }
}

impl<V: Vendor> Drop for Hanging<V> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            lock(&self.vendor).left(key);
        }
    }
}

async fn respond<V: Vendor>(
    request: Request<Incoming>,
    clock: Clock,
    vendor: Arc<Mutex<V>>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(write(Reply::empty(413), clock.now())),
    };
    let call = Call {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    let seen = clock.now();
    if call.path == CONTROL || call.path.starts_with("/_control/") {
        let reply = lock(&vendor).control(seen, &call);
        return Ok(write(reply, clock.now()));
    }
    let (travel, nth) = lock(&vendor).travel(&call);
    let (end, hanging) = if travel == Travel::default() {
        let mut end = {
            let mut vendor = lock(&vendor);
            let now = clock.now();
            let ticket = vendor.arrive(now, seen, &call, nth);
            vendor.finish(now, &call, ticket)
        };
        let hanging = Hanging::of(&mut end, &vendor);
        (end, hanging)
    } else {
        // In a task of its own: a caller that hangs up does not stop what has reached the vendor.
        let task = tokio::spawn(journey(clock.clone(), vendor.clone(), seen, call, travel, nth));
        task.await.map_err(|_| Cut)?
    };
    match end {
        End::Reply(reply) => Ok(write(reply, clock.now())),
        End::Close => Err(Cut),
        End::Hang(_) => {
            let _until_the_caller_leaves = hanging;
            tokio::select! {
                never = pending::<Infallible>() => match never {},
                _ = stopped.wait_for(|stopped| *stopped) => Err(Cut),
            }
        }
    }
}

async fn journey<V: Vendor>(
    clock: Clock,
    vendor: Arc<Mutex<V>>,
    seen: Moment,
    call: Call,
    travel: Travel,
    nth: u64,
) -> (End, Option<Hanging<V>>) {
    pause(travel.before).await;
    let ticket = {
        let mut vendor = lock(&vendor);
        vendor.arrive(clock.now(), seen, &call, nth)
    };
    pause(travel.after).await;
    let mut end = lock(&vendor).finish(clock.now(), &call, ticket);
    // Where the caller has left meanwhile, nobody takes this answer, and its end tells the vendor.
    let hanging = Hanging::of(&mut end, &vendor);
    (end, hanging)
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn write(reply: Reply, now: Moment) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body.clone()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.header_values() {
        response.headers_mut().append(name, value);
    }
    // By the simulator's clock, not the machine's: callers hold dates in Retry-After against it.
    if let Ok(date) = HeaderValue::from_str(&http_date(now)) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

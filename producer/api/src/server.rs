//! Listens, with or without TLS, until it is told to stop.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, middleware::AddExtension};
use axum_server::{
    Handle,
    accept::Accept,
    service::SendService,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{Api, routes, tls};

/// How long a caller may take for the head of a call, and how long a connection may lie idle.
const HEAD: Duration = Duration::from_secs(30);

/// How long a caller may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What one connection may ask for at a time over HTTP/2.
const AT_A_TIME: u32 = 100;

/// How long submissions that were cut off may take to be forgotten.
const FORGET: Duration = Duration::from_secs(2);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    api: Api,
    tls: Option<RustlsConfig>,
}

/// Why a server does not listen. Never retried; the user does what the message says.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, not this machine's, or needs more rights.
    #[error("{address} can't be listened on: {source}; name another with --listen")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Certificate or key can't be used.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

impl Server {
    /// Listens at this address from now on; calls are taken once it is [run](Self::run). With TLS, where the configuration
    /// names a certificate and its key.
    pub fn bind(api: Api, address: SocketAddr) -> Result<Self, BindError> {
        let serve = &api.config.serve;
        let tls = match (&serve.tls_cert_file, &serve.tls_key_file) {
            (Some(certificate), Some(key)) => Some(tls::read(certificate, key)?),
            _ => None,
        };
        let refused = |source| BindError::Address { address, source };
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        Ok(Self { listener, api, tls })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Whether callers speak TLS to it.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes calls until it is told to stop ([`Parts::stop`](crate::Parts::stop)), then lets those under way finish, for as
    /// long as `drain_seconds` says.
    pub async fn run(self) -> std::io::Result<()> {
        let server = axum_server::from_tcp(self.listener)?;
        match self.tls {
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls).handshake_timeout(HANDSHAKE);
                serve(server.acceptor(acceptor), &self.api).await
            }
            None => serve(server, &self.api).await,
        }
    }
}

async fn serve<A>(mut server: axum_server::Server<SocketAddr, A>, api: &Api) -> std::io::Result<()>
where
    A: Accept<TcpStream, AddExtension<Router, ConnectInfo<SocketAddr>>> + Clone + Send + Sync + 'static,
    A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
    A::Service: SendService<Request<Incoming>> + Send,
    A::Future: Send,
{
    let http = server.http_builder();
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD)
        .keep_alive_timeout(HANDSHAKE)
        .max_concurrent_streams(AT_A_TIME);
    let (router, _) = routes(api);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    let mut stop = api.stop.clone();
    let drain = Duration::try_from_secs_f64(api.config.serve.drain_seconds).unwrap_or_default();
    let serving = server.handle(handle.clone()).serve(service);
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        // Nobody can tell it to stop any more, where the sender is gone.
        _ = stop.wait_for(|stop| *stop) => handle.graceful_shutdown(None),
    }
    let ended = match tokio::time::timeout(drain, &mut serving).await {
        Ok(ended) => ended,
        Err(_) => {
            // Counted before they are cut off.
            let left = handle.connection_count();
            tracing::warn!(left, "calls were cut off: drain_seconds is over");
            handle.shutdown();
            serving.await
        }
    };
    // What was cut off is taken out of the store again; where that takes longer, it expires there.
    if tokio::time::timeout(FORGET, api.limits().streams_ended()).await.is_err() {
        tracing::warn!("submissions that were cut off are left to expire in the store");
    }
    ended
}

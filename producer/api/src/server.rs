//! Listens, with or without TLS, until it is told to stop.

use std::net::{SocketAddr, TcpListener};

use crate::{Api, routes};

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    api: Api,
}

impl Server {
    /// Listens at this address from now on; calls are taken once it is [run](Self::run).
    pub fn bind(api: Api, address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, api })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes calls until it is told to stop, then lets those under way finish.
    pub async fn run(self) -> std::io::Result<()> {
        let (router, _) = routes(&self.api);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum_server::from_tcp(self.listener)?.serve(service).await
    }
}

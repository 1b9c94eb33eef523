//! Metrics for Prometheus: recorded from the start of `serve` and `worker`, and served at an address of their own where asked for.

use std::net::{SocketAddr, TcpListener};

use tokio::task::JoinHandle;
use usher_api::observe::{Exporter, Scrape, serve_openly};

use crate::exit::{Exit, Failure};

/// Counts from now on.
pub fn record() -> Result<Exporter, Failure> {
    Exporter::install(&[usher_worker::metrics::ALL, usher_webhooks::metrics::ALL])
        .map_err(|error| Failure::new(Exit::Internal, error))
}

/// Metrics that are served; no more once it is dropped.
#[derive(Debug)]
pub struct Served(JoinHandle<()>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves /metrics and /healthz at this address, in clear text, to whoever reaches it.
pub fn serve(address: SocketAddr, scrape: Scrape) -> Result<Served, Failure> {
    let refused = |error: std::io::Error| {
        Failure::new(
            Exit::Configuration,
            format!(
                "{address} can't be listened on for metrics: {error}; name another with --metrics-listen"
            ),
        )
    };
    let listener = TcpListener::bind(address).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let listening = listener.local_addr().map_err(refused)?;
    tracing::info!(address = %format_args!("http://{listening}/metrics"), "metrics are served");
    if !listening.ip().is_loopback() {
        tracing::warn!(
            "whoever reaches this address reads the metrics: names of accounts, and how much is done"
        );
    }
    Ok(Served(tokio::spawn(async move {
        if let Err(error) = serve_openly(listener, scrape).await {
            tracing::error!(%error, "metrics are served no more");
        }
    })))
}

//! `[serve]`: where the HTTP API listens, and what it allows a caller.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

/// `[serve]`: the HTTP API of `usher serve`. Everything has a default: without the section it listens on loopback.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeConfig {
    /// Where it listens. Default: `127.0.0.1:8787`. An address that other machines reach is refused without TLS unless
    /// `behind_proxy` is set.
    pub listen: SocketAddr,
    /// The certificate chain (a PEM file), for TLS; goes with `tls_key_file`.
    pub tls_cert_file: Option<PathBuf>,
    /// The key of `tls_cert_file` (a PEM file).
    pub tls_key_file: Option<PathBuf>,
    /// A proxy in front of it ends TLS, so that listening for other machines without TLS is meant. The address that it puts
    /// last into `X-Forwarded-For` is taken as the caller's; nobody else must reach the server.
    pub behind_proxy: bool,
    /// Where /metrics is served without a token, in clear text, beside the API's own: `127.0.0.1:9464`. Default: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Calls a second that one token may make, over a burst of twice as many. Default: 300. 1 to 100,000.
    pub calls_per_second: u32,
    /// Calls a minute with no token that is known here that one address may make. Default: 30. 1 to 100,000.
    pub unknown_calls_per_minute: u32,
    /// The longest body of a streamed submission (CSV, JSON Lines), in MiB. Default: 512. 1 to 65,536.
    pub max_stream_mib: u64,
    /// The longest body of any other call, in MiB. Default: 8. 1 to 256.
    pub max_body_mib: u64,
    /// Submissions that are streamed in at a time; one more is told to come again. Default: 16. 1 to 256.
    pub streams: usize,
    /// Followers of server-sent events at a time; one more is told to come again. Default: 1,000. 1 to 100,000.
    pub followers: usize,
    /// How long calls may go on once it was told to stop. Default: 20. 0 to 3,600.
    pub drain_seconds: f64,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
            tls_cert_file: None,
            tls_key_file: None,
            behind_proxy: false,
            metrics_listen: None,
            calls_per_second: 300,
            unknown_calls_per_minute: 30,
            max_stream_mib: 512,
            max_body_mib: 8,
            streams: 16,
            followers: 1_000,
            drain_seconds: 20.0,
        }
    }
}

impl ServeConfig {
    /// Whether callers speak TLS to it.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.tls_cert_file.is_some() && self.tls_key_file.is_some()
    }

    /// Why this address is not to be listened on: other machines reach it, and tokens would travel in clear text.
    #[must_use]
    pub fn refuses(&self, address: SocketAddr) -> Option<String> {
        let meant = address.ip().to_canonical().is_loopback() || self.is_encrypted() || self.behind_proxy;
        (!meant).then(|| {
            format!(
                "other machines reach {address}, and tokens would travel to it in clear text: set tls_cert_file and \
                 tls_key_file in [serve], or behind_proxy = true where a proxy in front of it ends TLS"
            )
        })
    }
}

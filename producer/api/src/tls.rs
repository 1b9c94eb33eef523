//! The server's certificate and its key, from their files.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

/// Why certificate and key can't be used. Never retried; the user does what the message says.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("serve.{key} {} can't be read: {source}", path.display())]
    Unreadable {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file without what it is for.
    #[error("serve.{key} {} has no {what} in PEM: name the file that begins with -----BEGIN", path.display())]
    Missing {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
    },
    /// The two do not go together, or are of a kind that is not taken.
    #[error(
        "serve.tls_cert_file {} and serve.tls_key_file {} can't be used: {source}",
        certificate.display(),
        key.display()
    )]
    Refused {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// Reads the two; HTTP/2 and HTTP/1.1 are offered, over TLS 1.3 and 1.2.
pub fn read(certificate: &Path, key: &Path) -> Result<RustlsConfig, TlsError> {
    let (of_certificate, of_key) = ("tls_cert_file", "tls_key_file");
    let missing = |key, path: &Path, what| TlsError::Missing { key, path: path.to_owned(), what };
    let text = contents(of_certificate, certificate)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| missing(of_certificate, certificate, "certificate"))?;
    let secret = PrivateKeyDer::from_pem_slice(&contents(of_key, key)?)
        .map_err(|_| missing(of_key, key, "private key"))?;
    let refused =
        |source| TlsError::Refused { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(refused)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

fn contents(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { key, path: path.to_owned(), source })
}

//! Certificates of a test's own: an authority, and what it signs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority, a server's certificate for `127.0.0.1` and `localhost`, and a client's: files in PEM.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Makes new ones: an authority that nobody else knows.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(vec![]).unwrap();
        // A certificate whose subject is its issuer's passes for one that signed itself.
        authority.distinguished_name.push(DnType::CommonName, "an authority of a test's own");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        for (name, hosts) in [
            ("server", vec!["127.0.0.1".to_owned(), "localhost".to_owned()]),
            ("client", vec!["usher".to_owned()]),
        ] {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(hosts).unwrap().signed_by(&key, &authority).unwrap();
            fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { dir }
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The server's certificate and its key.
    #[must_use]
    pub fn server(&self) -> (PathBuf, PathBuf) {
        (self.path("server.pem"), self.path("server.key"))
    }

    /// A client's certificate and its key.
    #[must_use]
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.path("client.pem"), self.path("client.key"))
    }

    /// The words of a redis-server's command line that make it use them.
    pub(crate) fn options(&self) -> Vec<String> {
        let of = |option: &str, name: &str| [option.to_owned(), self.path(name).display().to_string()];
        [
            of("--tls-cert-file", "server.pem"),
            of("--tls-key-file", "server.key"),
            of("--tls-ca-cert-file", "ca.pem"),
        ]
        .concat()
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.dir.path(), name)
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

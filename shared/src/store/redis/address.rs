//! The address of a Redis, and how it is shown: never with its password.

use std::{fs, path::Path, sync::Once};

use redis::{Client, ClientTlsConfig, IntoConnectionInfo, RedisError, TlsCertificates};

use crate::{
    config::{RedisAddress, RedisTls},
    store::StoreError,
};

/// The address with its password masked, whether or not it can be read as an address.
pub(super) fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority_end = rest.rfind('@');
    let shown = match authority_end {
        Some(at) => {
            let user = rest[..at].split_once(':').map(|(user, _)| user);
            match user {
                Some(user) => format!("{user}:***{}", &rest[at..]),
                None => rest.to_owned(),
            }
        }
        None => rest.to_owned(),
    };
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
}

/// A client for the address: `redis://` or, over TLS, `rediss://`, with user, password and database number. Reads the
/// files that its TLS needs; connects to nothing yet.
///
/// # Errors
/// [`StoreError::Address`] where the address or one of those files can't be used.
pub fn client(address: &RedisAddress) -> Result<Client, StoreError> {
    let url = address.expose();
    let refused = |problem: String| StoreError::Address { address: masked(url), problem };
    if !(url.starts_with("redis://") || url.starts_with("rediss://")) {
        return Err(refused("it begins with neither redis:// nor rediss://".into()));
    }
    if url.contains('#') {
        // The redis crate reads `rediss://...#insecure` as leave not to verify the server's certificate.
        return Err(refused("it has a fragment (#); write a # in a password as %23".into()));
    }
    // The crate's message may repeat parts of the address, so it is not passed on.
    let info = url.into_connection_info().map_err(|_| {
        refused("it reads as no address; write redis://user:password@host:6379/0 with special characters percent-encoded".into())
    })?;
    if !address.is_tls() {
        return Client::open(info).map_err(|_| refused("it can't be opened".into()));
    }
    install_tls();
    let certificates = certificates(address.tls()).map_err(&refused)?;
    Client::build_with_tls(info, certificates)
        .map_err(|error| refused(format!("{}: {error}", files(address.tls()))))
}

fn certificates(tls: &RedisTls) -> Result<TlsCertificates, String> {
    let read = |key: &str, path: &Path| {
        fs::read(path).map_err(|error| format!("{key} {} can't be read: {error}", path.display()))
    };
    let root_cert = tls.ca_file.as_deref().map(|path| read("store_ca_file", path)).transpose()?;
    if let (Some(pem), Some(path)) = (&root_cert, &tls.ca_file)
        && !pem.windows(PEM_CERTIFICATE.len()).any(|part| part == PEM_CERTIFICATE)
    {
        return Err(format!("store_ca_file {} holds no certificate in PEM", path.display()));
    }
    let client_tls = match &tls.client_files {
        Some((cert, key)) => Some(ClientTlsConfig {
            client_cert: read("store_client_cert_file", cert)?,
            client_key: read("store_client_key_file", key)?,
        }),
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn files(tls: &RedisTls) -> String {
    match (&tls.ca_file, &tls.client_files) {
        (Some(ca), None) => format!("store_ca_file {}", ca.display()),
        (_, Some((cert, key))) => {
            format!("store_client_cert_file {} and store_client_key_file {}", cert.display(), key.display())
        }
        (None, None) => "the system's certificates".into(),
    }
}

/// rustls asks for one provider of cryptography a process; whoever is first installs it.
fn install_tls() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that another part of the process has installed one already: just as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Why no connection comes about, where it is a matter of the address rather than of a server that is down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misconnected {
    /// For certain: what is wrong, and what to change.
    Address(String),
    /// It looks like it, but may pass by itself: what to look at.
    Perhaps(&'static str),
}

/// Reads it from what rustls and the server say.
pub(super) fn misconnected(address: &RedisAddress, error: &RedisError) -> Option<Misconnected> {
    let said = error.to_string();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if !address.is_tls() {
        // What a TLS port does with a plain greeting; so does a server that is just going down.
        let hung_up = has(&["end of file", "reset by peer", "roken pipe", "unexpectedly terminated"]);
        return hung_up.then_some(Misconnected::Perhaps(
            "the server hung up without an answer: if that port speaks TLS, write rediss:// for redis://",
        ));
    }
    if error.is_timeout() || said.contains("timed out") {
        // A plain Redis takes the greeting for the beginning of a command, and waits for its end.
        return Some(Misconnected::Perhaps(
            "no TLS answer came in time: if that port speaks the plain protocol, name the server's tls-port, or write redis://",
        ));
    }
    let authority = || match &address.tls().ca_file {
        Some(path) => format!("the one in store_ca_file ({})", path.display()),
        None => "those that this machine trusts; name its authority's file with store_ca_file".to_owned(),
    };
    let problem = if has(&["UnknownIssuer", "BadSignature"]) {
        format!("the server's certificate is signed by another authority than {}", authority())
    } else if has(&["NotValidForName", "not valid for name"]) {
        "the server's certificate is for another name; write the address with a name that stands in it".into()
    } else if has(&["Expired", "certificate expired", "NotValidYet", "not valid yet"]) {
        "the server's certificate has expired or is not valid yet; renew it, or set this machine's clock"
            .into()
    } else if has(&["CertificateRequired"]) {
        "the server asks for our certificate: set store_client_cert_file and store_client_key_file".into()
    } else if has(&["UnknownCA", "BadCertificate", "CertificateUnknown", "DecryptError"]) {
        "the server does not accept the certificate in store_client_cert_file; have its authority sign one"
            .into()
    } else if has(&["InvalidContentType"]) {
        "nothing speaks TLS on that port; name the server's tls-port, or write redis:// for a plain port"
            .into()
    } else if has(&["invalid peer certificate"]) {
        format!("the server's certificate can't be verified: {said}")
    } else {
        return None;
    };
    Some(Misconnected::Address(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let cases = [
            ("redis://h:6379/1", "redis://h:6379/1"),
            ("redis://:s3cret@h:6379", "redis://:***@h:6379"),
            ("rediss://ann:s3cret@h/2", "rediss://ann:***@h/2"),
            ("rediss://ann:s3:c@ret@h/2", "rediss://ann:***@h/2"),
            ("ann:s3cret@h", "ann:***@h"),
        ];
        for (url, shown) in cases {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for url in [
            "http://a:s3cret@h",
            "redis://a:s3cret@h:port",
            "rediss://a:s3cret@h/0#insecure",
            "redis://a:s3cret@h/zero",
        ] {
            let shown = match url.parse() {
                Ok(address) => {
                    let error = client(&address).unwrap_err();
                    assert!(matches!(error, StoreError::Address { .. }), "{error:?}");
                    format!("{error} {error:?}")
                }
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        assert!(client(&"redis://ann:s3cret@127.0.0.1:1/3".parse().unwrap()).is_ok());
    }
}

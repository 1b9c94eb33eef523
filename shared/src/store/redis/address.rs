//! The address of a Redis, and how it is shown: never with its password.

use redis::{Client, IntoConnectionInfo};

use crate::store::StoreError;

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

/// A client for the address: `redis://` or, over TLS, `rediss://`, with user, password and database number.
pub(super) fn client(url: &str) -> Result<Client, StoreError> {
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
    Client::open(info).map_err(|_| refused("it can't be opened".into()))
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
            let error = client(url).unwrap_err();
            assert!(matches!(error, StoreError::Address { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
        assert!(client("redis://ann:s3cret@127.0.0.1:1/3").is_ok());
    }
}

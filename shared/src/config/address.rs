//! Where the store is: `sqlite:PATH`, `redis://...` or `rediss://...`.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

/// Where the store is: `sqlite:PATH`, `redis://...` or `rediss://...` (Redis over TLS).
///
/// Neither its `Debug` nor its `Display` shows a password.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub enum StoreAddress {
    /// The embedded store, in this file; a relative path lies in the data directory.
    Sqlite(PathBuf),
    /// A Redis or Valkey server.
    Redis(RedisAddress),
}

/// The address of a Redis or Valkey server, which may hold a password, and how its certificate is verified.
#[derive(Clone)]
pub struct RedisAddress {
    url: SecretString,
    tls: RedisTls,
}

/// What a TLS connection to Redis needs beside the system's roots: all of it files in PEM. Verification can't be
/// switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The certificate of the authority that signed the server's, in place of the system's roots (`store_ca_file`).
    pub ca_file: Option<PathBuf>,
    /// This client's own certificate and its key, where the server asks for one (`store_client_cert_file`,
    /// `store_client_key_file`).
    pub client_files: Option<(PathBuf, PathBuf)>,
}

/// A text that names no store. Never retried; the user corrects it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme, or none.
    #[error("the store must be sqlite:PATH, redis://HOST:PORT or rediss://HOST:PORT")]
    Scheme,
    /// `sqlite:` with nothing behind it.
    #[error("sqlite: needs a file name behind it, such as sqlite:usher.db")]
    NoPath,
    /// Not a URL.
    #[error("the Redis address is not a URL: {0}")]
    Url(String),
}

impl RedisAddress {
    /// The whole URL, password included: for the connection alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// What its TLS connections are made with.
    #[must_use]
    pub fn tls(&self) -> &RedisTls {
        &self.tls
    }

    /// Whether it is spoken to over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.expose().starts_with("rediss://")
    }

    /// The same address, its TLS connections made with these files.
    #[must_use]
    pub fn with_tls(self, tls: RedisTls) -> Self {
        Self { tls, ..self }
    }

    /// Whether it holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        Url::parse(self.expose()).is_ok_and(|url| url.password().is_some())
    }

    /// The same address with this password.
    #[must_use]
    pub fn with_password(&self, password: &SecretString) -> Self {
        let Ok(mut url) = Url::parse(self.expose()) else { return self.clone() };
        match url.set_password(Some(password.expose_secret())) {
            Ok(()) => Self { url: String::from(url).into(), tls: self.tls.clone() },
            Err(()) => self.clone(),
        }
    }
}

impl FromStr for RedisAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|problem| AddressError::Url(problem.to_string()))?;
        Ok(Self { url: String::from(url).into(), tls: RedisTls::default() })
    }
}

impl StoreAddress {
    /// This address with a relative path put into the data directory.
    #[must_use]
    pub fn within(self, data_dir: &Path) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(data_dir.join(path)),
            redis => redis,
        }
    }
}

impl FromStr for StoreAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(AddressError::NoPath) } else { Ok(Self::Sqlite(path.into())) };
        }
        if text.starts_with("redis://") || text.starts_with("rediss://") {
            return Ok(Self::Redis(text.parse()?));
        }
        Err(AddressError::Scheme)
    }
}

impl TryFrom<String> for StoreAddress {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(address) => match Url::parse(address.expose()) {
                Ok(mut url) => {
                    if url.password().is_some() {
                        // Can't fail: only an URL without a host refuses a password, and this one has one.
                        let _ = url.set_password(Some("***"));
                    }
                    write!(f, "{url}")
                }
                Err(_) => f.write_str("redis://***"),
            },
        }
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let address: StoreAddress = "rediss://usher:s3cret@redis.corp.example:6380/2".parse().unwrap();
        for shown in [address.to_string(), format!("{address:?}")] {
            assert_eq!(shown, "rediss://usher:***@redis.corp.example:6380/2");
        }
    }

    #[test]
    fn a_password_from_elsewhere_is_put_in() {
        let StoreAddress::Redis(address) = "redis://usher@127.0.0.1:6379".parse().unwrap() else { panic!() };
        assert!(!address.has_password());
        let address = address.with_password(&"p@ss/word".to_owned().into());
        assert_eq!(address.expose(), "redis://usher:p%40ss%2Fword@127.0.0.1:6379");
    }

    #[test]
    fn relative_files_lie_in_the_data_directory_and_absolute_ones_do_not() {
        let place = |text: &str| text.parse::<StoreAddress>().unwrap().within(Path::new("/data")).to_string();
        assert_eq!(place("sqlite:usher.db"), "sqlite:/data/usher.db");
        assert_eq!(place("sqlite:///srv/u.db"), "sqlite:/srv/u.db");
    }

    #[test]
    fn what_names_no_store_is_refused_with_the_choices() {
        for bad in ["", "usher.db", "postgres://x", "sqlite:"] {
            assert!(bad.parse::<StoreAddress>().is_err(), "{bad:?}");
        }
    }
}

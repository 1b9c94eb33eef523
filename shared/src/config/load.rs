//! Finding `usher.toml`, reading it, and putting `USHER__SECTION__KEY` over it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use serde::Deserialize;
use toml::Table;

use super::{
    AccountConfig, AuditConfig, RedisAddress, RedisTls, RetentionConfig, SecretError, SecretSource,
    ServeConfig, StoreAddress, TokenConfig, WebhookConfig, WorkerConfig,
};
use crate::AccountName;

/// The whole of `usher.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where runs, jobs and outcomes are kept: `sqlite:usher.db` (the default; a relative path lies in the data
    /// directory), `redis://HOST:PORT` or `rediss://HOST:PORT`.
    pub store: Option<StoreAddress>,
    /// The password of a Redis store, so that it need not stand in its URL: `{ env = "..." }` or `{ file = "..." }`.
    pub store_password: Option<SecretSource>,
    /// The certificate authority (a PEM file) that signed the certificate of a `rediss://` store, in place of the system's
    /// roots. Verification can't be switched off.
    pub store_ca_file: Option<PathBuf>,
    /// This client's certificate (a PEM file), for a `rediss://` store that asks for one; goes with
    /// `store_client_key_file`.
    pub store_client_cert_file: Option<PathBuf>,
    /// The key of `store_client_cert_file` (a PEM file).
    pub store_client_key_file: Option<PathBuf>,
    /// Where the embedded store and the reports lie. Default: `usher` in the user's data directory
    /// (`~/.local/share/usher`).
    pub data_dir: Option<PathBuf>,
    /// How work is carried out.
    pub worker: WorkerConfig,
    /// The HTTP API.
    pub serve: ServeConfig,
    /// Who is told what an operator must hear of, by name.
    pub webhooks: BTreeMap<String, WebhookConfig>,
    /// Who may approve and use the HTTP API, by name.
    pub tokens: BTreeMap<String, TokenConfig>,
    /// How the audit is sealed.
    pub audit: AuditConfig,
    /// How long runs that are over are kept.
    pub retention: RetentionConfig,
    /// The accounts, by name.
    pub accounts: BTreeMap<AccountName, AccountConfig>,
    /// The file that was read, where there was one.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// A configuration that can't be used. Never retried; the user corrects it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named by `--config` or `USHER_CONFIG` is not there, or any file can't be read.
    #[error("the configuration {path} can't be read: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{place}: {problem}")]
    Parse {
        /// File and line, or the environment variables.
        place: String,
        /// What is wrong; never repeats a secret.
        problem: String,
    },
    /// Keys that contradict each other, or a value out of range.
    #[error("{key} in the configuration: {problem}")]
    Invalid {
        /// Which key.
        key: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// The account asked for is not there.
    #[error("there is no account {name:?} in {place}; {known}")]
    NoAccount {
        /// Asked for.
        name: String,
        /// Where it was looked for.
        place: String,
        /// The accounts that there are.
        known: String,
    },
    /// A secret that the configuration points to is not there.
    #[error("{key} in the configuration: {source}")]
    Secret {
        /// Which key.
        key: String,
        /// What is wrong with it.
        source: SecretError,
    },
    /// The operating system tells no home directory, and no data directory is configured.
    #[error("there is no home directory to put data into: set data_dir in usher.toml, or USHER__DATA_DIR")]
    NoHome,
}

impl Config {
    /// Reads the configuration: from `given`, else `USHER_CONFIG`, else `usher.toml` in the working directory, else in the
    /// user's configuration directory; with none of these there, the defaults. Environment variables
    /// `USHER__SECTION__KEY` stand over it.
    pub fn load(given: Option<&Path>, env: &[(String, String)]) -> Result<Self, ConfigError> {
        let file = match given {
            Some(path) => Some(path.to_owned()),
            None => Self::find(env),
        };
        let text = match &file {
            Some(path) => {
                let read = std::fs::read_to_string(path);
                Some(read.map_err(|source| ConfigError::Read { path: path.clone(), source })?)
            }
            None => None,
        };
        Self::read(file, text.as_deref(), env)
    }

    /// Reads the text of a file, with the environment over it.
    pub(super) fn read(
        file: Option<PathBuf>,
        text: Option<&str>,
        env: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let mut table = Table::new();
        if let (Some(path), Some(text)) = (&file, text) {
            // Read on its own first, so that what is wrong in the file is told with its line.
            toml::from_str::<Self>(text).map_err(|error| at_line(path, text, &error))?;
            table = toml::from_str(text).map_err(|error| at_line(path, text, &error))?;
        }
        let overlaid = super::overlay::apply(&mut table, env);
        let mut config: Self = table.try_into().map_err(|error: toml::de::Error| ConfigError::Parse {
            place: format!("in the environment ({})", overlaid.join(", ")),
            problem: error.message().to_owned(),
        })?;
        config.file = file;
        super::check::check(&config)?;
        Ok(config)
    }

    fn find(env: &[(String, String)]) -> Option<PathBuf> {
        if let Some((_, path)) = env.iter().find(|(name, value)| name == "USHER_CONFIG" && !value.is_empty())
        {
            return Some(path.into());
        }
        let here = PathBuf::from("usher.toml");
        let home =
            etcetera::choose_base_strategy().ok().map(|base| base.config_dir().join("usher/usher.toml"));
        [Some(here), home].into_iter().flatten().find(|path| path.is_file())
    }

    /// Where the embedded store and the reports lie.
    pub fn data_dir(&self) -> Result<PathBuf, ConfigError> {
        match &self.data_dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(etcetera::choose_base_strategy()
                .map_err(|_| ConfigError::NoHome)?
                .data_dir()
                .join("usher")),
        }
    }

    /// Where the store is: `given` (a command line's `--store`) before what is configured before `sqlite:usher.db`, with
    /// its file in the data directory and its password put in.
    pub fn store_address(&self, given: Option<StoreAddress>) -> Result<StoreAddress, ConfigError> {
        let address =
            given.or_else(|| self.store.clone()).unwrap_or_else(|| StoreAddress::Sqlite("usher.db".into()));
        match address {
            StoreAddress::Redis(address) => Ok(StoreAddress::Redis(self.redis_address(address)?)),
            StoreAddress::Sqlite(path) if path.is_absolute() => Ok(StoreAddress::Sqlite(path)),
            StoreAddress::Sqlite(path) => Ok(StoreAddress::Sqlite(path).within(&self.data_dir()?)),
        }
    }

    fn redis_address(&self, address: RedisAddress) -> Result<RedisAddress, ConfigError> {
        let client_files = self.store_client_cert_file.clone().zip(self.store_client_key_file.clone());
        let tls = RedisTls { ca_file: self.store_ca_file.clone(), client_files };
        if tls != RedisTls::default() && !address.is_tls() {
            return Err(ConfigError::Invalid {
                key: if tls.ca_file.is_some() { "store_ca_file" } else { "store_client_cert_file" }.into(),
                problem:
                    "it is for a store over TLS, and the store is redis://; write rediss://, or take it out"
                        .into(),
            });
        }
        let address = address.with_tls(tls);
        match &self.store_password {
            Some(source) if !address.has_password() => {
                let password = source
                    .read()
                    .map_err(|source| ConfigError::Secret { key: "store_password".into(), source })?;
                Ok(address.with_password(&password))
            }
            _ => Ok(address),
        }
    }

    /// The account of this name.
    pub fn account(&self, name: &AccountName) -> Result<&AccountConfig, ConfigError> {
        self.accounts.get(name).ok_or_else(|| ConfigError::NoAccount {
            name: name.to_string(),
            place: self.place(),
            known: if self.accounts.is_empty() {
                "it has no accounts: add [accounts.NAME], as the README shows".to_owned()
            } else {
                let names: Vec<&str> = self.accounts.keys().map(AccountName::as_str).collect();
                format!("it has {}", names.join(", "))
            },
        })
    }

    /// Where this configuration came from, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.file {
            Some(path) => path.display().to_string(),
            None => {
                "the configuration (no usher.toml was found here or in the user's configuration directory)"
                    .into()
            }
        }
    }
}

/// The problem with its line, without the line's text: it could hold a secret.
fn at_line(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let place = match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("{}, line {}", path.display(), before.matches('\n').count() + 1),
        None => path.display().to_string(),
    };
    ConfigError::Parse { place, problem: error.message().to_owned() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ZOOM: &str = r#"
store = "sqlite:usher.db"
[accounts.zoom-main]
provider = "zoom"
account_id = "abc"
client_id = { env = "ZOOM_CLIENT_ID" }
client_secret = { file = "/run/secrets/zoom" }
plan = "business"
protected = ["owner@corp.example", "*@service.corp.example"]
"#;

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usher.toml");
        fs::write(&path, text).unwrap();
        let env: Vec<_> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::load(Some(&path), &env)
    }

    fn zoom(config: &Config) -> &super::super::ZoomConfig {
        let AccountConfig::Zoom(zoom) = &config.accounts[&"zoom-main".parse().unwrap()];
        zoom
    }

    #[test]
    fn the_shape_in_the_readme_is_read() {
        let config = load(ZOOM, &[]).unwrap();
        assert_eq!(zoom(&config).base_url.as_str(), "https://api.zoom.us/v2");
        assert_eq!(zoom(&config).protected.len(), 2);
        assert_eq!(config.worker, WorkerConfig::default());
    }

    #[test]
    fn the_environment_stands_over_the_file_and_finds_accounts_with_a_dash() {
        let config = load(
            ZOOM,
            &[
                ("USHER__STORE", "redis://127.0.0.1:6379"),
                ("USHER__WORKER__MAX_ATTEMPTS", "3"),
                ("USHER__ACCOUNTS__ZOOM_MAIN__LIGHT", "30"),
                ("USHER__ACCOUNTS__ZOOM_MAIN__ACCOUNT_ID", "12345"),
                ("USHER__ACCOUNTS__ZOOM_MAIN__CLIENT_SECRET", "{ env = \"OTHER\" }"),
            ],
        )
        .unwrap();
        assert_eq!(config.store.as_ref().unwrap().to_string(), "redis://127.0.0.1:6379");
        assert_eq!(config.worker.max_attempts, 3);
        assert_eq!(zoom(&config).light, Some(30.0));
        assert_eq!(zoom(&config).account_id, super::super::Value::Plain("12345".into()));
        assert_eq!(zoom(&config).client_secret, SecretSource::Env("OTHER".into()));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = load("[worker]\nmax_attemps = 3\n", &[]).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("max_attemps"), "{error}");
        let error = load(&ZOOM.replace("plan =", "plam ="), &[]).unwrap_err().to_string();
        assert!(error.contains("plam"), "{error}");
        let error = load(ZOOM, &[("USHER__WORKER__SPEED", "9")]).unwrap_err().to_string();
        assert!(error.contains("USHER__WORKER__SPEED") && error.contains("speed"), "{error}");
    }

    #[test]
    fn a_secret_written_into_the_file_is_refused_and_not_repeated() {
        let text = ZOOM.replace("{ file = \"/run/secrets/zoom\" }", "\"hunter2\"");
        let error = load(&text, &[]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("never written into the configuration"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let error = load(ZOOM, &[("USHER__ACCOUNTS__ZOOM_MAIN__CLIENT_SECRET", "hunter2")]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_base_url_without_tls_is_refused_unless_it_is_loopback() {
        let with = |url: &str| load(&ZOOM.replace("plan =", &format!("base_url = \"{url}\"\nplan =")), &[]);
        assert!(with("http://api.zoom.us/v2").unwrap_err().to_string().contains("https"));
        assert!(with("http://127.0.0.1:8080/v2").is_ok());
        assert!(with("http://[::1]:8080/v2").is_ok());
        assert!(with("http://localhost:8080/v2").is_ok());
        assert!(with("http://127.0.0.1.evil.example/v2").is_err());
        for address in ["http://usher:hunter2@api.zoom.us/v2", "https://usher:hunter2@api.zoom.us/v2"] {
            let error = format!("{:?}", with(address).unwrap_err());
            assert!(error.contains("user name or password") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let cases = [
            ("[worker]\nlease_seconds = 5", "lease_seconds"),
            ("[worker]\nmax_attempts = 0", "max_attempts"),
            ("[worker]\ncall_timeout_seconds = -1", "call_timeout_seconds"),
            ("[worker]\nmax_in_flight = 0", "max_in_flight"),
            (&ZOOM.replace("plan =", "light = 0\nplan ="), "light"),
        ];
        for (text, key) in cases {
            let error = load(text, &[]).unwrap_err().to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }

    #[test]
    fn files_for_tls_belong_to_a_store_over_tls_and_a_certificate_to_its_key() {
        let ca = "store_ca_file = \"ca.pem\"\n";
        let error = load(&format!("store = \"redis://h\"\n{ca}"), &[]).unwrap().store_address(None);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("store_ca_file") && error.contains("rediss://"), "{error}");
        let address = load(&format!("store = \"rediss://h\"\n{ca}"), &[]).unwrap().store_address(None);
        let StoreAddress::Redis(address) = address.unwrap() else { panic!() };
        assert_eq!(address.tls().ca_file, Some("ca.pem".into()));
        for (has, lacks) in [("cert", "key"), ("key", "cert")] {
            let error = load(&format!("store_client_{has}_file = \"x.pem\"\n"), &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("store_client_{lacks}_file")), "{error}");
        }
    }

    #[test]
    fn a_missing_account_names_those_there_are() {
        let error = load(ZOOM, &[]).unwrap().account(&"zoom".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("zoom-main"), "{error}");
    }
}

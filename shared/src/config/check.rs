//! What a configuration that reads well can still have wrong: contradictions, and values out of range.

use std::ops::RangeInclusive;

use url::{Host, Url};

use super::{AccountConfig, Config, ConfigError};

/// Refuses contradictions and values out of range.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let worker = &config.worker;
    within("worker.max_attempts", f64::from(worker.max_attempts), 1.0..=100.0)?;
    within("worker.call_timeout_seconds", worker.call_timeout_seconds, 1.0..=300.0)?;
    within("worker.lease_seconds", worker.lease_seconds, 2.0..=3600.0)?;
    within("worker.drain_seconds", worker.drain_seconds, 0.0..=3600.0)?;
    #[expect(clippy::cast_precision_loss, reason = "the range ends long before precision does")]
    within("worker.max_in_flight", worker.max_in_flight as f64, 1.0..=1000.0)?;
    if worker.lease_seconds < worker.call_timeout_seconds + 1.0 {
        return Err(invalid(
            "worker.lease_seconds",
            format!(
                "{} s is not a second longer than call_timeout_seconds ({} s), so no call could start under a lease",
                worker.lease_seconds, worker.call_timeout_seconds
            ),
        ));
    }
    if config.data_dir.as_ref().is_some_and(|dir| dir.as_os_str().is_empty()) {
        return Err(invalid("data_dir", "it is empty: name a directory, or leave it out".into()));
    }
    let (cert, key) = ("store_client_cert_file", "store_client_key_file");
    match (&config.store_client_cert_file, &config.store_client_key_file) {
        (Some(_), None) => return Err(invalid(cert, format!("it needs {key} beside it"))),
        (None, Some(_)) => return Err(invalid(key, format!("it needs {cert} beside it"))),
        _ => {}
    }
    for (name, account) in &config.accounts {
        match account {
            AccountConfig::Zoom(zoom) => {
                let key = |field: &str| format!("accounts.{name}.{field}");
                require_tls(&key("base_url"), &zoom.base_url)?;
                require_tls(&key("token_url"), &zoom.token_url)?;
                for (field, rate) in [("light", zoom.light), ("medium", zoom.medium)] {
                    if let Some(rate) = rate {
                        within(&key(field), rate, 0.01..=10_000.0)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn within(key: &str, value: f64, range: RangeInclusive<f64>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(invalid(key, format!("{value} is not between {} and {}", range.start(), range.end())))
}

/// A token must not travel in clear text. Loopback is where simulators are.
fn require_tls(key: &str, url: &Url) -> Result<(), ConfigError> {
    if !url.username().is_empty() || url.password().is_some() {
        // Not shown: what stands there may be a secret.
        let problem = "the address must not have a user name or password; client_id and client_secret are the credentials";
        return Err(invalid(key, problem.into()));
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.host().is_some() && (url.scheme() == "https" || (url.scheme() == "http" && loopback)) {
        Ok(())
    } else {
        Err(invalid(key, format!("{url} must be an https address, or tokens would travel in clear text")))
    }
}

fn invalid(key: impl Into<String>, problem: String) -> ConfigError {
    ConfigError::Invalid { key: key.into(), problem }
}

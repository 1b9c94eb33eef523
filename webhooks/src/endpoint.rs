//! One endpoint: where it is, what its messages are signed with, and one try at telling it something.

use std::{error::Error, fmt, sync::Once, time::Duration};

use reqwest::{
    Client, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect, retry,
};
use secrecy::SecretString;
use usher_shared::{
    Timestamp,
    config::{self, SecretSource, WebhookConfig},
};

use crate::{
    address::{self, AddressRefused, Guarded},
    answer::{Answer, retry_after},
    secret::{SecretError, SigningSecret, seconds},
};

/// One try may take so long altogether. The scheme asks senders for 15 to 30 seconds.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// Connecting may take so long; a host that does not answer by then is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer's body so much is read, so that the connection can be used again; what it says is no matter.
const BODY: usize = 4 * 1024;

/// An endpoint that can't be told anything as it is configured. Never retried; the user corrects the configuration.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The secret can't be read.
    #[error("webhooks.{name}.{key} in the configuration: {source}")]
    Unreadable {
        /// The endpoint.
        name: String,
        /// `secret` or `previous_secret`.
        key: &'static str,
        /// What is wrong with it.
        source: config::SecretError,
    },
    /// What was read is no signing secret.
    #[error("webhooks.{name}.{key} in the configuration: {from} has no signing secret: {source}")]
    NoSecret {
        /// The endpoint.
        name: String,
        /// `secret` or `previous_secret`.
        key: &'static str,
        /// Where it was read from.
        from: String,
        /// What is wrong with it.
        source: SecretError,
    },
    /// The address is one that is not called.
    #[error("webhooks.{name}.url in the configuration: {source}")]
    Address {
        /// The endpoint.
        name: String,
        /// Which address.
        source: AddressRefused,
    },
    /// The HTTP client can't be built: the system's certificates can't be read.
    #[error("webhooks.{name}: {problem}")]
    Client {
        /// The endpoint.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// An endpoint, ready to be told something.
pub struct Endpoint {
    /// As in `[webhooks.NAME]`.
    pub name: String,
    /// As configured.
    pub config: WebhookConfig,
    /// The one in use first.
    secrets: Vec<SigningSecret>,
    client: Client,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Reads its secrets; makes no call.
    pub fn open(name: &str, config: &WebhookConfig) -> Result<Self, EndpointError> {
        let mut secrets = vec![secret(name, "secret", &config.secret)?];
        if let Some(previous) = &config.previous_secret {
            secrets.push(secret(name, "previous_secret", previous)?);
        }
        address::check_literal(&config.url, config.allow_private)
            .map_err(|source| EndpointError::Address { name: name.to_owned(), source })?;
        let client = client(config.allow_private)
            .map_err(|error| EndpointError::Client { name: name.to_owned(), problem: chain(&error) })?;
        Ok(Self { name: name.to_owned(), config: config.clone(), secrets, client })
    }

    /// The host, for people. The rest of the address may be a secret.
    #[must_use]
    pub fn host(&self) -> &str {
        self.config.url.host_str().unwrap_or_default()
    }

    /// One try. `now`: by the wall clock, which the receiver compares with its own.
    pub async fn send(&self, id: &str, body: &str, now: Timestamp) -> Answer {
        let headers = match self.headers(id, body, now) {
            Ok(headers) => headers,
            Err(error) => return Answer::None(format!("the message can't be sent: {error}")),
        };
        let sent = self.client.post(self.config.url.clone()).headers(headers).body(body.to_owned()).send();
        let mut response = match tokio::time::timeout(TIMEOUT, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => return Answer::NoConnection(chain(&error)),
            Ok(Err(error)) => return Answer::None(chain(&error)),
            Err(_) => return Answer::None(format!("no answer within {} s", TIMEOUT.as_secs())),
        };
        let status = response.status();
        let again = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = again.and_then(|value| retry_after(value, now));
        if status != StatusCode::NO_CONTENT {
            let mut read = 0;
            let rest = async {
                while let Ok(Some(chunk)) = response.chunk().await {
                    read += chunk.len();
                    if read >= BODY {
                        break;
                    }
                }
            };
            // It has been told: however its answer ends.
            let _ = tokio::time::timeout(CONNECT_TIMEOUT, rest).await;
        }
        Answer::Status { status, retry_after }
    }

    /// Those of the Standard Webhooks scheme: a signature by each secret, between blanks.
    fn headers(
        &self,
        id: &str,
        body: &str,
        now: Timestamp,
    ) -> Result<HeaderMap, reqwest::header::InvalidHeaderValue> {
        let signatures: Vec<String> = self.secrets.iter().map(|secret| secret.sign(id, now, body)).collect();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("webhook-id", HeaderValue::from_str(id)?);
        headers.insert("webhook-timestamp", HeaderValue::from(seconds(now)));
        headers.insert("webhook-signature", HeaderValue::from_str(&signatures.join(" "))?);
        Ok(headers)
    }
}

fn secret(name: &str, key: &'static str, source: &SecretSource) -> Result<SigningSecret, EndpointError> {
    let name = || name.to_owned();
    let text: SecretString =
        source.read().map_err(|source| EndpointError::Unreadable { name: name(), key, source })?;
    SigningSecret::read(&text).map_err(|error| EndpointError::NoSecret {
        name: name(),
        key,
        from: source.to_string(),
        source: error,
    })
}

/// Never redirected, for a redirect leads where nobody looked; never through a proxy, for which every address is the same.
fn client(allow_private: bool) -> Result<Client, reqwest::Error> {
    install_tls();
    Client::builder()
        .user_agent(concat!("usher/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .dns_resolver(Guarded { allow_private })
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(90))
        .build()
}

/// rustls asks for one provider of cryptography a process; whoever is first installs it.
fn install_tls() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that another part of the process has installed one already: just as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
    });
}

/// What went wrong, without the address, whose path may be a secret.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        next = cause.source();
    }
    let text = if text.is_empty() { "the call failed".to_owned() } else { text };
    text.chars().take(200).collect()
}

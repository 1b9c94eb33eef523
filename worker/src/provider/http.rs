//! One HTTP exchange with a vendor: bounded in time and memory, never redirected, never repeated.

use std::{error::Error, sync::Once, time::Duration};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use reqwest::{Client, Request, redirect, retry};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};
use usher_shared::Verdict;

use super::{ProviderError, ProviderOptions, Reply};

/// The most that is read of an answer to a change, or of an error: vendors' real ones have some hundred bytes.
pub(crate) const SMALL_BODY: usize = 64 * 1024;
/// The most that is read of one page of a listing: 300 users of Zoom have about 200 KiB.
pub(crate) const PAGE_BODY: usize = 8 * 1024 * 1024;

/// Connecting may take so long; a host that does not answer by then is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A vendor's answer, as far as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// An answer's body.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// All of it.
    Whole(Bytes),
    /// Its beginning; it was cut for this reason.
    Cut(Bytes, Cut),
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It is longer than what is read.
    TooLong,
    /// The connection broke.
    Broken,
    /// It did not end in time.
    Timeout,
}

impl Cut {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::TooLong => "body_too_long",
            Self::Broken => "body_broken",
            Self::Timeout => "timeout",
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::TooLong => {
                "the answer is longer than any that the vendor documents; it was not read to its end"
            }
            Self::Broken => "the connection broke in the middle of the answer",
            Self::Timeout => "the answer did not end within the call's timeout",
        }
    }
}

impl Body {
    /// What there is of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) | Self::Cut(bytes, _) => bytes,
        }
    }

    /// Why it is not whole, where it is not.
    pub(crate) fn cut(&self) -> Option<Cut> {
        match self {
            Self::Whole(_) => None,
            Self::Cut(_, cut) => Some(*cut),
        }
    }
}

/// No answer came.
#[derive(Clone, Debug)]
pub(crate) struct NoAnswer {
    /// `connect`, `timeout` or `transport`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Whether the request may have reached the vendor all the same.
    pub(crate) may_have_arrived: bool,
}

impl From<NoAnswer> for Reply {
    fn from(none: NoAnswer) -> Self {
        Self {
            code: Some(none.code.to_owned()),
            message: Some(none.message),
            may_have_applied: none.may_have_arrived,
            ..Self::of(Verdict::Transient)
        }
    }
}

/// Builds the client of one account: its own pool, so that no account waits for another's connections.
pub(crate) fn client(
    account: &str,
    options: &ProviderOptions,
    urls: &[&Url],
) -> Result<Client, ProviderError> {
    install_tls();
    let mut builder = Client::builder()
        .user_agent(&options.user_agent)
        .redirect(redirect::Policy::none())
        .referer(false)
        // A repeated call is one more call to the vendor's limit, so it is decided elsewhere.
        .retry(retry::never())
        .connect_timeout(CONNECT_TIMEOUT.min(options.call_timeout))
        // Calls are spread evenly: a connection that is opened anew, or held back to fill a packet, breaks the spread.
        .pool_max_idle_per_host(1024)
        .pool_idle_timeout(Duration::from_secs(90))
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(30))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(10));
    if urls.iter().any(|url| is_loopback(url)) {
        // Plain http is accepted for loopback because it never leaves the machine; through a proxy it would.
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| ProviderError::Client { account: account.to_owned(), problem: chain(&error) })
}

/// Whether the address stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Refuses addresses that would send credentials in clear text, or that can't be the base of others.
pub(crate) fn check_address(account: &str, key: &'static str, url: &Url) -> Result<(), ProviderError> {
    let part = if !url.username().is_empty() || url.password().is_some() {
        Some("a user name or password")
    } else if url.query().is_some() {
        Some("a query")
    } else if url.fragment().is_some() {
        Some("a fragment")
    } else {
        None
    };
    if let Some(part) = part {
        return Err(ProviderError::Address { account: account.to_owned(), key, part });
    }
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)) {
        return Ok(());
    }
    Err(ProviderError::NotHttps { account: account.to_owned(), key, url: url.to_string() })
}

/// Sends one request and reads its answer, at most `limit` bytes of it, until `deadline`.
pub(crate) async fn exchange(
    client: &Client,
    request: Request,
    limit: usize,
    deadline: Instant,
) -> Result<Answer, NoAnswer> {
    let mut response = match timeout_at(deadline, client.execute(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) if error.is_connect() => {
            return Err(NoAnswer { code: "connect", message: chain(&error), may_have_arrived: false });
        }
        Ok(Err(error)) if error.is_timeout() => return Err(timed_out()),
        Ok(Err(error)) => {
            return Err(NoAnswer { code: "transport", message: chain(&error), may_have_arrived: true });
        }
        Err(_) => return Err(timed_out()),
    };
    let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
    let mut body = BytesMut::new();
    let body = loop {
        match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > limit => {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                break Body::Cut(body.freeze(), Cut::TooLong);
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            Ok(Ok(None)) => break Body::Whole(body.freeze()),
            Ok(Err(_)) => break Body::Cut(body.freeze(), Cut::Broken),
            Err(_) => break Body::Cut(body.freeze(), Cut::Timeout),
        }
    };
    Ok(Answer { status, headers, body })
}

fn timed_out() -> NoAnswer {
    NoAnswer {
        code: "timeout",
        message: "no answer within the call's timeout".to_owned(),
        may_have_arrived: true,
    }
}

/// An error and what caused it, without the address (an address can carry a user's name).
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn Error> = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = if text.is_empty() { cause_text } else { format!("{text}: {cause_text}") };
        }
        next = cause.source();
    }
    let text = if text.is_empty() { "the HTTP call failed".to_owned() } else { text };
    text.chars().take(300).collect()
}

/// rustls asks for one provider of cryptography a process; whoever is first installs it.
fn install_tls() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that another part of the process has installed one already: just as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_addresses_are_accepted_and_the_error_names_the_cure() {
        let check = |url: &str| check_address("zoom-main", "base_url", &Url::parse(url).unwrap());
        for good in [
            "https://api.zoom.us/v2",
            "http://127.0.0.1:9/v2",
            "http://127.8.8.8/v2",
            "http://[::1]:80/v2",
            "http://localhost:1",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.zoom.us/v2",
            "http://10.0.0.1/v2",
            "http://localhost.evil.example/",
            "ftp://127.0.0.1/",
            "http://127.0.0.1.evil.example/v2",
        ] {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.contains("accounts.zoom-main.base_url") && error.contains("https://"), "{error}");
        }
        for odd in
            ["https://user:pass@api.zoom.us/v2", "https://api.zoom.us/v2?a=b", "https://api.zoom.us/v2#x"]
        {
            let error = check(odd).unwrap_err();
            assert!(matches!(error, ProviderError::Address { .. }), "{odd}");
            assert!(!error.to_string().contains("pass@"));
        }
    }

    #[test]
    fn the_tls_provider_is_installed_once_and_again_without_harm() {
        let url = Url::parse("https://api.zoom.us/v2").unwrap();
        for _ in 0..2 {
            client("zoom-main", &ProviderOptions::default(), &[&url]).unwrap();
        }
    }
}

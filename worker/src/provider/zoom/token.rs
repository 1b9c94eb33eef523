//! One token an account: fetched by one caller while the others wait for the same answer, replaced before it ends.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, header::AUTHORIZATION};
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};
use url::Url;
use usher_shared::{Clock, Verdict};

use super::grant::{Token, Whence, grant};
use crate::provider::{
    Reply,
    http::{SMALL_BODY, exchange},
};

/// What the token endpoint is asked with.
pub(super) struct Credentials {
    pub(super) token_url: Url,
    pub(super) account_id: String,
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    pub(super) whence: Whence,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token_url", &self.token_url.as_str())
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Holds the account's token.
#[derive(Debug)]
pub(super) struct Tokens {
    client: Client,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    /// How many fetches have come to an end: tells a waiter whether one did while it waited.
    ended: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    token: Option<Arc<Token>>,
    /// How the last fetch failed, where it did.
    failure: Option<Reply>,
}

impl Tokens {
    pub(super) fn new(client: Client, credentials: Credentials, clock: Arc<dyn Clock>) -> Self {
        Self { client, credentials, clock, ended: AtomicU64::new(0), held: Mutex::default() }
    }

    /// The token, fetched where there is none that is fresh. Every caller that waits for one fetch gets its answer, a
    /// failure too: a hundred calls in flight do not ask a hundred times.
    pub(super) async fn current(&self, deadline: Instant) -> Result<Arc<Token>, Reply> {
        let ended_before = self.ended.load(Ordering::Acquire);
        let Ok(mut held) = timeout_at(deadline, self.held.lock()).await else {
            return Err(Reply {
                code: Some("timeout".to_owned()),
                message: Some("no token within the call's timeout".to_owned()),
                ..Reply::of(Verdict::Transient)
            });
        };
        if let Some(token) = held.token.as_ref().filter(|token| self.clock.now() < token.fresh_until) {
            return Ok(Arc::clone(token));
        }
        if let Some(failure) = &held.failure
            && self.ended.load(Ordering::Acquire) > ended_before
        {
            return Err(failure.clone());
        }
        let fetched = self.fetch(deadline).await;
        match &fetched {
            Ok(token) => *held = Held { token: Some(Arc::clone(token)), failure: None },
            Err(failure) => *held = Held { token: None, failure: Some(failure.clone()) },
        }
        self.ended.fetch_add(1, Ordering::Release);
        fetched
    }

    /// Drops this token, unless another has taken its place meanwhile.
    pub(super) async fn invalidate(&self, used: &Arc<Token>) {
        let mut held = self.held.lock().await;
        if held.token.as_ref().is_some_and(|token| Arc::ptr_eq(token, used)) {
            held.token = None;
        }
    }

    /// The client secret, so that it can be struck from what a vendor echoes.
    pub(super) fn client_secret(&self) -> &SecretString {
        &self.credentials.client_secret
    }

    async fn fetch(&self, deadline: Instant) -> Result<Arc<Token>, Reply> {
        let form =
            [("grant_type", "account_credentials"), ("account_id", self.credentials.account_id.as_str())];
        let request = self.client.post(self.credentials.token_url.clone()).form(&form).build();
        let mut request = request.map_err(|_| Reply {
            code: Some("token".to_owned()),
            message: Some("the request for a token can't be built from account_id and token_url".to_owned()),
            ..Reply::of(Verdict::Transient)
        })?;
        request.headers_mut().insert(AUTHORIZATION, self.basic());
        let asked_at = self.clock.now();
        let answer = exchange(&self.client, request, SMALL_BODY, deadline).await.map_err(|none| Reply {
            // Whatever became of the request for a token, no user was changed by it.
            may_have_applied: false,
            ..Reply::from(none)
        })?;
        let token = grant(&answer, &self.credentials.whence, asked_at, self.clock.now())?;
        tracing::debug!(account = %self.credentials.whence.account, fresh_until = %token.fresh_until, "new token");
        Ok(Arc::new(token))
    }

    fn basic(&self) -> HeaderValue {
        let pair =
            format!("{}:{}", self.credentials.client_id, self.credentials.client_secret.expose_secret());
        #[expect(clippy::expect_used, reason = "base64 has no character that a header can't hold")]
        let mut basic = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair)))
            .expect("base64 is a valid header value");
        basic.set_sensitive(true);
        basic
    }
}

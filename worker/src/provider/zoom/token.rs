//! How Zoom is asked for a token.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, header::AUTHORIZATION};
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use url::Url;
use usher_shared::{AccountName, Clock, Verdict};

use super::grant::{Whence, grant};
use crate::{
    metrics,
    provider::{
        Label, Reply,
        http::{SMALL_BODY, exchange},
        strike::strike,
        token::{Granted, Sealing, TokenSource},
    },
};

/// The token endpoint counts for itself: no limit of the API's.
const TOKEN: Label = Label("token");

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

impl Credentials {
    /// Seals the tokens of these credentials, each bound to all that it is good for.
    pub(super) fn sealing(&self) -> Sealing {
        let bound_to =
            ["zoom", &self.whence.account, &self.client_id, &self.account_id, self.token_url.as_str()];
        Sealing::new(&self.client_secret, &bound_to)
    }

    fn pair(&self) -> SecretString {
        format!("{}:{}", self.client_id, self.client_secret.expose_secret()).into()
    }

    fn basic(&self) -> HeaderValue {
        #[expect(clippy::expect_used, reason = "base64 has no character that a header can't hold")]
        let mut basic =
            HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(self.pair().expose_secret())))
                .expect("base64 is a valid header value");
        basic.set_sensitive(true);
        basic
    }
}

/// Zoom's token endpoint, asked with one app's credentials.
#[derive(Debug)]
pub(super) struct ZoomTokens {
    pub(super) account: AccountName,
    pub(super) client: Client,
    pub(super) credentials: Credentials,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl TokenSource for ZoomTokens {
    async fn grant(&self, deadline: Instant) -> Result<Granted, Reply> {
        let credentials = &self.credentials;
        let form = [("grant_type", "account_credentials"), ("account_id", credentials.account_id.as_str())];
        let request = self.client.post(credentials.token_url.clone()).form(&form).build();
        let mut request = request.map_err(|_| Reply {
            code: Some("token".to_owned()),
            message: Some("the request for a token can't be built from account_id and token_url".to_owned()),
            ..Reply::of(Verdict::Transient)
        })?;
        request.headers_mut().insert(AUTHORIZATION, credentials.basic());
        let began = Instant::now();
        let answered = exchange(&self.client, request, SMALL_BODY, deadline).await;
        let http = answered.as_ref().ok().map(|answer| answer.status);
        metrics::called(&self.account, TOKEN, "token", http, began.elapsed());
        let mut answer = answered.map_err(|none| Reply {
            // Whatever became of the request for a token, no user was changed by it.
            may_have_applied: false,
            ..Reply::from(none)
        })?;
        strike(&mut answer, &[&credentials.client_secret, &credentials.pair()]);
        grant(&answer, &credentials.whence, self.clock.now())
    }
}

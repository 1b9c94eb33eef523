//! Server-to-server OAuth: gives out tokens and knows which of them are good.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header;
use serde_json::json;

use super::settings::Oauth;
use crate::clock::Moment;
use crate::message::{Call, Reply, form_pairs};
use crate::seeded::Seeded;

/// What a good token allows.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    scopes: Vec<String>,
    expires: Moment,
}

impl Grant {
    /// Whether one of `wanted` is among the token's scopes.
    pub(crate) fn has_one_of(&self, wanted: &[&str]) -> bool {
        self.scopes.iter().any(|scope| wanted.contains(&scope.as_str()))
    }
}

/// Why a call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFault {
    Missing,
    Unknown,
    Expired,
}

impl TokenFault {
    /// 401/124, with the message that Zoom has for each.
    pub(crate) fn reply(self) -> Reply {
        let message = match self {
            TokenFault::Missing | TokenFault::Unknown => "Invalid access token.",
            TokenFault::Expired => "Access token is expired.",
        };
        Reply::json(401, &json!({"code": 124, "message": message}))
    }
}

/// All tokens given out.
#[derive(Debug)]
pub(crate) struct Tokens {
    grants: HashMap<String, Grant>,
    rng: Seeded,
    issued: u64,
}

impl Tokens {
    pub(crate) fn new(seed: u64) -> Self {
        Self { grants: HashMap::new(), rng: Seeded::keyed(seed, 2, 0), issued: 0 }
    }

    /// Answers `POST /oauth/token`.
    pub(crate) fn issue(&mut self, oauth: &Oauth, now: Moment, call: &Call) -> Reply {
        match granted(oauth, call) {
            Ok(()) => self.new_token(oauth, now),
            Err(reply) => reply,
        }
    }

    fn new_token(&mut self, oauth: &Oauth, now: Moment) -> Reply {
        if oauth.one_live_token {
            self.grants.clear();
        }
        let mut bytes = Vec::with_capacity(48);
        for _ in 0..6 {
            bytes.extend_from_slice(&self.rng.bits().to_le_bytes());
        }
        let token = format!("eyJzdiI6IjAwMDAwMSJ9.{}", URL_SAFE_NO_PAD.encode(bytes));
        let expires = now.plus(Duration::from_secs(oauth.expires_in));
        self.grants.insert(token.clone(), Grant { scopes: oauth.scopes.clone(), expires });
        self.issued += 1;
        Reply::json(
            200,
            &json!({
                "access_token": token,
                "token_type": "bearer",
                "expires_in": oauth.expires_in,
                "scope": oauth.scopes.join(" "),
                "api_url": oauth.api_url,
            }),
        )
    }

    /// What the call's bearer token allows.
    pub(crate) fn check(&self, now: Moment, call: &Call) -> Result<&Grant, TokenFault> {
        let value = call.header(header::AUTHORIZATION).ok_or(TokenFault::Missing)?;
        let (scheme, token) = value.split_once(' ').ok_or(TokenFault::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenFault::Missing);
        }
        let grant = self.grants.get(token.trim()).ok_or(TokenFault::Unknown)?;
        if grant.expires <= now { Err(TokenFault::Expired) } else { Ok(grant) }
    }

    /// Ends the life of all tokens; returns how many were live.
    pub(crate) fn kill_all(&mut self, now: Moment) -> u64 {
        let live = self.live(now);
        self.grants.clear();
        live
    }

    pub(crate) fn live(&self, now: Moment) -> u64 {
        self.grants.values().filter(|grant| grant.expires > now).count() as u64
    }

    pub(crate) const fn issued(&self) -> u64 {
        self.issued
    }

    pub(crate) fn forget_issued(&mut self) {
        self.issued = 0;
    }
}

fn refused(status: u16, reason: &str, error: &str) -> Reply {
    Reply::json(status, &json!({"reason": reason, "error": error}))
}

/// Looks at the credentials and the form of a call for a token.
fn granted(oauth: &Oauth, call: &Call) -> Result<(), Reply> {
    let has_body = !call.body.is_empty();
    if has_body && call.content_type().as_deref() != Some("application/x-www-form-urlencoded") {
        return Err(refused(415, "Unsupported content type", "invalid_request"));
    }
    let (mut grant_type, mut account) = (None, None);
    for (key, value) in form_pairs(call.query.as_bytes()).chain(form_pairs(&call.body)) {
        match &*key {
            "grant_type" => grant_type = Some(value.into_owned()),
            "account_id" => account = Some(value.into_owned()),
            _ => {}
        }
    }
    // Both statuses have been seen; which belongs to which fault is a guess.
    match credentials(call) {
        Some((id, secret)) if id == oauth.client_id && secret == oauth.client_secret => {}
        Some((id, _)) if id == oauth.client_id => {
            return Err(refused(401, "Invalid client_id or client_secret", "invalid_client"));
        }
        _ => return Err(refused(400, "Invalid client_id or client_secret", "invalid_client")),
    }
    match grant_type.as_deref() {
        Some("account_credentials") => {}
        Some(_) => return Err(refused(400, "Unsupported grant type", "unsupported_grant_type")),
        None => return Err(refused(400, "Missing grant type", "invalid_request")),
    }
    match account {
        Some(account) if account == oauth.account_id => Ok(()),
        _ => Err(refused(400, "Account does not exist", "invalid_request")),
    }
}

fn credentials(call: &Call) -> Option<(String, String)> {
    let (scheme, encoded) = call.header(header::AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn call(basic: Option<&str>, query: &str, body: &str) -> Call {
        let mut headers = HeaderMap::new();
        if let Some(basic) = basic {
            headers.insert("authorization", format!("Basic {}", STANDARD.encode(basic)).parse().unwrap());
        }
        if !body.is_empty() {
            headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        }
        Call {
            method: Method::POST,
            path: "/oauth/token".into(),
            query: query.into(),
            headers,
            body: body.to_owned().into(),
        }
    }

    fn bearer(token: &str) -> Call {
        let mut call = call(None, "", "");
        call.headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        call
    }

    fn token_of(reply: &Reply) -> String {
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    const GOOD: &str = "sim-client:sim-secret";
    const FORM: &str = "grant_type=account_credentials&account_id=sim-account";
    const NOW: Moment = Moment::from_micros(1_700_000_000_000_000);

    #[test]
    fn credentials_grant_and_account_are_all_asked_for() {
        let rows = [
            (Some(GOOD), FORM, "", 200, ""),
            (Some(GOOD), "", FORM, 200, ""),
            (Some("sim-client:wrong"), FORM, "", 401, "invalid_client"),
            (Some("other:sim-secret"), FORM, "", 400, "invalid_client"),
            (None, FORM, "", 400, "invalid_client"),
            (Some(GOOD), "grant_type=account_credentials&account_id=nope", "", 400, "Account does not exist"),
            (
                Some(GOOD),
                "grant_type=client_credentials&account_id=sim-account",
                "",
                400,
                "unsupported_grant_type",
            ),
            (Some(GOOD), "", "", 400, "Missing grant type"),
        ];
        for (basic, query, body, status, text) in rows {
            let reply = Tokens::new(1).issue(&Oauth::default(), NOW, &call(basic, query, body));
            assert_eq!(reply.status, status, "{basic:?} {query} {body}");
            assert!(String::from_utf8_lossy(&reply.body).contains(text));
        }
    }

    #[test]
    fn a_json_body_is_no_form() {
        let mut json = call(Some(GOOD), "", "{}");
        json.headers.insert("content-type", "application/json".parse().unwrap());
        assert_eq!(Tokens::new(1).issue(&Oauth::default(), NOW, &json).status, 415);
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let mut tokens = Tokens::new(1);
        let oauth = Oauth { expires_in: 60, ..Oauth::default() };
        let token = token_of(&tokens.issue(&oauth, NOW, &call(Some(GOOD), FORM, "")));
        assert!(tokens.check(NOW.plus(Duration::from_secs(59)), &bearer(&token)).is_ok());
        let late = NOW.plus(Duration::from_secs(60));
        assert_eq!(tokens.check(late, &bearer(&token)).unwrap_err(), TokenFault::Expired);
        assert_eq!(tokens.check(NOW, &bearer("made-up")).unwrap_err(), TokenFault::Unknown);
        assert_eq!(tokens.check(NOW, &call(None, "", "")).unwrap_err(), TokenFault::Missing);
        assert_eq!((tokens.live(NOW), tokens.live(late)), (1, 0));
    }

    #[test]
    fn a_new_token_kills_the_one_before_only_when_set_so() {
        for one_live_token in [false, true] {
            let mut tokens = Tokens::new(1);
            let oauth = Oauth { one_live_token, ..Oauth::default() };
            let first = token_of(&tokens.issue(&oauth, NOW, &call(Some(GOOD), FORM, "")));
            let second = token_of(&tokens.issue(&oauth, NOW, &call(Some(GOOD), FORM, "")));
            assert_ne!(first, second);
            assert_eq!(tokens.check(NOW, &bearer(&first)).is_ok(), !one_live_token);
            assert!(tokens.check(NOW, &bearer(&second)).is_ok());
        }
    }
}

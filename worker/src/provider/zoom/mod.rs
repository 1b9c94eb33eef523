//! Zoom, through a server-to-server OAuth app.
//!
//! Sources: Zoom's API reference (`PUT /users/{userId}/status`, `GET /users`, `GET /users/{userId}`, and what `restore.rs` names),
//! its "Rate limits" page, and "Server-to-Server OAuth".

mod access;
mod classify;
mod directory;
#[cfg(test)]
mod fuzz;
mod grant;
mod heard;
mod json;
mod rates;
mod restore;
mod said;
mod throttle;
mod token;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::join_all;
use http::{Method, header::AUTHORIZATION};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Client;
use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;
use usher_shared::{
    AccountName, Action, ResolvedUser, Restore, Status, Timestamp, UserRef, Verdict,
    config::{SecretError, ZoomConfig},
};

use super::{
    Access, Call, Cursor, Examined, Label, Page, Part, Provider, ProviderError, ProviderOptions, Rate, Reply,
    Restorable,
    http::{Answer, PAGE_BODY, SMALL_BODY, check_address, client, exchange},
    strike::strike,
    token::{Fleet, Tokens},
};
use crate::metrics;
use directory::NoUser;
pub use rates::{LIGHT, MEDIUM};
pub(super) use rates::{label, rates};
pub(super) use restore::{RESTORABLE, never_given_back};
use token::{Credentials, ZoomTokens};

/// Zoom's guide allows 300 users a page; one of its specifications says 2,000. The guide's is safe.
const PAGE_SIZE: u64 = 300;
/// The roles' ids: `GET /roles`, "0" for the owner, "1" for administrators, "2" for members, other texts for roles of one's own.
const OWNER: &str = "0";
const ADMIN: &str = "1";
const MEMBER: &str = "2";

/// All that is not RFC 3986's "unreserved": an id or address becomes one path segment, whatever is in it.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One Zoom account.
#[derive(Debug)]
pub struct ZoomProvider {
    account: AccountName,
    base_url: String,
    client: Client,
    tokens: Tokens,
    /// So that it can be struck from what a vendor echoes.
    client_secret: SecretString,
    rates: Vec<Rate>,
    options: ProviderOptions,
}

impl ZoomProvider {
    /// Sets the account up; reads its secrets, makes no call.
    pub fn new(
        account: &AccountName,
        config: &ZoomConfig,
        options: ProviderOptions,
    ) -> Result<Self, ProviderError> {
        let name = account.as_str();
        check_address(name, "base_url", &config.base_url)?;
        check_address(name, "token_url", &config.token_url)?;
        let rates = rates::rates(name, config)?;
        let secret = |key: &'static str| {
            move |source: SecretError| ProviderError::Secret { account: name.to_owned(), key, source }
        };
        let credentials = Credentials {
            token_url: config.token_url.clone(),
            account_id: config.account_id.read().map_err(secret("account_id"))?,
            client_id: config.client_id.read().map_err(secret("client_id"))?,
            client_secret: config.client_secret.read().map_err(secret("client_secret"))?,
            whence: grant::Whence {
                account: name.to_owned(),
                client_secret: config.client_secret.to_string(),
            },
        };
        let client = client(name, &options, &[&config.base_url, &config.token_url])?;
        let client_secret = credentials.client_secret.clone();
        let (clock, call_timeout) = (Arc::clone(&options.clock), options.call_timeout);
        let fleet = options
            .shelf
            .clone()
            .map(|shelf| Fleet::new(account, shelf, credentials.sealing(), call_timeout));
        let source = ZoomTokens {
            account: account.clone(),
            client: client.clone(),
            credentials,
            clock: Arc::clone(&clock),
        };
        let tokens = Tokens::new(account, Box::new(source), fleet, clock, call_timeout);
        let base_url = config.base_url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { account: account.clone(), base_url, client, tokens, client_secret, rates, options })
    }

    /// One call, its token included, within the call's timeout.
    async fn call(
        &self,
        call: Call,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&serde_json::Value>,
    ) -> Result<(Answer, Reply), Reply> {
        let (answer, reply) = self.ask(call, method, path, query, body).await?;
        if reply.verdict == Verdict::Applied { Ok((answer, reply)) } else { Err(reply) }
    }

    /// The same, with the answer whatever it means; `Err` where none came. A 401 drops the token that was used, and so does
    /// a missing scope: a scope that is added shows in a new token only.
    async fn ask(
        &self,
        call: Call,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&serde_json::Value>,
    ) -> Result<(Answer, Reply), Reply> {
        let deadline = Instant::now() + self.options.call_timeout;
        let token = self.tokens.current(deadline).await?;
        let url = Url::parse(&format!("{}{path}", self.base_url)).map_err(|_| self.unbuildable())?;
        let mut request = self.client.request(method, url);
        if !query.is_empty() {
            request = request.query(query);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut request = request.build().map_err(|_| self.unbuildable())?;
        request.headers_mut().insert(AUTHORIZATION, token.bearer.clone());
        let limit = if call == Call::List { PAGE_BODY } else { SMALL_BODY };
        let (began, label) = (Instant::now(), rates::label(call));
        let answered = exchange(&self.client, request, limit, deadline).await;
        let http = answered.as_ref().ok().map(|answer| answer.status);
        metrics::called(&self.account, label, metrics::call_word(call), http, began.elapsed());
        let mut answer = match answered {
            Ok(answer) => answer,
            Err(none) => {
                let mut reply = Reply::from(none);
                reply.may_have_applied &= call.changes();
                return Err(reply);
            }
        };
        strike(&mut answer, &[&token.secret, &self.client_secret]);
        let reply = classify::classify(call, &answer, self.now());
        if reply.verdict == Verdict::Throttled {
            metrics::refused(&self.account, label);
        }
        if reply.verdict == Verdict::Unauthorized || reply.halt.is_some() {
            self.tokens.refused(&token);
        }
        Ok((answer, reply))
    }

    fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    fn unbuildable(&self) -> Reply {
        Reply {
            code: Some("request".to_owned()),
            message: Some(format!("no valid address can be made from base_url of account {}", self.account)),
            ..Reply::of(Verdict::Rejected)
        }
    }

    fn page(&self, answer: &Answer, cursor: &Cursor, status: Status) -> Result<Page, Reply> {
        let Some(page) = directory::page(answer.body.bytes(), status) else {
            return Err(unreadable(answer, "a page of users"));
        };
        if page.unreadable > 0 {
            tracing::warn!(account = %self.account, entries = page.unreadable, "listed entries without an id or address");
        }
        let next = page.next_page_token.map(|token| Cursor { listing: cursor.listing, page: Some(token) });
        Ok(Page { users: page.users, next, total: page.total_records })
    }

    async fn set_status(&self, action: Action, user: &ResolvedUser) -> Reply {
        let name = if user.id.is_empty() { user.email.as_deref().unwrap_or_default() } else { &user.id };
        let Some(segment) = segment(name) else { return unnameable(name) };
        let body = serde_json::json!({ "action": action.as_str() });
        let path = format!("/users/{segment}/status");
        match self.call(Call::Apply(action), Method::PUT, &path, &[], Some(&body)).await {
            Ok((_, reply)) | Err(reply) => reply,
        }
    }
}

/// A user's id or address as one segment of a path. `None` for what a URL reads as another path: nothing, `.` and `..`, and
/// Zoom's own word for the token's user. A name with a slash is encoded twice (Zoom's "Using Zoom APIs", double encoding).
fn segment(name: &str) -> Option<String> {
    if matches!(name, "" | "." | "..") || name.eq_ignore_ascii_case("me") {
        return None;
    }
    let once = utf8_percent_encode(name, SEGMENT).to_string();
    // Zoom decodes once before it splits the path: a slash in an id must come through that.
    Some(if name.contains('/') { utf8_percent_encode(&once, SEGMENT).to_string() } else { once })
}

fn unnameable(name: &str) -> Reply {
    Reply {
        code: Some("user".to_owned()),
        message: Some(format!("{name:?} does not name one user in an address")),
        ..Reply::of(Verdict::Rejected)
    }
}

fn unreadable(answer: &Answer, what: &str) -> Reply {
    Reply {
        http: Some(answer.status),
        code: Some("body".to_owned()),
        message: Some(format!("Zoom's answer is not {what}")),
        ..Reply::of(Verdict::Transient)
    }
}

#[async_trait]
impl Provider for ZoomProvider {
    fn rates(&self) -> Vec<Rate> {
        self.rates.clone()
    }

    fn label(&self, call: Call) -> Label {
        rates::label(call)
    }

    fn batch(&self) -> usize {
        1
    }

    fn page_size(&self) -> u64 {
        PAGE_SIZE
    }

    fn listings(&self) -> Vec<Cursor> {
        ["active", "inactive", "pending"].map(|listing| Cursor { listing, page: None }).into()
    }

    fn call_timeout(&self) -> Duration {
        self.options.call_timeout
    }

    fn protected_role(&self, user: &ResolvedUser) -> Option<&'static str> {
        match user.before.role.as_deref() {
            Some(OWNER) => Some("owner"),
            Some(ADMIN) => Some("admin"),
            _ => None,
        }
    }

    fn blocked(&self, user: &ResolvedUser, _action: Action) -> Option<(&'static str, &'static str)> {
        (user.before.status == Status::Pending).then_some((
            "pending",
            "the user was invited and never signed in; Zoom changes the status of no such user",
        ))
    }

    async fn apply(&self, action: Action, users: &[&ResolvedUser]) -> Vec<Reply> {
        join_all(users.iter().map(|user| self.set_status(action, user))).await
    }

    fn lacking(&self, restore: &Restore, now: &ResolvedUser) -> Vec<Part> {
        restore::lacking(restore, now)
    }

    async fn give_back(&self, part: &Part, user: &ResolvedUser) -> Reply {
        restore::give_back(self, part, user).await
    }

    fn unlicensed(&self) -> &'static str {
        "Basic"
    }

    fn restorable(&self) -> Restorable {
        RESTORABLE
    }

    async fn look_up(&self, user: &UserRef) -> Result<Option<ResolvedUser>, Reply> {
        let segment = segment(user.as_str()).ok_or_else(|| unnameable(user.as_str()))?;
        match self.call(Call::LookUp, Method::GET, &format!("/users/{segment}"), &[], None).await {
            Ok((answer, _)) => match directory::single(answer.body.bytes()) {
                Ok(found) if directory::is_asked_for(&found, user) => Ok(Some(found)),
                // Refused alone, too: an address that Zoom knows under another name would never be answered otherwise.
                Ok(_) => Err(Reply {
                    verdict: Verdict::Rejected,
                    code: Some("other_user".to_owned()),
                    message: Some(
                        "Zoom answered about another user than the one who was asked for".to_owned(),
                    ),
                    ..unreadable(&answer, "")
                }),
                Err(NoUser::NotZoom) => Err(unreadable(&answer, "a user")),
                // One such user must not hold up everybody else: it is refused alone.
                Err(NoUser::Incomplete) => Err(Reply {
                    verdict: Verdict::Rejected,
                    code: Some("incomplete".to_owned()),
                    ..unreadable(&answer, "a user with a name and a status that is known")
                }),
            },
            Err(reply) if reply.verdict == Verdict::NotFound => Ok(None),
            Err(reply) => Err(reply),
        }
    }

    async fn list(&self, cursor: &Cursor) -> Result<Page, Reply> {
        let status = match cursor.listing {
            "inactive" => Status::Inactive,
            "pending" => Status::Pending,
            _ => Status::Active,
        };
        let page_size = PAGE_SIZE.to_string();
        let mut query = vec![("status", cursor.listing), ("page_size", page_size.as_str())];
        if let Some(page) = &cursor.page {
            query.push(("next_page_token", page));
        }
        let (answer, _) = self.call(Call::List, Method::GET, "/users", &query, None).await?;
        self.page(&answer, cursor, status)
    }

    async fn access(&self) -> Result<Access, Reply> {
        let token = self.tokens.current(Instant::now() + self.options.call_timeout).await?;
        Ok(access::access(token.scopes.as_deref()))
    }

    async fn examine(&self) -> Examined {
        let access = self.access().await;
        let nothing = Examined { access, page: None, clocks: None, told: None };
        if nothing.access.is_err() {
            return nothing;
        }
        let (cursor, page_size) = (Cursor { listing: "active", page: None }, PAGE_SIZE.to_string());
        let query = [("status", cursor.listing), ("page_size", page_size.as_str())];
        let before = self.now();
        match self.ask(Call::List, Method::GET, "/users", &query, None).await {
            Ok((answer, reply)) => {
                let ours = before.after(self.now().since(before) / 2);
                Examined {
                    clocks: heard::date(&answer.headers).map(|vendors| (vendors, ours)),
                    told: heard::limit(&answer.headers),
                    page: Some(match reply.verdict {
                        Verdict::Applied => self.page(&answer, &cursor, Status::Active),
                        _ => Err(reply),
                    }),
                    ..nothing
                }
            }
            Err(reply) => Examined { page: Some(Err(reply)), ..nothing },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_path_segment_whatever_is_in_it() {
        let base = "https://api.zoom.us/v2";
        for (name, expected) in [
            ("KDcuGIm1QgePTO8WbOqwIQ", "KDcuGIm1QgePTO8WbOqwIQ"),
            ("a.b-c_d~e", "a.b-c_d~e"),
            ("ann+x@corp.example", "ann%2Bx%40corp.example"),
            ("a/b", "a%252Fb"),
            ("/ab+c//d==", "%252Fab%252Bc%252F%252Fd%253D%253D"),
            ("../users", "..%252Fusers"),
            ("a?b#c%d e", "a%3Fb%23c%25d%20e"),
            ("%2e%2e", "%252e%252e"),
            ("ü", "%C3%BC"),
        ] {
            let segment = segment(name).unwrap();
            assert_eq!(segment, expected);
            let url = Url::parse(&format!("{base}/users/{segment}/status")).unwrap();
            assert_eq!(
                url.path_segments().unwrap().collect::<Vec<_>>(),
                ["v2", "users", &*segment, "status"]
            );
            assert!(url.query().is_none() && url.fragment().is_none());
        }
        for bad in ["", ".", "..", "me", "Me"] {
            assert!(segment(bad).is_none(), "{bad:?}");
        }
    }
}

//! Calls an account without a server, in virtual time; for the tests of its rules.

use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::Value;

use super::account::{Account, Ticket};
use super::directory::{SimUser, Trouble};
use super::settings::{Population, Settings};
use crate::clock::{Clock, Moment};
use crate::message::{Call, Reply};
use crate::server::{End, Vendor};

pub(super) struct Caller {
    pub(super) account: Account,
    pub(super) clock: Clock,
    token: Option<String>,
}

/// One or two users of each kind.
pub(super) fn every_kind() -> Population {
    Population {
        users: 20,
        admins: 2,
        pending: 2,
        upcoming_event: 2,
        force_locked: 2,
        zoom_rooms: 2,
        activation_not_approved: 2,
        already_inactive: 2,
        ..Population::default()
    }
}

impl Caller {
    pub(super) fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { directory: every_kind(), ..Settings::default() };
        change(&mut settings);
        settings.check().unwrap();
        let clock = Clock::manual(Moment::from_timestamp("2026-03-01T10:00:00Z".parse().unwrap()));
        let account = Account::new(settings, clock.now());
        let mut caller = Self { account, clock, token: None };
        caller.renew_token();
        caller
    }

    pub(super) fn renew_token(&mut self) {
        let mut call =
            request("POST", "/oauth/token?grant_type=account_credentials&account_id=sim-account", None);
        let basic = "Basic c2ltLWNsaWVudDpzaW0tc2VjcmV0";
        call.headers.insert("authorization", basic.parse().unwrap());
        let reply = replied(self.send(&call));
        self.token = Some(json(&reply)["access_token"].as_str().unwrap().to_owned());
    }

    pub(super) fn advance(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    /// A user of this kind.
    pub(super) fn someone(&self, trouble: Trouble) -> SimUser {
        self.account.users().into_iter().find(|user| user.trouble == trouble).unwrap()
    }

    pub(super) fn now_of(&self, user: &SimUser) -> SimUser {
        self.account.user(&user.email).unwrap()
    }

    pub(super) fn authorized(&self, method: &str, target: &str, body: Option<&str>) -> Call {
        let mut call = request(method, target, body);
        let bearer = format!("Bearer {}", self.token.as_deref().unwrap());
        call.headers.insert("authorization", bearer.parse().unwrap());
        call
    }

    pub(super) fn arrive(&mut self, call: &Call) -> Ticket {
        let (_, nth) = self.account.travel(call);
        let now = self.clock.now();
        self.account.arrive(now, now, call, nth)
    }

    pub(super) fn finish(&mut self, call: &Call, ticket: Ticket) -> End {
        self.account.finish(self.clock.now(), call, ticket)
    }

    pub(super) fn send(&mut self, call: &Call) -> End {
        let ticket = self.arrive(call);
        self.finish(call, ticket)
    }

    pub(super) fn call(&mut self, method: &str, target: &str, body: Option<&str>) -> Reply {
        replied(self.send(&self.authorized(method, target, body)))
    }

    pub(super) fn get(&mut self, target: &str) -> (u16, Value) {
        let reply = self.call("GET", target, None);
        (reply.status, json(&reply))
    }

    pub(super) fn set_status(&mut self, name: &str, action: &str) -> (u16, Value) {
        let body = format!(r#"{{"action":"{action}"}}"#);
        let reply = self.call("PUT", &format!("/v2/users/{name}/status"), Some(&body));
        (reply.status, if reply.body.is_empty() { Value::Null } else { json(&reply) })
    }

    pub(super) fn control(&mut self, method: &str, target: &str, body: Option<&str>) -> (u16, Value) {
        let reply = self.account.control(self.clock.now(), &request(method, target, body));
        (reply.status, if reply.body.is_empty() { Value::Null } else { json(&reply) })
    }
}

pub(super) fn request(method: &str, target: &str, body: Option<&str>) -> Call {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    if body.is_some() {
        headers.insert("content-type", "application/json".parse().unwrap());
    }
    Call {
        method: method.parse::<Method>().unwrap(),
        path: path.into(),
        query: query.into(),
        headers,
        body: body.unwrap_or_default().to_owned().into(),
    }
}

pub(super) fn replied(end: End) -> Reply {
    match end {
        End::Reply(reply) => reply,
        other => panic!("no reply but {other:?}"),
    }
}

pub(super) fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

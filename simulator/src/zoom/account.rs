//! One simulated account: what becomes of a call from its arrival to its end.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use serde_json::json;

use super::beside::{no_endpoint, path_digest, server_error, user_of};
use super::control;
use super::directory::{Directory, Seat, SimUser, UserChange};
use super::injection::RefusalKind;
use super::limiter::{Headroom, Limiter, Refusal};
use super::listing::Cursors;
use super::oauth::{TokenFault, Tokens};
use super::population::populate;
use super::refusal::{Refused, add_headroom, refuse};
use super::route::{Miss, Route};
use super::settings::Settings;
use crate::clock::Moment;
use crate::faults::{Draw, Fate, Faults, OutageMode};
use crate::flight::InFlight;
use crate::journal::{Journal, Place};
use crate::message::{Call, Reply, decode_segment};
use crate::record::{Change, Ending, Recorder, Report, Waiting};
use crate::seeded::digest;
use crate::server::{End, Travel, Vendor};

const TRACKING: HeaderName = HeaderName::from_static("x-zm-trackingid");
const NO_ENDPOINT: &str = "no endpoint";

/// The state of one account, and of the simulator around it.
pub(crate) struct Account {
    pub(super) settings: Settings,
    pub(super) start: Moment,
    pub(super) limiter: Limiter,
    pub(super) tokens: Tokens,
    pub(super) directory: Directory,
    pub(super) groups: Vec<Arc<str>>,
    pub(super) seats: u64,
    pub(super) cursors: Cursors,
    pub(super) recorder: Recorder,
    pub(super) journal: Journal,
    pub(super) flight: InFlight<u64>,
    /// Calls with a good token so far: planted refusals go by this number.
    call_number: u64,
    replies: u64,
    repeats: HashMap<u64, u64>,
}

/// What was decided about a call when it arrived.
pub(crate) struct Ticket {
    route: Option<Route>,
    key: Option<u64>,
    plan: Plan,
    place: Option<Place>,
}

enum Plan {
    Cut,
    Answer(Reply),
    Refuse { refusal: Refusal, wait_told: bool },
    Serve { fate: Fate, headroom: Option<Headroom> },
}

impl Account {
    pub(crate) fn new(settings: Settings, start: Moment) -> Self {
        let populated = populate(&settings.directory, settings.seed, start);
        let licensed = populated.directory.counts().licensed;
        let mut recorder = Recorder::new(start);
        recorder.set_reading_time(settings.limits.reading_time());
        Self {
            seats: settings.directory.seats.unwrap_or(licensed + licensed.div_ceil(20)),
            limiter: Limiter::new(settings.limits.clone(), start, start),
            tokens: Tokens::new(settings.seed),
            directory: populated.directory,
            groups: populated.groups,
            cursors: Cursors::new(settings.seed),
            recorder,
            journal: Journal::default(),
            flight: InFlight::new(),
            call_number: 0,
            replies: 0,
            repeats: HashMap::new(),
            settings,
            start,
        }
    }

    /// Finds a user by id or e-mail address, decoded once more where that is needed: ids that hold a slash are
    /// encoded twice. `me` is the owner, who made the app.
    pub(super) fn find(&self, name: &str) -> Option<Seat> {
        if name == "me" {
            return self.directory.owner();
        }
        self.directory.find(name).or_else(|| {
            let twice = name.contains('%').then(|| decode_segment(name)).flatten()?;
            self.directory.find(&twice)
        })
    }

    pub(super) fn record_change(
        &mut self,
        now: Moment,
        seat: Seat,
        action: impl Into<Cow<'static, str>>,
        changed: bool,
    ) {
        let Some(user) = self.directory.get(seat) else { return };
        self.recorder.changed(Change {
            user: user.email.clone(),
            id: user.id.clone(),
            action: action.into(),
            at: now.to_timestamp(),
            changed,
        });
    }

    pub(crate) fn report(&self, now: Moment, with_changes: bool) -> Report {
        Report {
            max_concurrent_per_user: self.flight.most(),
            tokens_issued: self.tokens.issued(),
            live_tokens: self.tokens.live(now),
            other_app_calls: self.limiter.other_calls(),
            other_app_refused: self.limiter.other_refused(),
            ..self.recorder.report(now, with_changes)
        }
    }

    /// Forgets what was recorded. Users, tokens, limits, planted refusals and faults stay as they are.
    pub(crate) fn reset_record(&mut self) {
        self.recorder.reset();
        self.journal.forget();
        self.flight.forget_most();
        self.tokens.forget_issued();
    }

    pub(crate) fn users(&self) -> Vec<SimUser> {
        self.directory.from(0).map(|(_, user)| user.clone()).collect()
    }

    pub(crate) fn user(&self, name: &str) -> Option<SimUser> {
        self.find(name).and_then(|seat| self.directory.get(seat)).cloned()
    }

    /// Changes a user by hand; no call is counted and no change recorded.
    pub(crate) fn update_user(&mut self, name: &str, change: UserChange) -> Option<SimUser> {
        let seat = self.find(name)?;
        self.directory.change(seat, |user| change.apply(user));
        self.directory.get(seat).cloned()
    }

    pub(crate) fn remove_user(&mut self, name: &str) -> Option<SimUser> {
        let seat = self.find(name)?;
        self.directory.remove(seat)
    }

    /// Takes new settings over, except for those that only matter at the start.
    pub(crate) fn set(&mut self, now: Moment, settings: Settings) -> Result<(), String> {
        settings.check()?;
        let old = &self.settings;
        let fixed = [
            ("addr", old.addr == settings.addr),
            ("seed", old.seed == settings.seed),
            ("clock_start", old.clock_start == settings.clock_start),
            ("directory", old.directory == settings.directory),
        ];
        if let Some((name, _)) = fixed.iter().find(|(_, same)| !same) {
            return Err(format!("{name} can't be changed while the simulator runs"));
        }
        if old.limits != settings.limits {
            self.limiter = Limiter::new(settings.limits.clone(), self.start, now);
            self.recorder.set_reading_time(settings.limits.reading_time());
        }
        self.settings = settings;
        Ok(())
    }

    fn draw(&self, call: &Call, nth: u64) -> Draw {
        self.settings.faults.draw(self.settings.seed, path_digest(call), nth)
    }

    fn is_silent(&self, call: &Call, route: &Route) -> bool {
        let silent = &self.settings.faults.silent_about;
        call.method != http::Method::GET
            && route.user().is_some_and(|user| silent.iter().any(|name| name.eq_ignore_ascii_case(user)))
    }

    fn meets_faults(&self, call: &Call) -> bool {
        self.settings.faults != Faults::default()
            && (self.settings.faults.on_tokens || call.path != "/oauth/token")
    }

    /// Decides about a call for an endpoint, in the order of a gateway: token, limits, scopes.
    fn admit(
        &mut self,
        now: Moment,
        seen: Moment,
        call: &Call,
        route: &Route,
        fate: Fate,
    ) -> (Plan, Option<u64>) {
        if *route == Route::Token {
            return (Plan::Serve { fate, headroom: None }, None);
        }
        let scoped = match self.tokens.check(now, call) {
            Ok(grant) => grant.has_one_of(route.scopes()),
            Err(fault) => return (Plan::Answer(TokenFault::reply(fault)), None),
        };
        self.call_number += 1;
        let label = route.label();
        self.recorder.arrived(label.name(), now);
        if matches!(route, Route::SetStatus(_)) {
            self.recorder.arrived("status", now);
        }
        let name = user_of(route, call);
        let key = name.as_deref().map(|name| match self.find(name) {
            Some(seat) => seat.key(),
            None => digest(name) | 1 << 63,
        });
        let of_label = Waiting::Group(label.name());
        self.recorder.check_waits(route.name(), seen, &[of_label, key.map_or(of_label, Waiting::User)]);
        let in_flight = key.map_or(0, |key| self.flight.enter(key));
        (self.limit(now, route, key, in_flight, scoped, fate), key)
    }

    fn limit(
        &mut self,
        now: Moment,
        route: &Route,
        key: Option<u64>,
        in_flight: u32,
        scoped: bool,
        fate: Fate,
    ) -> Plan {
        let limits = &self.settings.limits;
        if let Some(inject) = limits.inject_429.iter().find(|inject| inject.hits(self.call_number)) {
            let wait = inject.wait_s.map(Duration::from_secs);
            let refusal = self.limiter.planted(inject.kind, route.label(), now, wait);
            return Plan::Refuse { refusal, wait_told: wait.is_some() };
        }
        let changed_user = key.filter(|_| route.changes_a_user());
        let headroom = match self.limiter.take(now, route.label(), changed_user) {
            Ok(headroom) => headroom,
            Err(refusal) => return Plan::Refuse { refusal, wait_told: false },
        };
        if in_flight > 1 && !limits.allow_concurrent_calls_on_a_user {
            let refusal = self.limiter.planted(RefusalKind::Concurrent, route.label(), now, None);
            return Plan::Refuse { refusal, wait_told: false };
        }
        if !scoped {
            let status = self.settings.rules.missing_scope_status;
            let scopes = route.scopes().join(", ");
            let message = format!("Invalid access token, does not contain scopes:[{scopes}].");
            return Plan::Answer(Reply::json(status, &json!({"code": 4711, "message": message})));
        }
        Plan::Serve { fate, headroom: Some(headroom) }
    }

    fn perform(&mut self, now: Moment, call: &Call, route: &Route) -> Reply {
        match route {
            Route::Token => self.tokens.issue(&self.settings.oauth, now, call),
            Route::ListUsers => self.list_users(now, call),
            Route::Summary => self.summary(),
            Route::GetUser(user) => self.get_user(user),
            Route::UpdateUser(user) => self.update(now, call, user),
            Route::SetStatus(user) => self.set_status(now, call, user),
            Route::RevokeToken(user) => self.revoke_token(now, user),
            Route::PlanUsage => self.plan_usage(),
            Route::AddGroupMembers(group) => self.add_group_members(now, call, group),
            Route::AssignRole(role) => self.assign_role(now, call, role),
            Route::UnassignRole { role, member } => self.unassign_role(now, role, member),
        }
    }

    /// The reply to a refused call, recorded.
    fn refuse(
        &mut self,
        now: Moment,
        route: &Route,
        key: Option<u64>,
        refusal: Refusal,
        wait_told: bool,
    ) -> Reply {
        let Refused { reply, told_until } = refuse(&self.settings.limits, route, refusal, now, wait_told);
        self.recorder.throttled(refusal.kind.name());
        if let Some(until) = told_until {
            let of_label = Waiting::Group(route.label().name());
            let waiting = match refusal.kind {
                RefusalKind::Second | RefusalKind::Day => of_label,
                RefusalKind::UserDay | RefusalKind::Concurrent => key.map_or(of_label, Waiting::User),
            };
            self.recorder.told(waiting, now, until);
        }
        reply
    }

    fn end(&mut self, now: Moment, call: &Call, ticket: &mut Ticket) -> (End, Ending) {
        let plan = std::mem::replace(&mut ticket.plan, Plan::Cut);
        let reply = match (plan, &ticket.route) {
            (Plan::Cut, _) => return (End::Close, Ending::Closed),
            (Plan::Answer(reply), _) => reply,
            (Plan::Refuse { refusal, wait_told }, Some(route)) => {
                self.refuse(now, route, ticket.key, refusal, wait_told)
            }
            (Plan::Serve { fate, headroom }, Some(route)) => {
                let reply = match fate {
                    Fate::Served => self.perform(now, call, route),
                    Fate::Error { status, applied } => {
                        if applied {
                            self.perform(now, call, route);
                        }
                        server_error(status)
                    }
                    Fate::Lost => {
                        self.perform(now, call, route);
                        return (End::Close, Ending::Lost);
                    }
                    Fate::Hung { applied } => {
                        if applied {
                            self.perform(now, call, route);
                        }
                        return (End::Hang(ticket.key.take()), Ending::Hung);
                    }
                    Fate::Rubbish => Reply::html(200, "Please sign in"),
                };
                match headroom {
                    Some(headroom) => add_headroom(reply, &self.settings.limits, route.label(), headroom),
                    None => reply,
                }
            }
            (Plan::Refuse { .. } | Plan::Serve { .. }, None) => no_endpoint(&Miss::NoSuchPath),
        };
        self.replies += 1;
        let ending = Ending::Status(reply.status);
        (End::Reply(reply.with(TRACKING, format!("v=2.0;clid=sim;rid=SIM_{:08x}", self.replies))), ending)
    }
}

impl Vendor for Account {
    type Ticket = Ticket;

    fn control(&mut self, now: Moment, call: &Call) -> Reply {
        control::answer(self, now, call)
    }

    fn travel(&mut self, call: &Call) -> (Travel, u64) {
        if !self.meets_faults(call) {
            return (Travel::default(), 0);
        }
        let repeats = self.repeats.entry(path_digest(call)).or_default();
        let nth = *repeats;
        *repeats += 1;
        let Draw { delay, latency, .. } = self.draw(call, nth);
        (Travel { before: delay, after: latency }, nth)
    }

    fn arrive(&mut self, now: Moment, seen: Moment, call: &Call, nth: u64) -> Ticket {
        let route = Route::parse(&call.method, &call.path);
        let (plan, key) = match (self.settings.faults.outage(now.since(self.start)), &route) {
            (Some(OutageMode::Close), _) => (Plan::Cut, None),
            (Some(OutageMode::Unavailable), _) => (Plan::Answer(server_error(503)), None),
            (None, Err(miss)) => (Plan::Answer(no_endpoint(miss)), None),
            (None, Ok(route)) => {
                let fate = if self.is_silent(call, route) {
                    Fate::Hung { applied: false }
                } else if self.meets_faults(call) {
                    self.draw(call, nth).fate
                } else {
                    Fate::Served
                };
                self.admit(now, seen, call, route, fate)
            }
        };
        let place = self.settings.journal.then(|| {
            let route = route.as_ref().ok();
            let name = route.map_or(NO_ENDPOINT, Route::name);
            let user = route.and_then(|route| user_of(route, call));
            self.journal.arrived(name, user.as_deref(), seen, now)
        });
        Ticket { route: route.ok(), key, plan, place }
    }

    fn finish(&mut self, now: Moment, call: &Call, mut ticket: Ticket) -> End {
        let (end, ending) = self.end(now, call, &mut ticket);
        self.recorder.ended(ticket.route.as_ref().map_or(NO_ENDPOINT, Route::name), ending);
        if let Some(place) = ticket.place {
            self.journal.ended(place, now, ending);
        }
        if let Some(key) = ticket.key {
            self.flight.leave(&key);
        }
        end
    }

    fn left(&mut self, key: u64) {
        self.flight.leave(&key);
    }
}

#[cfg(test)]
mod tests;

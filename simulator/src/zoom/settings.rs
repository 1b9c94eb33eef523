//! What a simulated Zoom account is like. Every field has a default; `POST /_control/settings` changes all but
//! the first four while the simulator runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answers::{AdminAnswer, AlreadyThere, HeaderVariant, PendingAnswer};
use super::injection::{Inject429, OtherApp};
use super::plan::{Label, Plan};
use super::route::GRANULAR_SCOPES;
use crate::faults::Faults;
use crate::rate::WindowKind;
use crate::record::READING_TIME;
use crate::wait::RetryAfterForm;

/// Everything that can be set about a simulated account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where to listen. A loopback address, or the simulator refuses to start; port 0 takes any free port.
    pub addr: SocketAddr,
    /// Fixes the users and the faults.
    pub seed: u64,
    /// What time it is in the simulator when it starts (its days end at 00:00 UTC of this time); now by default.
    pub clock_start: Option<Timestamp>,
    /// Who is in the directory.
    pub directory: Population,
    /// The app that may call, and its tokens.
    pub oauth: Oauth,
    /// How fast calls may come, and how a refusal says so.
    pub limits: Limits,
    /// How Zoom acts where its documents leave it open.
    pub rules: Rules,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether every call is written down, for `GET /_control/calls`. It costs memory by the call.
    pub journal: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            clock_start: None,
            directory: Population::default(),
            oauth: Oauth::default(),
            limits: Limits::default(),
            rules: Rules::default(),
            faults: Faults::default(),
            journal: false,
        }
    }
}

impl Settings {
    /// Refuses what contradicts itself. The message names the field.
    pub fn check(&self) -> Result<(), String> {
        self.faults.check().map_err(|why| format!("faults: {why}"))?;
        if !(0.0..=1.0).contains(&self.directory.licensed_share) {
            return Err("directory.licensed_share lies between 0 and 1".to_owned());
        }
        if self.directory.total() > u64::from(u32::MAX) {
            return Err("directory: at most 4,294,967,295 users".to_owned());
        }
        if !(1..=2000).contains(&self.rules.max_page_size) {
            return Err("rules.max_page_size lies between 1 and 2000".to_owned());
        }
        if !(200..300).contains(&self.rules.success_status) {
            return Err("rules.success_status is a 2xx".to_owned());
        }
        if ![1, 2, 4, 99].contains(&self.rules.deactivated_type) {
            return Err("rules.deactivated_type is 1, 2, 4 or 99".to_owned());
        }
        if !(400..500).contains(&self.rules.missing_scope_status) {
            return Err("rules.missing_scope_status is a 4xx".to_owned());
        }
        if self.limits.inject_429.iter().any(|i| i.at == 0) {
            return Err("limits.inject_429: the first call is number 1".to_owned());
        }
        Ok(())
    }
}

/// Who is in the directory at the start, besides the one owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Population {
    /// Active members about whom nothing is special.
    pub users: u32,
    /// Admins (role "1"): can't be activated or deactivated.
    pub admins: u32,
    /// Invited and never activated: no id, found by e-mail address only.
    pub pending: u32,
    /// Hosts of an upcoming Zoom Event: can't be deactivated (400/300).
    pub upcoming_event: u32,
    /// Force locked (400/1000).
    pub force_locked: u32,
    /// Zoom Rooms (400/200).
    pub zoom_rooms: u32,
    /// Inactive, and not to be activated (400/3412).
    pub activation_not_approved: u32,
    /// Inactive.
    pub already_inactive: u32,
    /// The part of the ordinary users with a licence (type 2), 0.0 to 1.0.
    pub licensed_share: f64,
    /// Licences that the account has paid for; by default a twentieth more than are used at the start.
    pub seats: Option<u64>,
    /// The domain of all e-mail addresses.
    pub domain: String,
}

impl Population {
    /// All users, the owner included.
    pub fn total(&self) -> u64 {
        let counts = [
            self.users,
            self.admins,
            self.pending,
            self.upcoming_event,
            self.force_locked,
            self.zoom_rooms,
            self.activation_not_approved,
            self.already_inactive,
        ];
        1 + counts.into_iter().map(u64::from).sum::<u64>()
    }
}

impl Default for Population {
    fn default() -> Self {
        Self {
            users: 1000,
            admins: 0,
            pending: 0,
            upcoming_event: 0,
            force_locked: 0,
            zoom_rooms: 0,
            activation_not_approved: 0,
            already_inactive: 0,
            licensed_share: 0.7,
            seats: None,
            domain: "corp.example".to_owned(),
        }
    }
}

/// The server-to-server OAuth app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Oauth {
    /// The account's id, as `account_id` in calls for tokens.
    pub account_id: String,
    /// The app's id.
    pub client_id: String,
    /// The app's secret. It is no secret: nothing but this simulator accepts it.
    pub client_secret: String,
    /// The scopes of tokens issued from now on, granular or classic.
    pub scopes: Vec<String>,
    /// How long tokens issued from now on live, in seconds.
    pub expires_in: u64,
    /// Whether a new token ends the life of the one before, as it did in 2022.
    pub one_live_token: bool,
    /// The base URL that the answer names as `api_url`.
    pub api_url: String,
}

impl Default for Oauth {
    fn default() -> Self {
        Self {
            account_id: "sim-account".to_owned(),
            client_id: "sim-client".to_owned(),
            client_secret: "sim-secret".to_owned(),
            scopes: GRANULAR_SCOPES.iter().map(|&scope| scope.to_owned()).collect(),
            expires_in: 3600,
            one_live_token: false,
            api_url: "https://api.zoom.us".to_owned(),
        }
    }
}

/// How fast calls may come, and how a refusal says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The plan that the numbers come from.
    pub plan: Plan,
    /// Light calls a second, instead of the plan's.
    pub light: Option<u32>,
    /// Medium calls a second, instead of the plan's.
    pub medium: Option<u32>,
    /// Heavy calls a second, instead of the plan's.
    pub heavy: Option<u32>,
    /// Resource-intensive calls a minute, instead of the plan's.
    pub resource_intensive: Option<u32>,
    /// Light calls a day, instead of the plan's.
    pub light_per_day: Option<u64>,
    /// Medium calls a day, instead of the plan's.
    pub medium_per_day: Option<u64>,
    /// Heavy and resource-intensive calls a day together, instead of the plan's.
    pub heavy_per_day: Option<u64>,
    /// Changing calls on one user a day (429 of its own kind); none by default.
    pub per_user_per_day: Option<u32>,
    /// How time is cut into windows; Zoom doesn't say.
    pub window: WindowKind,
    /// Whether refused calls use up windows and quotas like others; Zoom doesn't say.
    pub count_refused: bool,
    /// Whether a second call on a user is let in while one is in flight (Zoom may refuse it).
    pub allow_concurrent_calls_on_a_user: bool,
    /// `Retry-After` on refusals by the second.
    pub retry_after_second: RetryAfterForm,
    /// `Retry-After` on refusals by the day. `None` here stands for the documented ISO date-time.
    pub retry_after_day: Option<RetryAfterForm>,
    /// Which `X-RateLimit-*` headers replies carry.
    pub headers: HeaderVariant,
    /// The `code` in the body of a refusal; 429 by default (4001 has been seen).
    pub code_429: Option<u32>,
    /// How long after a refusal was sent calls may still arrive without counting as made while told to wait, in
    /// milliseconds; 5 by default.
    pub reading_time_ms: Option<u64>,
    /// Another app of the same account that uses up the same limits.
    pub other_app: Option<OtherApp>,
    /// Refusals planted at certain calls.
    pub inject_429: Vec<Inject429>,
}

impl Limits {
    /// How long after a refusal calls may still arrive.
    pub(crate) fn reading_time(&self) -> Duration {
        self.reading_time_ms.map_or(READING_TIME, Duration::from_millis)
    }

    /// The label's rate in calls a period that replaces the plan's.
    pub const fn override_of(&self, label: Label) -> Option<u32> {
        match label {
            Label::Light => self.light,
            Label::Medium => self.medium,
            Label::Heavy => self.heavy,
            Label::ResourceIntensive => self.resource_intensive,
        }
    }
}

/// How Zoom acts where its documents leave it open, or disagree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// The status of a carried-out status call: 204 as documented, or 200 as one specification says.
    pub success_status: u16,
    /// What a call is answered that asks for the state a user is in already.
    pub already_there: AlreadyThere,
    /// What happens to calls that activate or deactivate an admin or the owner.
    pub admins: AdminAnswer,
    /// What happens to calls that activate or deactivate a pending user.
    pub pending: PendingAnswer,
    /// The code with which an unknown user is answered: 1001 (with 404) or 1010 (with 400).
    pub unknown_user_code: u32,
    /// The type that a deactivated user has: its licences are gone.
    pub deactivated_type: u8,
    /// Whether deactivating takes a user out of its groups.
    pub deactivation_drops_groups: bool,
    /// Whether deactivating makes a user a plain member (role "2").
    pub deactivation_drops_role: bool,
    /// Whether an inactive user may be given a licence.
    pub license_inactive: bool,
    /// The code with which a licence is refused when no seat is free: 2033, 2034, 2038 or 3412.
    pub no_seat_code: u32,
    /// The HTTP status of missing scopes (code 4711): 400 or 401.
    pub missing_scope_status: u16,
    /// The largest `page_size`.
    pub max_page_size: u32,
    /// How long a `next_page_token` lives, in seconds.
    pub page_token_life_s: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            success_status: 204,
            already_there: AlreadyThere::default(),
            admins: AdminAnswer::default(),
            pending: PendingAnswer::default(),
            unknown_user_code: 1001,
            deactivated_type: 1,
            deactivation_drops_groups: false,
            deactivation_drops_role: false,
            license_inactive: false,
            no_seat_code: 2034,
            missing_scope_status: 400,
            max_page_size: 300,
            page_token_life_s: 900,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_back_from_json_as_they_were_and_an_empty_object_is_the_default() {
        let mut settings =
            Settings { seed: 9, clock_start: Some(Timestamp::UNIX_EPOCH), ..Settings::default() };
        settings.limits.other_app = Some("40:light:5000/10000".parse().unwrap());
        settings.limits.inject_429 = vec!["day@7x2".parse().unwrap()];
        settings.limits.retry_after_day = Some(RetryAfterForm::HttpDate);
        settings.rules.already_there = AlreadyThere::Refused(1009);
        settings.faults.outages = vec!["1..2:close".parse().unwrap()];
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
        assert!(serde_json::from_str::<Settings>(r#"{"sede":1}"#).is_err());
        assert!(json.contains(r#""retry_after_day":"http-date""#), "as the command line writes it: {json}");
    }

    #[test]
    fn contradictions_are_refused_by_the_name_of_their_field() {
        type Break = fn(&mut Settings);
        let rows: [(Break, &str); 8] = [
            (|s| s.faults.hangs = -0.1, "hangs"),
            (|s| s.directory.licensed_share = 1.1, "licensed_share"),
            (|s| s.directory.users = u32::MAX, "users"),
            (|s| s.rules.max_page_size = 0, "max_page_size"),
            (|s| s.rules.success_status = 404, "success_status"),
            (|s| s.rules.deactivated_type = 3, "deactivated_type"),
            (|s| s.rules.missing_scope_status = 200, "missing_scope_status"),
            (|s| s.limits.inject_429 = vec!["second@0".parse().unwrap()], "inject_429"),
        ];
        for (broken, field) in rows {
            let mut settings = Settings::default();
            assert_eq!(settings.check(), Ok(()));
            broken(&mut settings);
            let why = settings.check().unwrap_err();
            assert!(why.contains(field), "{field}: {why}");
        }
    }
}

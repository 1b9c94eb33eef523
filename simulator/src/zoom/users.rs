//! The calls about one user besides its status, and the account's counts.

use serde::Serialize;
use serde_json::{Value, json};

use super::account::Account;
use super::answer::{error, invalid, json_object, pending_user, unknown_user};
use super::directory::{SimUser, Status, Trouble, UserChange};
use crate::clock::Moment;
use crate::message::{Call, Reply};

/// A user as Zoom shows it; fields that a user has not are left out.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<&'a str>,
    #[serde(rename = "type")]
    user_type: u8,
    status: &'a str,
    role_id: &'a str,
    dept: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    group_ids: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_login_time: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_client_version: Option<&'a str>,
    user_created_at: jiff::Timestamp,
    created_at: jiff::Timestamp,
    employee_unique_id: &'a str,
    verified: u8,
    timezone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) custom_attributes: Option<[Value; 0]>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(user: &'a SimUser) -> Self {
        let joined = user.id.is_some();
        Self {
            id: user.id.as_deref(),
            email: &user.email,
            first_name: joined.then_some(&*user.first_name),
            last_name: joined.then_some(&*user.last_name),
            user_type: user.user_type,
            status: user.status.name(),
            role_id: &user.role_id,
            dept: &user.dept,
            group_ids: user.group_ids.iter().map(|group| &**group).collect(),
            last_login_time: user.last_login_time,
            last_client_version: user.last_client_version.as_deref(),
            user_created_at: user.created_at,
            created_at: user.created_at,
            employee_unique_id: &user.employee_unique_id,
            verified: u8::from(joined),
            timezone: "Europe/Berlin",
            host_key: None,
            custom_attributes: None,
        }
    }
}

impl Account {
    pub(super) fn get_user(&self, name: &str) -> Reply {
        match self.find(name).and_then(|seat| self.directory.get(seat)) {
            Some(user) => Reply::json(200, &Shown::of(user)),
            None => unknown_user(self, name),
        }
    }

    pub(super) fn update(&mut self, now: Moment, call: &Call, name: &str) -> Reply {
        let change = match json_object(call).and_then(|body| wanted_change(&body)) {
            Ok(change) => change,
            Err(reply) => return reply,
        };
        let Some((seat, user)) = self.find(name).and_then(|s| Some((s, self.directory.get(s)?))) else {
            return unknown_user(self, name);
        };
        if user.status == Status::Pending {
            return pending_user(self, name, Reply::empty(204));
        }
        if let Some(refused) = change.user_type.and_then(|wanted| self.refuse_type(user, wanted)) {
            return refused;
        }
        let action = match change.user_type {
            Some(user_type) => format!("type={user_type}").into(),
            None => std::borrow::Cow::Borrowed("profile"),
        };
        let changed = self.directory.change(seat, |user| change.apply(user));
        self.record_change(now, seat, action, changed);
        Reply::empty(204)
    }

    /// Why a user can't be given the type `wanted`.
    fn refuse_type(&self, user: &SimUser, wanted: u8) -> Option<Reply> {
        if user.user_type == wanted {
            return None;
        }
        if user.trouble == Trouble::ZoomRoom {
            return Some(error(400, 200, "Zoom Room users cannot be updated."));
        }
        if user.trouble == Trouble::UpcomingEvent && user.user_type == 2 {
            return Some(error(400, 300, "The user hosts an upcoming Zoom Event and needs the licence."));
        }
        if wanted != 2 {
            return None;
        }
        if user.status == Status::Inactive && !self.settings.rules.license_inactive {
            return Some(error(400, 300, "A deactivated user cannot be given a licence."));
        }
        let full = self.directory.counts().licensed >= self.seats;
        let code = self.settings.rules.no_seat_code;
        full.then(|| error(400, code, "You have reached the maximum number of licences of this account."))
    }

    pub(super) fn revoke_token(&mut self, now: Moment, name: &str) -> Reply {
        let Some((seat, user)) = self.find(name).and_then(|s| Some((s, self.directory.get(s)?))) else {
            return unknown_user(self, name);
        };
        if user.status == Status::Pending {
            return pending_user(self, name, Reply::empty(204));
        }
        self.record_change(now, seat, "sign_out", false);
        Reply::empty(204)
    }

    pub(super) fn summary(&self) -> Reply {
        let counts = self.directory.counts();
        let total = counts.licensed + counts.basic + counts.pending + counts.other;
        Reply::json(
            200,
            &json!({
                "licensed_users_count": counts.licensed,
                "basic_users_count": counts.basic,
                "on_prem_users_count": 0,
                "room_users_count": 0,
                "pending_users_count": counts.pending,
                "join_only_users_count": counts.other,
                "total_users_count": total,
            }),
        )
    }

    pub(super) fn plan_usage(&self) -> Reply {
        let counts = self.directory.counts();
        Reply::json(
            200,
            &json!({
                "plan_base": {
                    "type": "business_yearly",
                    "hosts": self.seats,
                    "usage": counts.licensed,
                    "pending": counts.pending,
                },
            }),
        )
    }
}

/// The fields of a body that the simulator keeps, checked. Zoom takes many more; they are let pass.
fn wanted_change(body: &serde_json::Map<String, Value>) -> Result<UserChange, Reply> {
    let text = |field: &str| match body.get(field) {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.as_str().into())),
        Some(_) => Err(invalid(field, "Invalid field.")),
    };
    let user_type = match body.get("type").map(Value::as_u64) {
        None => None,
        Some(Some(known @ (1 | 2 | 4 | 99))) => Some(known as u8),
        Some(_) => return Err(invalid("type", "Invalid field.")),
    };
    Ok(UserChange {
        user_type,
        first_name: text("first_name")?,
        last_name: text("last_name")?,
        dept: text("dept")?,
        ..UserChange::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::caller::{Caller, json};
    use super::*;

    fn patch(caller: &mut Caller, user: &SimUser, body: &str) -> (u16, Option<u64>) {
        let reply = caller.call("PATCH", &format!("/v2/users/{}", user.email), Some(body));
        let code = (!reply.body.is_empty()).then(|| json(&reply)["code"].as_u64()).flatten();
        (reply.status, code)
    }

    #[test]
    fn a_licence_is_given_only_while_seats_are_free() {
        let mut caller = Caller::new(|s| {
            s.directory.licensed_share = 0.0;
            s.directory.seats = Some(4);
        });
        // The owner and two admins have a licence; one seat is left.
        let users: Vec<SimUser> =
            caller.account.users().into_iter().filter(|u| u.trouble == Trouble::None).take(2).collect();
        assert_eq!(patch(&mut caller, &users[0], r#"{"type":2}"#), (204, None));
        assert_eq!(patch(&mut caller, &users[1], r#"{"type":2}"#), (400, Some(2034)));
        assert_eq!(patch(&mut caller, &users[0], r#"{"type":2}"#), (204, None), "who has one keeps it");
        assert_eq!(patch(&mut caller, &users[0], r#"{"type":1}"#), (204, None));
        assert_eq!(patch(&mut caller, &users[1], r#"{"type":2}"#), (204, None), "a seat came free");
        let (_, usage) = caller.get("/v2/accounts/me/plans/usage");
        assert_eq!((&usage["plan_base"]["hosts"], &usage["plan_base"]["usage"]), (&json!(4), &json!(4)));
    }

    #[test]
    fn a_deactivated_user_gets_a_licence_only_where_set_so() {
        for license_inactive in [false, true] {
            let mut caller = Caller::new(|s| s.rules.license_inactive = license_inactive);
            let user = caller.someone(Trouble::AlreadyInactive);
            let expected = if license_inactive { (204, None) } else { (400, Some(300)) };
            assert_eq!(patch(&mut caller, &user, r#"{"type":2}"#), expected);
        }
    }

    #[test]
    fn types_that_do_not_exist_and_users_who_may_not_change_are_refused() {
        let mut caller = Caller::new(|s| s.directory.licensed_share = 1.0);
        let user = caller.someone(Trouble::None);
        for body in [r#"{"type":3}"#, r#"{"type":"2"}"#, r#"{"first_name":7}"#] {
            assert_eq!(patch(&mut caller, &user, body), (400, Some(300)), "{body}");
        }
        let room = caller.someone(Trouble::ZoomRoom);
        assert_eq!(patch(&mut caller, &room, r#"{"type":1}"#), (400, Some(200)));
        let host = caller.someone(Trouble::UpcomingEvent);
        assert_eq!(patch(&mut caller, &host, r#"{"type":1}"#), (400, Some(300)));
        let pending = caller.someone(Trouble::Pending);
        assert_eq!(patch(&mut caller, &pending, r#"{"type":1}"#), (404, Some(1001)));
        assert_eq!(patch(&mut caller, &user, r#"{"first_name":"Neu","id":"x"}"#), (204, None));
        assert_eq!(&*caller.now_of(&user).first_name, "Neu");
    }

    #[test]
    fn a_user_is_shown_with_the_documented_fields_and_no_others() {
        let mut caller = Caller::new(|_| {});
        let user = caller.someone(Trouble::Admin);
        let (status, shown) = caller.get(&format!("/v2/users/{}", user.id.as_deref().unwrap()));
        assert_eq!(status, 200);
        assert_eq!(
            (&shown["email"], &shown["role_id"], &shown["type"]),
            (&json!(*user.email), &json!("1"), &json!(2))
        );
        assert_eq!(shown["user_created_at"], json!(user.created_at));
        assert!(shown.get("trouble").is_none() && shown.get("host_key").is_none());
        let pending = caller.someone(Trouble::Pending);
        let (_, shown) = caller.get(&format!("/v2/users/{}", pending.email));
        assert_eq!((shown.get("id"), &shown["status"]), (None, &json!("pending")));
        assert_eq!(caller.get("/v2/users/me").1["role_id"], json!("0"));
        assert_eq!(caller.get("/v2/users/nobody").0, 404);
    }

    #[test]
    fn signing_a_user_out_is_recorded_and_changes_nothing() {
        let mut caller = Caller::new(|_| {});
        let user = caller.someone(Trouble::None);
        assert_eq!(caller.call("DELETE", &format!("/v2/users/{}/token", user.email), None).status, 204);
        assert_eq!(caller.now_of(&user), user);
        let report = caller.account.report(caller.clock.now(), true);
        assert_eq!((&*report.changes[0].action, report.changes[0].changed), ("sign_out", false));
    }

    #[test]
    fn the_summary_counts_what_is_there() {
        let mut caller = Caller::new(|_| {});
        let users = caller.account.users();
        let (_, summary) = caller.get("/v2/users/summary");
        let count = |kind: fn(&SimUser) -> bool| json!(users.iter().filter(|u| kind(u)).count());
        assert_eq!(summary["licensed_users_count"], count(SimUser::is_licensed));
        assert_eq!(summary["pending_users_count"], json!(2));
        assert_eq!(summary["total_users_count"], json!(users.len()));
    }
}

//! `PUT /users/{userId}/status`: deactivates and activates.

use serde_json::Value;

use super::account::Account;
use super::answer::{error, invalid, json_object, pending_user, unknown_user};
use super::answers::{AdminAnswer, AlreadyThere};
use super::directory::{SimUser, Status, Trouble};
use super::settings::Rules;
use crate::clock::Moment;
use crate::message::{Call, Reply};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Activate,
    Deactivate,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Action::Activate => "activate",
            Action::Deactivate => "deactivate",
        }
    }

    const fn goal(self) -> Status {
        match self {
            Action::Activate => Status::Active,
            Action::Deactivate => Status::Inactive,
        }
    }
}

/// What a status call on a certain user comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Carry,
    PretendDone,
    Refuse(u32, &'static str),
}

fn verdict(rules: &Rules, user: &SimUser, action: Action) -> Verdict {
    const ROOM_OR_ADMIN: &str = "Zoom Room and Admin users' status cannot be activated or deactivated.";
    if matches!(&*user.role_id, "0" | "1") {
        return match rules.admins {
            AdminAnswer::Refused => Verdict::Refuse(200, ROOM_OR_ADMIN),
            AdminAnswer::Ignored => Verdict::PretendDone,
        };
    }
    match user.trouble {
        Trouble::ZoomRoom => return Verdict::Refuse(200, ROOM_OR_ADMIN),
        Trouble::ForceLocked => {
            return Verdict::Refuse(1000, "This user is force locked. Contact Zoom support.");
        }
        _ => {}
    }
    if user.status == action.goal() {
        return match rules.already_there {
            AlreadyThere::Success => Verdict::PretendDone,
            AlreadyThere::Refused(code) => Verdict::Refuse(code, "The user is in this status already."),
        };
    }
    match (user.trouble, action) {
        (Trouble::UpcomingEvent, Action::Deactivate) => {
            Verdict::Refuse(300, "The user hosts an upcoming Zoom Event and cannot be deactivated.")
        }
        (Trouble::ActivationNotApproved, Action::Activate) => {
            Verdict::Refuse(3412, "The activation of this user has not been approved.")
        }
        _ => Verdict::Carry,
    }
}

impl Account {
    pub(super) fn set_status(&mut self, now: Moment, call: &Call, name: &str) -> Reply {
        let action = match json_object(call).map(|body| body.get("action").cloned()) {
            Err(reply) => return reply,
            Ok(Some(Value::String(word))) if word == "activate" => Action::Activate,
            Ok(Some(Value::String(word))) if word == "deactivate" => Action::Deactivate,
            // clock_in and clock_out are for users of the Contact Center, whom this account has none of.
            Ok(_) => return invalid("action", "Invalid field."),
        };
        let Some((seat, user)) = self.find(name).and_then(|s| Some((s, self.directory.get(s)?))) else {
            return unknown_user(self, name);
        };
        let success = self.success();
        if user.status == Status::Pending {
            return pending_user(self, name, success);
        }
        match verdict(&self.settings.rules, user, action) {
            Verdict::Refuse(code, message) => error(400, code, message),
            Verdict::PretendDone => {
                self.record_change(now, seat, action.name(), false);
                success
            }
            Verdict::Carry => {
                let rules = self.settings.rules.clone();
                let changed = self.directory.change(seat, |user| carry(&rules, user, action));
                self.record_change(now, seat, action.name(), changed);
                success
            }
        }
    }

    fn success(&self) -> Reply {
        Reply::empty(self.settings.rules.success_status)
    }
}

/// Deactivating takes the licences away; activating does not give them back.
fn carry(rules: &Rules, user: &mut SimUser, action: Action) {
    user.status = action.goal();
    if action == Action::Deactivate {
        user.user_type = rules.deactivated_type;
        if rules.deactivation_drops_groups {
            user.group_ids.clear();
        }
        if rules.deactivation_drops_role {
            user.role_id = "2".into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answers::PendingAnswer;
    use super::super::caller::Caller;
    use super::*;

    #[test]
    fn deactivating_takes_the_licence_and_activating_does_not_give_it_back() {
        let mut caller = Caller::new(|s| s.directory.licensed_share = 1.0);
        let user = caller.someone(Trouble::None);
        let id = user.id.clone().unwrap();
        assert_eq!(user.user_type, 2);
        assert_eq!(caller.set_status(&id, "deactivate"), (204, Value::Null));
        let gone = caller.now_of(&user);
        assert_eq!((gone.status, gone.user_type), (Status::Inactive, 1));
        assert_eq!(caller.set_status(&id, "activate"), (204, Value::Null));
        let back = caller.now_of(&user);
        assert_eq!((back.status, back.user_type), (Status::Active, 1));
        assert_eq!((back.role_id, back.group_ids), (user.role_id, user.group_ids));
        let report = caller.account.report(caller.clock.now(), true);
        let actions: Vec<_> = report.changes.iter().map(|c| (&*c.user, &*c.action, c.changed)).collect();
        assert_eq!(actions, [(&*user.email, "deactivate", true), (&*user.email, "activate", true)]);
    }

    #[test]
    fn each_kind_of_trouble_is_answered_as_documented_and_changes_nothing() {
        let rows = [
            (Trouble::Owner, "deactivate", 200),
            (Trouble::Admin, "deactivate", 200),
            (Trouble::Admin, "activate", 200),
            (Trouble::ZoomRoom, "deactivate", 200),
            (Trouble::ForceLocked, "deactivate", 1000),
            (Trouble::UpcomingEvent, "deactivate", 300),
            (Trouble::ActivationNotApproved, "activate", 3412),
        ];
        let mut caller = Caller::new(|_| {});
        for (trouble, action, code) in rows {
            let user = caller.someone(trouble);
            let (status, body) = caller.set_status(user.id.as_deref().unwrap(), action);
            assert_eq!((status, body["code"].as_u64()), (400, Some(code)), "{trouble:?} {action}");
            assert_eq!(caller.now_of(&user), user);
        }
        assert!(caller.account.report(caller.clock.now(), true).changes.is_empty());
    }

    #[test]
    fn users_are_found_by_id_by_address_encoded_or_not_and_by_twice_encoded_ids() {
        let mut caller = Caller::new(|_| {});
        let user = caller.someone(Trouble::None);
        let seat = caller.account.find(&user.email).unwrap();
        let mut odd = user.clone();
        (odd.id, odd.email) = (Some("/ab+c//d==".into()), "odd@corp.example".into());
        caller.account.directory.remove(seat);
        caller.account.directory.add(odd);
        for name in ["odd%40corp.example", "ODD@corp.example", "%252Fab%252Bc%252F%252Fd%253D%253D"] {
            assert_eq!(caller.set_status(name, "deactivate").0, 204, "{name}");
        }
        assert_eq!(
            caller.set_status("%2Fab%2Bc%2F%2Fd%3D%3D", "deactivate").0,
            404,
            "encoded once it is a path"
        );
    }

    #[test]
    fn an_unknown_user_is_answered_as_set() {
        let mut caller = Caller::new(|_| {});
        let (status, body) = caller.set_status("nobody%40corp.example", "deactivate");
        assert_eq!((status, body["code"].as_u64()), (404, Some(1001)));
        let mut caller = Caller::new(|s| s.rules.unknown_user_code = 1010);
        let (status, body) = caller.set_status("nobody", "deactivate");
        assert_eq!((status, body["code"].as_u64()), (400, Some(1010)));
    }

    #[test]
    fn already_there_is_answered_as_set_and_changes_nothing() {
        for (answer, expected) in [(AlreadyThere::Success, 204), (AlreadyThere::Refused(1009), 400)] {
            let mut caller = Caller::new(|s| s.rules.already_there = answer);
            let user = caller.someone(Trouble::AlreadyInactive);
            let (status, body) = caller.set_status(user.id.as_deref().unwrap(), "deactivate");
            assert_eq!(status, expected);
            assert_eq!(body["code"].as_u64(), (expected == 400).then_some(1009));
            assert_eq!(caller.now_of(&user), user);
        }
    }

    #[test]
    fn pending_users_are_answered_as_set_and_stay_pending() {
        let rows =
            [(PendingAnswer::NotFound, 404), (PendingAnswer::Refused, 400), (PendingAnswer::Ignored, 204)];
        for (answer, status) in rows {
            let mut caller = Caller::new(|s| s.rules.pending = answer);
            let user = caller.someone(Trouble::Pending);
            assert_eq!(caller.set_status(&user.email, "deactivate").0, status);
            assert_eq!(caller.now_of(&user), user);
        }
    }

    #[test]
    fn admins_can_be_made_to_seem_deactivated() {
        let mut caller = Caller::new(|s| s.rules.admins = AdminAnswer::Ignored);
        let admin = caller.someone(Trouble::Admin);
        assert_eq!(caller.set_status(admin.id.as_deref().unwrap(), "deactivate").0, 204);
        assert_eq!(caller.now_of(&admin).status, Status::Active);
    }

    #[test]
    fn bodies_and_content_types_are_looked_at() {
        let mut caller = Caller::new(|_| {});
        let user = caller.someone(Trouble::None);
        let target = format!("/v2/users/{}/status", user.id.as_deref().unwrap());
        for body in [
            "",
            "[]",
            "deactivate",
            r#"{"action":"delete"}"#,
            r#"{"action":1}"#,
            "{}",
            r#"{"action":"clock_in"}"#,
        ] {
            let reply = caller.call("PUT", &target, Some(body));
            let said: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!((reply.status, said["code"].as_u64()), (400, Some(300)), "{body}");
        }
        let mut form = caller.authorized("PUT", &target, Some(r#"{"action":"deactivate"}"#));
        form.headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        assert_eq!(super::super::caller::replied(caller.send(&form)).status, 415);
        assert_eq!(caller.now_of(&user), user);
    }

    #[test]
    fn deactivating_can_be_set_to_drop_groups_and_role_and_to_answer_200() {
        let mut caller = Caller::new(|s| {
            s.rules.deactivation_drops_groups = true;
            s.rules.deactivation_drops_role = true;
            s.rules.success_status = 200;
        });
        let group = caller.account.groups[0].clone();
        let user = caller.someone(Trouble::None);
        let seat = caller.account.find(&user.email).unwrap();
        caller.account.directory.change(seat, |u| {
            u.role_id = "R7x".into();
            u.group_ids = vec![group];
        });
        assert_eq!(caller.set_status(&user.email, "deactivate").0, 200);
        let after = caller.now_of(&user);
        assert_eq!((&*after.role_id, after.group_ids.len()), ("2", 0));
    }
}

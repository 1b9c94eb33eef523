//! The members of groups and roles. The documents say little about roles: what is sent and answered is as the
//! types of Zoom's own client library have it; the rest is a guess.

use std::sync::Arc;

use serde_json::json;

use super::account::Account;
use super::answer::{error, json_object, members, pending_user, unknown_user};
use super::directory::{Seat, Status};
use crate::clock::Moment;
use crate::message::{Call, Reply};

impl Account {
    pub(super) fn add_group_members(&mut self, now: Moment, call: &Call, group: &str) -> Reply {
        let Some(group) = self.groups.iter().find(|known| ***known == *group).cloned() else {
            return error(404, 4130, &format!("A group with this {group} does not exist."));
        };
        let seats = match json_object(call).and_then(|body| members(self, &body)) {
            Ok(seats) => seats,
            Err(reply) => return reply,
        };
        for &seat in &seats {
            let changed = self.directory.change(seat, |user| {
                if !user.group_ids.contains(&group) {
                    user.group_ids.push(group.clone());
                }
            });
            self.record_change(now, seat, format!("group={group}"), changed);
        }
        Reply::json(201, &json!({"ids": self.ids(&seats), "added_at": now.to_timestamp()}))
    }

    pub(super) fn assign_role(&mut self, now: Moment, call: &Call, role: &str) -> Reply {
        if role == "0" {
            return error(400, 300, "The owner role cannot be assigned.");
        }
        let seats = match json_object(call).and_then(|body| members(self, &body)) {
            Ok(seats) => seats,
            Err(reply) => return reply,
        };
        if seats.iter().any(|&seat| self.has_role(seat, "0")) {
            return error(400, 300, "The role of the owner cannot be changed.");
        }
        let role: Arc<str> = role.into();
        for &seat in &seats {
            let changed = self.directory.change(seat, |user| user.role_id = role.clone());
            self.record_change(now, seat, format!("role={role}"), changed);
        }
        Reply::json(201, &json!({"ids": self.ids(&seats), "add_at": now.to_timestamp()}))
    }

    pub(super) fn unassign_role(&mut self, now: Moment, role: &str, name: &str) -> Reply {
        let Some(seat) = self.find(name) else { return unknown_user(self, name) };
        if self.directory.get(seat).is_none_or(|user| user.status == Status::Pending) {
            return pending_user(self, name, Reply::empty(204));
        }
        if role == "0" || !self.has_role(seat, role) {
            return error(400, 300, "The user is not a member of this role, or is the owner.");
        }
        let changed = self.directory.change(seat, |user| user.role_id = "2".into());
        self.record_change(now, seat, "role=2", changed);
        Reply::empty(204)
    }

    fn has_role(&self, seat: Seat, role: &str) -> bool {
        self.directory.get(seat).is_some_and(|user| *user.role_id == *role)
    }

    fn ids(&self, seats: &[Seat]) -> String {
        let ids = seats.iter().filter_map(|&seat| self.directory.get(seat)?.id.as_deref());
        ids.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::{Caller, json as body_of};
    use super::super::directory::Trouble;
    use super::*;

    fn post(caller: &mut Caller, target: &str, ids: &[&str]) -> (u16, serde_json::Value) {
        let members: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
        let reply = caller.call("POST", target, Some(&json!({"members": members}).to_string()));
        (reply.status, body_of(&reply))
    }

    #[test]
    fn users_are_put_into_a_group_that_exists_thirty_at_most() {
        let mut caller = Caller::new(|_| {});
        let user = caller.someone(Trouble::None);
        let id = user.id.clone().unwrap();
        let group = caller.account.groups.iter().find(|g| !user.group_ids.contains(g)).cloned().unwrap();
        let target = format!("/v2/groups/{group}/members");
        let (status, body) = post(&mut caller, &target, &[&id]);
        assert_eq!((status, body["ids"].as_str()), (201, Some(&*id)));
        assert!(caller.now_of(&user).group_ids.contains(&group));
        assert_eq!(post(&mut caller, &target, &[&*id; 31]).0, 400);
        assert_eq!(post(&mut caller, &target, &[]).0, 400);
        assert_eq!(post(&mut caller, &target, &["nobody"]).0, 404);
        assert_eq!(post(&mut caller, "/v2/groups/none/members", &[&id]).0, 404);
    }

    #[test]
    fn what_deactivating_took_is_put_back_by_four_calls_and_the_user_is_as_before() {
        let mut caller = Caller::new(|s| {
            s.directory.licensed_share = 1.0;
            s.rules.deactivation_drops_groups = true;
            s.rules.deactivation_drops_role = true;
        });
        let group = caller.account.groups[0].clone();
        let id = caller.someone(Trouble::None).id.unwrap();
        let seat = caller.account.find(&id).unwrap();
        caller.account.directory.change(seat, |user| {
            (user.role_id, user.group_ids) = ("R7x".into(), vec![group.clone()]);
        });
        let before = caller.account.user(&id).unwrap();
        assert_eq!(caller.set_status(&id, "deactivate").0, 204);
        let dropped = caller.account.user(&id).unwrap();
        assert_eq!((dropped.user_type, &*dropped.role_id, dropped.group_ids.len()), (1, "2", 0));
        assert_eq!(caller.set_status(&id, "activate").0, 204);
        assert_eq!(caller.call("PATCH", &format!("/v2/users/{id}"), Some(r#"{"type":2}"#)).status, 204);
        assert_eq!(post(&mut caller, "/v2/roles/R7x/members", &[&id]).0, 201);
        assert_eq!(post(&mut caller, &format!("/v2/groups/{group}/members"), &[&id]).0, 201);
        assert_eq!(caller.account.user(&id).unwrap(), before);
    }

    #[test]
    fn a_call_with_one_member_is_a_call_on_that_user_and_not_beside_another() {
        let mut caller = Caller::new(|s| s.journal = true);
        let id = caller.someone(Trouble::None).id.unwrap();
        let body = json!({"members": [{"id": &*id}]}).to_string();
        let slow = caller.authorized("POST", "/v2/roles/R7x/members", Some(&body));
        let ticket = caller.arrive(&slow);
        let (status, said) = caller.set_status(&id, "deactivate");
        assert_eq!((status, said["message"].as_str().unwrap().contains("concurrent")), (429, true));
        caller.finish(&slow, ticket);
        assert_eq!(caller.set_status(&id, "deactivate").0, 204);
        let (_, said) = caller.control("GET", "/_control/calls", None);
        assert_eq!(said["calls"][1]["user"], json!(&*id), "after the token's");
    }

    #[test]
    fn a_token_without_the_scope_of_groups_or_roles_is_refused_by_its_name() {
        let mut caller = Caller::new(|s| s.oauth.scopes = vec!["user:read:user:admin".into()]);
        let (user, group) = (caller.someone(Trouble::None), caller.account.groups[0].clone());
        let id = user.id.clone().unwrap();
        for (target, scope) in [
            (format!("/v2/groups/{group}/members"), "group:write:member:admin"),
            ("/v2/roles/R7x/members".to_owned(), "role:write:member:admin"),
        ] {
            let (status, said) = post(&mut caller, &target, &[&id]);
            assert_eq!((status, said["code"].as_u64()), (400, Some(4711)));
            assert!(said["message"].as_str().unwrap().contains(scope), "{said}");
        }
        assert_eq!(caller.now_of(&user), user);
    }

    #[test]
    fn a_role_is_assigned_and_taken_away_but_never_the_owners() {
        let mut caller = Caller::new(|_| {});
        let user = caller.someone(Trouble::None);
        let id = user.id.clone().unwrap();
        assert_eq!(post(&mut caller, "/v2/roles/1/members", &[&id]).0, 201);
        assert_eq!(caller.set_status(&id, "deactivate").0, 400, "now an admin");
        assert_eq!(caller.call("DELETE", &format!("/v2/roles/1/members/{id}"), None).status, 204);
        assert_eq!(caller.set_status(&id, "deactivate").0, 204);
        assert_eq!(post(&mut caller, "/v2/roles/0/members", &[&id]).0, 400);
        let owner = caller.someone(Trouble::Owner).id.unwrap();
        assert_eq!(post(&mut caller, "/v2/roles/2/members", &[&owner]).0, 400);
        assert_eq!(caller.call("DELETE", &format!("/v2/roles/0/members/{owner}"), None).status, 400);
    }
}

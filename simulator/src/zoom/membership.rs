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

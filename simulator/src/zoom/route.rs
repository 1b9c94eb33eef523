//! Which endpoint a call is for, what label it is filed under and which scopes it needs.

use http::Method;

use super::plan::Label;
use crate::message::decode_segment;

/// The endpoints, with what their paths name, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Token,
    ListUsers,
    Summary,
    GetUser(String),
    UpdateUser(String),
    SetStatus(String),
    RevokeToken(String),
    PlanUsage,
    AddGroupMembers(String),
    AssignRole(String),
    UnassignRole { role: String, member: String },
}

/// Why a call is for no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    NoSuchPath,
    WrongMethod { allow: &'static str },
}

/// The granular scopes of all endpoints.
pub(crate) const GRANULAR_SCOPES: &[&str] = &[
    "user:read:list_users:admin",
    "user:read:user:admin",
    "user:read:summary:admin",
    "user:update:user:admin",
    "user:update:status:admin",
    "user:delete:token:admin",
    "billing:read:plan_usage:admin",
    "group:write:member:admin",
    "role:write:member:admin",
    "role:delete:member:admin",
];

impl Route {
    /// Reads method and path. A path is split before it is decoded, so an encoded slash stays part of its
    /// segment only when it is encoded twice, as Zoom asks for ids that hold one.
    pub(crate) fn parse(method: &Method, path: &str) -> Result<Route, Miss> {
        if path == "/oauth/token" {
            return if method == Method::POST { Ok(Route::Token) } else { Err(wrong("POST")) };
        }
        let rest = path.strip_prefix("/v2/").ok_or(Miss::NoSuchPath)?;
        let segments: Vec<&str> = rest.split('/').collect();
        let named = |segment: &str| {
            let name = decode_segment(segment).ok_or(Miss::NoSuchPath)?;
            if name.is_empty() || name.contains('/') { Err(Miss::NoSuchPath) } else { Ok(name.into_owned()) }
        };
        match (segments.as_slice(), method.as_str()) {
            (["users"], "GET") => Ok(Route::ListUsers),
            (["users"], _) => Err(wrong("GET")),
            (["users", "summary"], "GET") => Ok(Route::Summary),
            (["users", user], "GET") => Ok(Route::GetUser(named(user)?)),
            (["users", user], "PATCH") => Ok(Route::UpdateUser(named(user)?)),
            (["users", user], _) => named(user).and(Err(wrong("GET, PATCH"))),
            (["users", user, "status"], "PUT") => Ok(Route::SetStatus(named(user)?)),
            (["users", user, "status"], _) => named(user).and(Err(wrong("PUT"))),
            (["users", user, "token"], "DELETE") => Ok(Route::RevokeToken(named(user)?)),
            (["users", user, "token"], _) => named(user).and(Err(wrong("DELETE"))),
            (["accounts", "me", "plans", "usage"], "GET") => Ok(Route::PlanUsage),
            (["accounts", "me", "plans", "usage"], _) => Err(wrong("GET")),
            (["groups", group, "members"], "POST") => Ok(Route::AddGroupMembers(named(group)?)),
            (["groups", group, "members"], _) => named(group).and(Err(wrong("POST"))),
            (["roles", role, "members"], "POST") => Ok(Route::AssignRole(named(role)?)),
            (["roles", role, "members"], _) => named(role).and(Err(wrong("POST"))),
            (["roles", role, "members", member], "DELETE") => {
                Ok(Route::UnassignRole { role: named(role)?, member: named(member)? })
            }
            (["roles", role, "members", _], _) => named(role).and(Err(wrong("DELETE"))),
            _ => Err(Miss::NoSuchPath),
        }
    }

    /// Its name in reports.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Route::Token => "POST /oauth/token",
            Route::ListUsers => "GET /users",
            Route::Summary => "GET /users/summary",
            Route::GetUser(_) => "GET /users/{userId}",
            Route::UpdateUser(_) => "PATCH /users/{userId}",
            Route::SetStatus(_) => "PUT /users/{userId}/status",
            Route::RevokeToken(_) => "DELETE /users/{userId}/token",
            Route::PlanUsage => "GET /accounts/me/plans/usage",
            Route::AddGroupMembers(_) => "POST /groups/{groupId}/members",
            Route::AssignRole(_) => "POST /roles/{roleId}/members",
            Route::UnassignRole { .. } => "DELETE /roles/{roleId}/members/{memberId}",
        }
    }

    /// The label whose limit it counts against. Those of the role calls are stated by clients generated from Zoom's
    /// specification alone: Medium for giving a role, Light for taking it away.
    pub(crate) const fn label(&self) -> Label {
        match self {
            Route::ListUsers | Route::Summary | Route::AddGroupMembers(_) | Route::AssignRole(_) => {
                Label::Medium
            }
            Route::PlanUsage => Label::Heavy,
            _ => Label::Light,
        }
    }

    /// The scopes of which a token must have one, the granular one first.
    pub(crate) const fn scopes(&self) -> &'static [&'static str] {
        match self {
            Route::Token => &[],
            Route::ListUsers => &["user:read:list_users:admin", "user:read:admin"],
            Route::Summary => &["user:read:summary:admin", "user:read:admin"],
            Route::GetUser(_) => &["user:read:user:admin", "user:read:admin"],
            Route::UpdateUser(_) => &["user:update:user:admin", "user:write:admin"],
            Route::SetStatus(_) => &["user:update:status:admin", "user:write:admin"],
            Route::RevokeToken(_) => &["user:delete:token:admin", "user:write:admin"],
            Route::PlanUsage => &["billing:read:plan_usage:admin", "account:read:admin"],
            Route::AddGroupMembers(_) => &["group:write:member:admin", "group:write:admin"],
            Route::AssignRole(_) => &["role:write:member:admin", "role:write:admin"],
            Route::UnassignRole { .. } => &["role:delete:member:admin", "role:write:admin"],
        }
    }

    /// The user that its path names.
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Route::GetUser(user) | Route::UpdateUser(user) | Route::SetStatus(user) => Some(user),
            Route::RevokeToken(user) | Route::UnassignRole { member: user, .. } => Some(user),
            _ => None,
        }
    }

    /// Whether it changes a user.
    pub(crate) const fn changes_a_user(&self) -> bool {
        matches!(
            self,
            Route::UpdateUser(_)
                | Route::SetStatus(_)
                | Route::RevokeToken(_)
                | Route::UnassignRole { .. }
                | Route::AddGroupMembers(_)
                | Route::AssignRole(_)
        )
    }

    /// Whether the users whom it is about stand in its body.
    pub(crate) const fn lists_members(&self) -> bool {
        matches!(self, Route::AddGroupMembers(_) | Route::AssignRole(_))
    }
}

const fn wrong(allow: &'static str) -> Miss {
    Miss::WrongMethod { allow }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, path: &str) -> Result<Route, Miss> {
        Route::parse(&method.parse().unwrap(), path)
    }

    #[test]
    fn names_in_paths_are_decoded_once_after_the_path_is_split() {
        let rows = [
            ("/v2/users/abc-_DEF/status", Ok(Route::SetStatus("abc-_DEF".into()))),
            ("/v2/users/a.b%40corp.example/status", Ok(Route::SetStatus("a.b@corp.example".into()))),
            ("/v2/users/a+b@corp.example/status", Ok(Route::SetStatus("a+b@corp.example".into()))),
            ("/v2/users/%252Fab%252F/status", Ok(Route::SetStatus("%2Fab%2F".into()))),
            ("/v2/users/%2Fab/status", Err(Miss::NoSuchPath)),
            ("/v2/users//status", Err(Miss::NoSuchPath)),
            ("/v2/users/%FF/status", Err(Miss::NoSuchPath)),
            ("/v2/users/a/b/status", Err(Miss::NoSuchPath)),
            ("/users/a/status", Err(Miss::NoSuchPath)),
            ("/v2/users/a/status/", Err(Miss::NoSuchPath)),
        ];
        for (path, expected) in rows {
            assert_eq!(parse("PUT", path), expected, "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_apart_from_a_wrong_path() {
        assert_eq!(parse("POST", "/v2/users/a/status"), Err(wrong("PUT")));
        assert_eq!(parse("GET", "/oauth/token"), Err(wrong("POST")));
        assert_eq!(parse("DELETE", "/v2/users/a"), Err(wrong("GET, PATCH")));
        assert_eq!(parse("GET", "/v2/meetings"), Err(Miss::NoSuchPath));
        assert_eq!(parse("GET", "/v2/users/summary"), Ok(Route::Summary));
    }

    #[test]
    fn labels_and_scopes_are_those_of_the_documents() {
        let status = parse("PUT", "/v2/users/a/status").unwrap();
        assert_eq!((status.label(), status.scopes()[0]), (Label::Light, "user:update:status:admin"));
        let list = parse("GET", "/v2/users").unwrap();
        assert_eq!((list.label(), list.scopes()[0]), (Label::Medium, "user:read:list_users:admin"));
        let usage = parse("GET", "/v2/accounts/me/plans/usage").unwrap();
        assert_eq!((usage.label(), usage.scopes()[0]), (Label::Heavy, "billing:read:plan_usage:admin"));
        let group = parse("POST", "/v2/groups/g/members").unwrap();
        assert_eq!((group.label(), group.scopes()[0]), (Label::Medium, "group:write:member:admin"));
        let role = parse("POST", "/v2/roles/r/members").unwrap();
        assert_eq!((role.label(), role.scopes()[0]), (Label::Medium, "role:write:member:admin"));
    }
}

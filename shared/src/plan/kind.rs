//! What a plan says of one request, and whether a user is still what it says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Action, Outcome, UserState, store::Resolution};

/// What a plan says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlanKind {
    /// The user's state will be changed.
    Change,
    /// The user already is as wished.
    AlreadyThere,
    /// The account has no such user.
    NotFound,
    /// A rule protects the user.
    Protected,
    /// The owner or an admin: never changed.
    AdminOrOwner,
    /// Invited and never signed in: the vendor can't deactivate such a user.
    Pending,
    /// Can't be changed for another reason.
    Rejected,
    /// The same user as an earlier request.
    Duplicate,
}

impl PlanKind {
    /// Every kind, in the order in which plans list them.
    pub const ALL: [Self; 8] = [
        Self::Change,
        Self::AlreadyThere,
        Self::NotFound,
        Self::Protected,
        Self::AdminOrOwner,
        Self::Pending,
        Self::Rejected,
        Self::Duplicate,
    ];

    /// What a request of this action that came to this is.
    #[must_use]
    pub fn of(action: Action, resolution: &Resolution) -> Self {
        match resolution {
            Resolution::Change(user) if user.before.status == action.desired() => Self::AlreadyThere,
            Resolution::Change(_) => Self::Change,
            Resolution::Duplicate { .. } => Self::Duplicate,
            Resolution::Settled { outcome, code, .. } => match (outcome, code.as_deref()) {
                (Outcome::NotFound, _) => Self::NotFound,
                (Outcome::Protected, Some("owner" | "admin")) => Self::AdminOrOwner,
                (Outcome::Protected, _) => Self::Protected,
                (_, Some("pending")) => Self::Pending,
                _ => Self::Rejected,
            },
        }
    }

    /// The word in reports and JSON: an interface, never changed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::AlreadyThere => "already_there",
            Self::NotFound => "not_found",
            Self::Protected => "protected",
            Self::AdminOrOwner => "admin_or_owner",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for PlanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What of a user has changed since the plan, as a sentence's end (`status was active and is inactive`): its status, role or
/// licence. `None` where it is what the plan says. Groups come and go without making another user of it.
#[must_use]
pub fn drift(planned: &UserState, now: &UserState) -> Option<String> {
    let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let facts = [
        ("status", planned.status.to_string(), now.status.to_string()),
        ("role", word(&planned.role), word(&now.role)),
        ("licence", word(&planned.license), word(&now.license)),
    ];
    let changed: Vec<String> = facts
        .into_iter()
        .filter(|(_, was, is)| was != is)
        .map(|(what, was, is)| format!("{what} was {was} and is {is}"))
        .collect();
    (!changed.is_empty()).then(|| changed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ResolvedUser, Status};

    fn state(status: Status, role: &str, license: Option<&str>) -> UserState {
        UserState {
            status,
            license: license.map(Into::into),
            role: Some(role.into()),
            groups: vec!["g".into()],
        }
    }

    #[test]
    fn each_resolution_has_its_kind() {
        let user = |status| ResolvedUser { id: "i".into(), email: None, before: state(status, "2", None) };
        let settled = |outcome, code: &str| Resolution::Settled {
            outcome,
            code: Some(code.into()),
            message: None,
            user: None,
        };
        let cases = [
            (Resolution::Change(user(Status::Active)), "change"),
            (Resolution::Change(user(Status::Inactive)), "already_there"),
            (settled(Outcome::NotFound, "not_found"), "not_found"),
            (settled(Outcome::Protected, "owner"), "admin_or_owner"),
            (settled(Outcome::Protected, "*@service.example"), "protected"),
            (settled(Outcome::Rejected, "pending"), "pending"),
            (settled(Outcome::Rejected, "room"), "rejected"),
            (Resolution::Duplicate { of_line: 3 }, "duplicate"),
        ];
        for (resolution, word) in cases {
            assert_eq!(PlanKind::of(Action::Deactivate, &resolution).as_str(), word);
        }
        assert_eq!(PlanKind::ALL.map(PlanKind::as_str).len(), 8);
    }

    #[test]
    fn a_user_has_drifted_once_its_status_role_or_licence_is_another() {
        let planned = state(Status::Active, "2", Some("2"));
        assert_eq!(drift(&planned, &UserState { groups: vec![], ..planned.clone() }), None);
        let cases = [
            (state(Status::Inactive, "2", Some("2")), "status was active and is inactive"),
            (state(Status::Active, "1", Some("2")), "role was 2 and is 1"),
            (state(Status::Active, "2", None), "licence was 2 and is none"),
            (
                state(Status::Inactive, "1", Some("2")),
                "status was active and is inactive, role was 2 and is 1",
            ),
        ];
        for (now, words) in cases {
            assert_eq!(drift(&planned, &now).as_deref(), Some(words));
        }
    }
}

//! Patterns of users who are never changed.

use std::fmt;

use serde::{Deserialize, Serialize};
use wildmatch::WildMatchPattern;

use crate::ResolvedUser;

/// A user, or a pattern of users, who are never changed: an e-mail address in which `*` stands for any characters
/// (compared without case), a vendor's id (compared exactly), or everybody with a role (`role:ID`) or in a group (`group:ID`),
/// each by the vendor's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProtectedPattern {
    text: String,
    pattern: WildMatchPattern<'*', '\0'>,
}

/// Begins a pattern of everybody with a role.
const ROLE: &str = "role:";
/// Begins a pattern of everybody in a group.
const GROUP: &str = "group:";

/// A pattern that protects nobody. Never retried; the user corrects it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an empty pattern protects nobody")]
pub struct EmptyPattern;

impl ProtectedPattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Result<Self, EmptyPattern> {
        let text = text.trim();
        if text.is_empty() || text == ROLE || text == GROUP {
            return Err(EmptyPattern);
        }
        Ok(Self { pattern: WildMatchPattern::new(&text.to_lowercase()), text: text.to_owned() })
    }

    /// The pattern as written: the name of the rule in outcomes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it protects this user, by address or by id, whichever of them the file named; or by role or group.
    #[must_use]
    pub fn matches(&self, user: &ResolvedUser) -> bool {
        if let Some(role) = self.text.strip_prefix(ROLE) {
            return user.before.role.as_deref() == Some(role);
        }
        if let Some(group) = self.text.strip_prefix(GROUP) {
            return user.before.groups.iter().any(|known| known == group);
        }
        (!user.id.is_empty() && user.id == self.text)
            || user.email.as_ref().is_some_and(|email| self.pattern.matches(&email.to_lowercase()))
    }
}

impl TryFrom<String> for ProtectedPattern {
    type Error = EmptyPattern;
    fn try_from(text: String) -> Result<Self, EmptyPattern> {
        Self::new(&text)
    }
}

impl From<ProtectedPattern> for String {
    fn from(pattern: ProtectedPattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for ProtectedPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Status, UserState};

    fn user(id: &str, email: Option<&str>) -> ResolvedUser {
        let before = UserState { status: Status::Active, license: None, role: None, groups: vec![] };
        ResolvedUser { id: id.into(), email: email.map(Into::into), before }
    }

    #[test]
    fn addresses_match_without_case_stars_match_anything_and_ids_match_exactly() {
        let cases = [
            ("owner@corp.example", "Owner@Corp.Example", true),
            ("*@service.corp.example", "bot.7@SERVICE.corp.example", true),
            ("*@service.corp.example", "bot@corp.example", false),
            ("svc-*@corp.example", "svc-mail@corp.example", true),
            ("owner@corp.example", "co-owner@corp.example", false),
        ];
        for (pattern, email, expected) in cases {
            let pattern = ProtectedPattern::new(pattern).unwrap();
            assert_eq!(pattern.matches(&user("x", Some(email))), expected, "{pattern} {email}");
        }
        assert!(ProtectedPattern::new("KDcu").unwrap().matches(&user("KDcu", None)));
        assert!(!ProtectedPattern::new("KDcu").unwrap().matches(&user("kdcu", None)));
        assert!(ProtectedPattern::new("  ").is_err());
    }

    #[test]
    fn roles_and_groups_protect_everybody_who_has_them() {
        let mut user = user("x", Some("ann@corp.example"));
        (user.before.role, user.before.groups) = (Some("7".into()), vec!["vip".into(), "all".into()]);
        for (pattern, expected) in [
            ("role:7", true),
            ("role:70", false),
            ("group:vip", true),
            ("group:VIP", false),
            ("group:a*", false),
        ] {
            assert_eq!(ProtectedPattern::new(pattern).unwrap().matches(&user), expected, "{pattern}");
        }
        assert!(ProtectedPattern::new("role:").is_err() && ProtectedPattern::new(" group: ").is_err());
    }
}

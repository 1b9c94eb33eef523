//! Patterns of users who are never changed.

use std::fmt;

use serde::Deserialize;
use wildmatch::WildMatchPattern;

use crate::ResolvedUser;

/// A user, or a pattern of users, who are never changed: an e-mail address in which `*` stands for any characters
/// (compared without case), or a vendor's id (compared exactly).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProtectedPattern {
    text: String,
    pattern: WildMatchPattern<'*', '\0'>,
}

/// A pattern that protects nobody. Never retried; the user corrects it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an empty pattern protects nobody")]
pub struct EmptyPattern;

impl ProtectedPattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Result<Self, EmptyPattern> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EmptyPattern);
        }
        Ok(Self { pattern: WildMatchPattern::new(&text.to_lowercase()), text: text.to_owned() })
    }

    /// The pattern as written: the name of the rule in outcomes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it protects this user, by address or by id, whichever of them the file named.
    #[must_use]
    pub fn matches(&self, user: &ResolvedUser) -> bool {
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
}

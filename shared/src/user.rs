//! A user: as a producer names one, and as the vendor knows one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A user as a producer names one: an e-mail address or the vendor's id.
///
/// It goes into the path of a vendor's URL, so whatever could mean another path than this user's is refused:
/// `me`, `.`, `..`, anything with a slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserRef(String);

/// A text that can't name a user. Never retried; the user corrects the row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserRefError {
    /// Nothing there.
    #[error("the user is empty")]
    Empty,
    /// Longer than any address (RFC 5321 allows 254) or id.
    #[error("the user is {0} characters long; an address has at most 254")]
    TooLong(usize),
    /// `me`, `.` or `..`, which a vendor's URL reads as somebody or something else.
    #[error("{0:?} does not name one user to a vendor's API")]
    Reserved(String),
    /// A slash, a backslash, white space or a control character.
    #[error("{text:?} has a character that no user has: {found:?}")]
    Character {
        /// The text.
        text: String,
        /// The first character that can't be.
        found: char,
    },
    /// An @ that does not make an address.
    #[error("{0:?} is not an e-mail address")]
    NotAnAddress(String),
}

impl UserRef {
    /// The user as written, without the white space around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an e-mail address rather than an id.
    #[must_use]
    pub fn is_email(&self) -> bool {
        self.0.contains('@')
    }

    /// What two names of the same user have in common: addresses compare without case, ids with it.
    #[must_use]
    pub fn key(&self) -> String {
        if self.is_email() { self.0.to_lowercase() } else { self.0.clone() }
    }
}

impl FromStr for UserRef {
    type Err = UserRefError;
    fn from_str(text: &str) -> Result<Self, UserRefError> {
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 {
            return Err(UserRefError::Empty);
        }
        if length > 254 {
            return Err(UserRefError::TooLong(length));
        }
        if matches!(text, "." | "..") || text.eq_ignore_ascii_case("me") {
            return Err(UserRefError::Reserved(text.to_owned()));
        }
        let no_user_has = |c: char| matches!(c, '/' | '\\') || c.is_whitespace() || c.is_control();
        if let Some(found) = text.chars().find(|c| no_user_has(*c)) {
            return Err(UserRefError::Character { text: text.to_owned(), found });
        }
        if let Some((local, domain)) = text.split_once('@')
            && (local.is_empty() || domain.is_empty() || domain.contains('@') || domain.starts_with('.'))
        {
            return Err(UserRefError::NotAnAddress(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for UserRef {
    type Error = UserRefError;
    fn try_from(text: String) -> Result<Self, UserRefError> {
        text.parse()
    }
}

impl From<UserRef> for String {
    fn from(user: UserRef) -> Self {
        user.0
    }
}

impl fmt::Display for UserRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether a user can sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = UserStatus))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Can sign in.
    Active,
    /// Deactivated.
    Inactive,
    /// Invited, never signed in. Zoom gives such a user no id and can't deactivate it.
    Pending,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Pending => "pending",
        })
    }
}

/// What there was of a user before the first change: what an undo puts back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserState {
    /// Whether the user could sign in.
    #[serde(rename = "s")]
    pub status: Status,
    /// The vendor's word for the licence type. Zoom: 1 Basic, 2 Licensed, 4 unassigned, 99 none.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The vendor's id of the role. Zoom: 0 owner, 1 admin, 2 member, others custom.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The vendor's ids of the groups.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// One user as the vendor knows it: protection, the lock on a user, and undo all go by this, never by what
/// the file said, so that an id can't slip past an e-mail pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedUser {
    /// The vendor's id. Empty where the vendor has given none yet (a pending Zoom user).
    #[serde(rename = "i", default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The e-mail address, where the vendor tells one.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What was there when the user was resolved.
    #[serde(rename = "b")]
    pub before: UserState,
}

impl ResolvedUser {
    /// What identifies this user within its account: the id, or the address in lower case where there is no id.
    #[must_use]
    pub fn key(&self) -> String {
        if self.id.is_empty() {
            self.email.as_deref().unwrap_or_default().to_lowercase()
        } else {
            self.id.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mean_another_path_is_refused() {
        for bad in [
            "", "  ", ".", "..", "me", "ME", "a/b", "../users", "a\\b", "a b", "a\u{0}b", "@", "a@", "@b",
            "a@b@c",
        ] {
            assert!(bad.parse::<UserRef>().is_err(), "{bad:?}");
        }
        assert_eq!("x".repeat(255).parse::<UserRef>(), Err(UserRefError::TooLong(255)));
    }

    #[test]
    fn addresses_compare_without_case_and_ids_with_it() {
        let user: UserRef = " Ann.Lee@Corp.Example ".parse().unwrap();
        assert_eq!((user.as_str(), user.key().as_str()), ("Ann.Lee@Corp.Example", "ann.lee@corp.example"));
        assert_eq!("KDcuGIm1QgePTO8WbOqwIQ".parse::<UserRef>().unwrap().key(), "KDcuGIm1QgePTO8WbOqwIQ");
    }
}

//! The choices of the settings that are words: which answer Zoom gives where it has been seen to give several.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Gives an enum of plain words its `Display`, `FromStr` and serde forms, all from one table.
macro_rules! words {
    ($name:ident, $what:literal, $($variant:ident = $word:literal),+ $(,)?) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $word),+ })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($name::$variant),)+
                    other => Err(format!(
                        concat!("`{}` is no ", $what, "; use one of: {}"), other, [$($word),+].join(", ")
                    )),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

/// Which `X-RateLimit-*` headers replies carry; sources conflict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HeaderVariant {
    /// Category, type, limit, remaining and, on refusals, reset.
    #[default]
    Full,
    /// Category and type.
    Minimal,
    /// None.
    None,
}

words!(HeaderVariant, "header variant", Full = "full", Minimal = "minimal", None = "none");

/// What happens to calls that activate or deactivate an admin or the owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AdminAnswer {
    /// 400/200, as documented.
    #[default]
    Refused,
    /// Success, and nothing happens, as customers have complained.
    Ignored,
}

words!(AdminAnswer, "answer for admins", Refused = "refused", Ignored = "ignored");

/// What happens to calls that activate or deactivate a pending user; not documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PendingAnswer {
    /// 404/1001: to this call the user doesn't exist yet.
    #[default]
    NotFound,
    /// 400/1010.
    Refused,
    /// Success, and nothing happens, as customers have complained.
    Ignored,
}

words!(
    PendingAnswer,
    "answer for pending users",
    NotFound = "not-found",
    Refused = "refused",
    Ignored = "ignored"
);

/// What a status call is answered for a user who is in that state already; not documented. Written `204` or
/// `400:CODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AlreadyThere {
    /// As if it had been carried out.
    #[default]
    Success,
    /// 400 with this code.
    Refused(u32),
}

impl fmt::Display for AlreadyThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AlreadyThere::Success => f.write_str("204"),
            AlreadyThere::Refused(code) => write!(f, "400:{code}"),
        }
    }
}

impl FromStr for AlreadyThere {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "204" {
            return Ok(AlreadyThere::Success);
        }
        text.strip_prefix("400:").and_then(|code| code.parse().ok()).map(AlreadyThere::Refused).ok_or_else(
            || format!("`{text}` is no answer for users who are there already; use 204 or 400:CODE"),
        )
    }
}

impl TryFrom<String> for AlreadyThere {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AlreadyThere> for String {
    fn from(value: AlreadyThere) -> Self {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_as_it_was_written() {
        for word in ["full", "minimal", "none"] {
            assert_eq!(word.parse::<HeaderVariant>().unwrap().to_string(), word);
        }
        for word in ["refused", "ignored"] {
            assert_eq!(word.parse::<AdminAnswer>().unwrap().to_string(), word);
        }
        for word in ["not-found", "refused", "ignored"] {
            assert_eq!(word.parse::<PendingAnswer>().unwrap().to_string(), word);
        }
        for word in ["204", "400:1009"] {
            assert_eq!(word.parse::<AlreadyThere>().unwrap().to_string(), word);
        }
        let said = "some".parse::<HeaderVariant>().unwrap_err();
        assert!(said.contains("full, minimal, none"), "{said}");
    }
}

//! A share of something, in percent.

use std::fmt;

use serde::Deserialize;

/// A share, written `"10%"`. More than 0, at most 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "String")]
pub struct Share(f64);

/// A text that is no share. Never retried; the user corrects it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a share: write it in percent, more than 0 and at most 100, as in \"10%\"")]
pub struct NotAShare(String);

impl Share {
    /// How many that is of so many, rounded down: 10% of 19 users is one.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        // Both far below 2^53 where users are counted.
        (whole as f64 * self.0 / 100.0 + 1e-9) as u64
    }
}

impl TryFrom<String> for Share {
    type Error = NotAShare;
    fn try_from(text: String) -> Result<Self, NotAShare> {
        let bad = || NotAShare(text.chars().take(40).collect());
        let percent: f64 =
            text.trim().strip_suffix('%').ok_or_else(bad)?.trim().parse().map_err(|_| bad())?;
        if percent > 0.0 && percent <= 100.0 { Ok(Self(percent)) } else { Err(bad()) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_in_percent_and_rounds_down() {
        let share = |text: &str| Share::try_from(text.to_owned());
        assert_eq!(share("10%").unwrap().of(19), 1);
        assert_eq!(share(" 2.5 %").unwrap().of(1000), 25);
        assert_eq!(share("100%").unwrap().of(7), 7);
        assert_eq!(share("0.1%").unwrap().of(100), 0);
        assert_eq!(share("2.5%").unwrap().to_string(), "2.5%");
        for bad in ["10", "0%", "101%", "-1%", "NaN%", "%", "ten%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}

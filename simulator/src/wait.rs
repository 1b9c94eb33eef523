//! How a refusal tells its caller to wait: the forms of `Retry-After` that vendors have been seen to send.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// A form of the `Retry-After` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryAfterForm {
    /// No header.
    #[default]
    None,
    /// Whole seconds from now, rounded up (RFC 9110).
    Seconds,
    /// An HTTP date, rounded up to the second (RFC 9110).
    HttpDate,
    /// An ISO 8601 date-time in UTC, rounded up to the second, as Zoom documented it for daily limits.
    IsoDateTime,
    /// Something that is none of these.
    Rubbish,
}

/// What [`RetryAfterForm::render`] says: the header's value, and the moment that a reader of it must wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The value of the `Retry-After` header; `None` sends none.
    pub header: Option<String>,
    /// Until when the caller has been told to wait; `None` where it can't be read out of the header.
    pub until: Option<Moment>,
}

impl RetryAfterForm {
    /// Tells a caller at `now` to wait until `until`.
    pub fn render(self, now: Moment, until: Moment) -> Told {
        let whole = until.ceil_second();
        match self {
            RetryAfterForm::None => Told { header: None, until: None },
            RetryAfterForm::Seconds => {
                let wait = until.since(now);
                let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Told { header: Some(secs.to_string()), until: Some(now.plus(Duration::from_secs(secs))) }
            }
            RetryAfterForm::HttpDate => Told { header: Some(http_date(whole)), until: Some(whole) },
            RetryAfterForm::IsoDateTime => {
                Told { header: Some(whole.to_timestamp().to_string()), until: Some(whole) }
            }
            RetryAfterForm::Rubbish => {
                Told { header: Some("a little while, please".to_owned()), until: None }
            }
        }
    }
}

/// The HTTP date (RFC 9110, IMF-fixdate) of the second that `at` lies in.
pub fn http_date(at: Moment) -> String {
    at.to_timestamp().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

impl fmt::Display for RetryAfterForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RetryAfterForm::None => "none",
            RetryAfterForm::Seconds => "seconds",
            RetryAfterForm::HttpDate => "http-date",
            RetryAfterForm::IsoDateTime => "iso-date-time",
            RetryAfterForm::Rubbish => "rubbish",
        })
    }
}

impl FromStr for RetryAfterForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "none" => RetryAfterForm::None,
            "seconds" => RetryAfterForm::Seconds,
            "http-date" => RetryAfterForm::HttpDate,
            "iso-date-time" => RetryAfterForm::IsoDateTime,
            "rubbish" => RetryAfterForm::Rubbish,
            other => {
                return Err(format!(
                    "`{other}` is no form of Retry-After; use none, seconds, http-date, iso-date-time or rubbish"
                ));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_says_a_wait_that_is_not_too_short() {
        let now = Moment::from_timestamp("2026-03-01T10:00:00.2Z".parse().unwrap());
        let until = now.plus(Duration::from_millis(1100));
        let rows = [
            (RetryAfterForm::None, None, None),
            (RetryAfterForm::Seconds, Some("2"), Some("2026-03-01T10:00:02.2Z")),
            (RetryAfterForm::HttpDate, Some("Sun, 01 Mar 2026 10:00:02 GMT"), Some("2026-03-01T10:00:02Z")),
            (RetryAfterForm::IsoDateTime, Some("2026-03-01T10:00:02Z"), Some("2026-03-01T10:00:02Z")),
            (RetryAfterForm::Rubbish, Some("a little while, please"), None),
        ];
        for (form, header, told) in rows {
            let said = form.render(now, until);
            assert_eq!(said.header.as_deref(), header, "{form}");
            assert_eq!(said.until, told.map(|t| Moment::from_timestamp(t.parse().unwrap())), "{form}");
            assert_eq!(form.to_string().parse(), Ok(form));
        }
    }
}

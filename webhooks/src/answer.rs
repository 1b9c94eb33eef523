//! What an endpoint's answer means.

use std::{fmt, time::Duration};

use jiff::fmt::rfc2822;
use reqwest::StatusCode;
use usher_shared::Timestamp;

/// However long an endpoint asks to be left alone, it is tried again within this.
pub const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(60 * 60);

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answered.
    Status {
        /// With this status.
        status: StatusCode,
        /// And asks to be left alone for so long.
        retry_after: Option<Duration>,
    },
    /// It did not, for this reason.
    None(String),
    /// There is no way to it, for this reason: nothing was sent.
    NoConnection(String),
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It has the message.
    Arrived,
    /// It wants no such message, ever: 410.
    Gone,
    /// It is there and does not take this message: a redirect, or any other 4xx.
    Refused,
    /// Nobody is there: asking costs a connection at most.
    Away,
    /// It is in trouble, or has too much to do.
    Down {
        /// To be left alone for so long.
        retry_after: Option<Duration>,
    },
}

impl Answer {
    /// What it means.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        let (status, retry_after) = match self {
            Self::Status { status, retry_after } => (status, retry_after),
            Self::None(_) => return Meaning::Down { retry_after: None },
            Self::NoConnection(_) => return Meaning::Away,
        };
        match status.as_u16() {
            200..=299 => Meaning::Arrived,
            410 => Meaning::Gone,
            408 | 429 => Meaning::Down { retry_after: *retry_after },
            300..=499 => Meaning::Refused,
            _ => Meaning::Down { retry_after: *retry_after },
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, .. } if status.is_redirection() => {
                write!(f, "{status}; redirects are not followed")
            }
            Self::Status { status, .. } => write!(f, "{status}"),
            Self::None(why) | Self::NoConnection(why) => f.write_str(why),
        }
    }
}

/// Reads a `Retry-After`: whole seconds or a date (RFC 9110). `None` where it says nothing; at most [`RETRY_AFTER_AT_MOST`].
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value).ok()?;
            Timestamp::from_millis(at.as_millisecond()).since(now)
        }
    };
    (!wait.is_zero()).then(|| wait.min(RETRY_AFTER_AT_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_the_scheme_says() {
        let minute = Some(Duration::from_secs(60));
        let cases = [
            (200, Meaning::Arrived),
            (204, Meaning::Arrived),
            (299, Meaning::Arrived),
            (301, Meaning::Refused),
            (302, Meaning::Refused),
            (400, Meaning::Refused),
            (401, Meaning::Refused),
            (404, Meaning::Refused),
            (408, Meaning::Down { retry_after: minute }),
            (410, Meaning::Gone),
            (429, Meaning::Down { retry_after: minute }),
            (500, Meaning::Down { retry_after: minute }),
            (503, Meaning::Down { retry_after: minute }),
            (599, Meaning::Down { retry_after: minute }),
            (100, Meaning::Down { retry_after: minute }),
            (999, Meaning::Down { retry_after: minute }),
        ];
        for (status, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Answer::Status { status, retry_after: minute }.meaning(), expected, "{status}");
        }
        assert_eq!(Answer::None("no answer".into()).meaning(), Meaning::Down { retry_after: None });
        assert_eq!(Answer::NoConnection("refused".into()).meaning(), Meaning::Away);
    }

    #[test]
    fn a_wait_is_read_in_seconds_or_as_a_date_and_is_bounded() {
        let now = Timestamp::from_millis(1_763_750_000_000);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let cases = [
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("99999999", seconds(3_600)),
            ("0", None),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("Fri, 21 Nov 2025 18:34:20 GMT", seconds(60)),
            ("Fri, 21 Nov 2025 18:33:19 GMT", None),
            ("Fri, 21 Nov 2035 18:33:19 GMT", seconds(3_600)),
        ];
        for (text, expected) in cases {
            assert_eq!(retry_after(text, now), expected, "{text:?}");
        }
    }
}

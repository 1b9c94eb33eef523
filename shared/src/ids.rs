//! Identities: of runs, jobs and worker processes.

use std::{fmt, str::FromStr, sync::Arc};

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The id of a run: the UTC day of its submission and six random characters, `20261120-k3f9zm`.
///
/// Short enough to read out and to type; the store refuses the rare id that is taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Arc<str>);

/// Without 0, 1, i, l, o and u: nothing that is mistaken for another when read out.
const ALPHABET: &[u8; 30] = b"23456789abcdefghjkmnpqrstvwxyz";
const RANDOM_CHARS: usize = 6;

/// A text that is no run id. Never retried; the user looks the id up in the list of runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a run id: they look like 20261120-k3f9zm, as in the list of runs")]
pub struct IdError(String);

impl RunId {
    /// A new id for a run submitted at `now`.
    pub fn new(now: Timestamp, random: &mut impl Rng) -> Self {
        let day = jiff::Timestamp::from_millisecond(now.as_millis()).map_or_else(
            |_| "00000000".to_owned(),
            |moment| moment.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%d").to_string(),
        );
        let mut id = format!("{day}-");
        id.extend((0..RANDOM_CHARS).map(|_| ALPHABET[random.random_range(0..ALPHABET.len())] as char));
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let text = text.trim();
        let valid = text.split_once('-').is_some_and(|(day, random)| {
            day.len() == 8
                && day.bytes().all(|b| b.is_ascii_digit())
                && random.len() == RANDOM_CHARS
                && random.bytes().all(|b| ALPHABET.contains(&b))
        });
        if valid { Ok(Self(text.into())) } else { Err(IdError(text.chars().take(60).collect())) }
    }
}

impl TryFrom<String> for RunId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One job: the run, and the request's place in it (0 for the first kept row).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey {
    /// The run.
    pub run: RunId,
    /// The place in the run, from 0.
    pub seq: u64,
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.seq)
    }
}

/// One worker process, as named in attempts and outcomes: `host:pid:random`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// Names a worker. Characters that could split a stored record are replaced.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let safe = |c: char| if c.is_ascii_graphic() && c != '|' { c } else { '_' };
        Self(text.chars().take(100).map(safe).collect::<String>().into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for WorkerId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn a_new_id_begins_with_its_day_and_reads_back() {
        let id = RunId::new(Timestamp::from_millis(1_760_000_000_000), &mut StdRng::seed_from_u64(7));
        assert!(id.as_str().starts_with("20251009-"), "{id}");
        assert_eq!(id.as_str().parse::<RunId>().unwrap(), id);
    }

    #[test]
    fn what_is_not_an_id_is_refused_with_a_hint() {
        for bad in ["", "latest", "20251009", "20251009-abc", "20251009-ABCDEF", "20251009-abcde/"] {
            assert!(bad.parse::<RunId>().unwrap_err().to_string().contains("list of runs"), "{bad}");
        }
    }
}

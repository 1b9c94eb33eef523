//! The hash of a plan.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Planned;
use crate::{AccountName, Action, Outcome, ResolvedUser, request::Restore, store::Resolution};

/// SHA-256 over what a plan does to whom, in hexadecimal: two plans with the same hash do the same to the same users, who
/// are in the same state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanHash(String);

/// A text that is no plan's hash. Never retried; the user copies it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the hash of a plan: it has 64 characters out of 0-9 and a-f")]
pub struct NotAHash(String);

impl PlanHash {
    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it for a person to compare.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..16]
    }
}

impl FromStr for PlanHash {
    type Err = NotAHash;
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let hexadecimal = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() == 64 && text.bytes().all(hexadecimal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAHash(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for PlanHash {
    type Error = NotAHash;
    fn try_from(text: String) -> Result<Self, NotAHash> {
        text.parse()
    }
}

impl From<PlanHash> for String {
    fn from(hash: PlanHash) -> Self {
        hash.0
    }
}

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What of one request goes into the hash, in this order. Messages do not: their words may change.
#[derive(Serialize)]
struct Row<'a> {
    seq: u64,
    line: u64,
    action: Action,
    user: &'a str,
    restore: Option<&'a Restore>,
    outcome: Option<Outcome>,
    code: Option<&'a str>,
    resolved: Option<&'a ResolvedUser>,
    duplicate_of: Option<u64>,
}

/// Takes a plan in row by row, in file order.
#[derive(Clone, Debug)]
pub struct PlanHasher(Sha256);

impl PlanHasher {
    /// A plan for this account.
    #[must_use]
    pub fn new(account: &AccountName) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"usher plan 1\n");
        hasher.update(account.as_str().as_bytes());
        hasher.update(b"\n");
        Self(hasher)
    }

    /// Takes the next row in.
    pub fn take(&mut self, planned: &Planned) {
        let request = &planned.request;
        let mut row = Row {
            seq: planned.seq,
            line: request.line,
            action: request.action,
            user: request.user.as_str(),
            restore: request.restore.as_ref(),
            outcome: None,
            code: None,
            resolved: None,
            duplicate_of: None,
        };
        match &planned.resolution {
            Resolution::Change(user) => row.resolved = Some(user),
            Resolution::Settled { outcome, code, user, .. } => {
                (row.outcome, row.code, row.resolved) = (Some(*outcome), code.as_deref(), user.as_ref());
            }
            Resolution::Duplicate { of_line } => row.duplicate_of = Some(*of_line),
        }
        // Texts and numbers alone: it can't fail, and if it did, nothing of the row would be in the hash.
        let text = serde_json::to_vec(&row).unwrap_or_default();
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(&text);
    }

    /// The hash of all that was taken in.
    #[must_use]
    pub fn finish(self) -> PlanHash {
        let bytes = self.0.finalize();
        PlanHash(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, Status, UserState};

    fn row(seq: u64, status: Status) -> Planned {
        let before = UserState { status, license: Some("2".into()), role: Some("2".into()), groups: vec![] };
        Planned {
            seq,
            request: Request {
                line: seq + 1,
                user: "ann@corp.example".parse().unwrap(),
                action: Action::Deactivate,
                reason: None,
                restore: None,
            },
            resolution: Resolution::Change(ResolvedUser { id: "a".into(), email: None, before }),
        }
    }

    fn hash(account: &str, rows: &[Planned]) -> PlanHash {
        let mut hasher = PlanHasher::new(&account.parse().unwrap());
        rows.iter().for_each(|row| hasher.take(row));
        hasher.finish()
    }

    #[test]
    fn what_is_done_to_whom_in_what_state_makes_the_hash() {
        let (active, inactive) = (row(0, Status::Active), row(0, Status::Inactive));
        let plan = hash("zoom-main", std::slice::from_ref(&active));
        assert_eq!(hash("zoom-main", std::slice::from_ref(&active)), plan);
        assert_ne!(hash("zoom-test", std::slice::from_ref(&active)), plan);
        assert_ne!(hash("zoom-main", &[inactive]), plan);
        assert_ne!(hash("zoom-main", &[active.clone(), row(1, Status::Active)]), plan);
        assert_ne!(hash("zoom-main", &[]), plan);
        let another = Planned {
            request: Request { action: Action::Activate, ..active.request.clone() },
            ..active.clone()
        };
        assert_ne!(hash("zoom-main", &[another]), plan);
        let reworded = |message: &str| Planned {
            resolution: Resolution::Settled {
                outcome: Outcome::Rejected,
                code: Some("pending".into()),
                message: Some(message.into()),
                user: None,
            },
            ..active.clone()
        };
        assert_eq!(hash("zoom-main", &[reworded("one")]), hash("zoom-main", &[reworded("two")]));
    }

    #[test]
    fn a_hash_reads_back_and_nothing_else_does() {
        let plan = hash("zoom-main", &[]);
        assert_eq!(plan.as_str().parse(), Ok(plan.clone()));
        assert_eq!(plan.short().len(), 16);
        for bad in ["", "abc", &plan.as_str().to_uppercase(), &format!("{plan}0")] {
            assert!(bad.parse::<PlanHash>().is_err(), "{bad}");
        }
    }
}

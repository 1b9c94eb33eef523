//! The chain of seals: pure.

use std::{fmt, str::FromStr};

use ring::hmac;

use super::AuditEntry;

/// The key of the seals. It lies outside the store: whoever can write to the store can't make a seal.
#[derive(Clone)]
pub struct AuditKey(hmac::Key);

impl AuditKey {
    /// A key made of a secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey(..)")
    }
}

/// The last sealed entry: what is noted outside the store, now and then, so that a cut-off tail shows. Written `NUMBER:SEAL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// The entry's number.
    pub number: u64,
    /// Its seal.
    pub seal: String,
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.seal)
    }
}

/// A text that is no head. Never retried; the user copies it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the head of an audit: it is a number, a colon and 64 hexadecimal digits, as the log has it"
)]
pub struct NotAHead(String);

impl FromStr for AuditHead {
    type Err = NotAHead;
    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let bad = || NotAHead(text.chars().take(100).collect());
        let (number, seal) = text.trim().split_once(':').ok_or_else(bad)?;
        let number = number.parse().map_err(|_| bad())?;
        if seal.len() != 64 || !seal.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(bad());
        }
        Ok(Self { number, seal: seal.to_owned() })
    }
}

/// The seal of an entry that follows one with the seal `before` (empty for the first).
#[must_use]
pub fn seal(key: &AuditKey, before: &str, entry: &AuditEntry) -> String {
    let mut context = hmac::Context::with_key(&key.0);
    context.update(b"usher audit 1\n");
    context.update(before.as_bytes());
    context.update(b"\n");
    context.update(&entry.number.to_le_bytes());
    context.update(&entry.at.as_millis().to_le_bytes());
    context.update(entry.event.as_bytes());
    context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditFlaw {
    /// Entries are missing: those with these numbers, both included.
    Removed {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The entry, or one before it, is not what was sealed.
    Edited(u64),
    /// The audit ends before an entry that is known to have been there.
    CutOff {
        /// The last entry that is there; 0 where none is.
        last: u64,
        /// The one known.
        known: u64,
    },
    /// An entry without a seal stands before one with a seal.
    Unsealed(u64),
    /// The head that is known is another than that of this audit: all of it was written anew, or the head is another audit's.
    AnotherHead(u64),
}

impl fmt::Display for AuditFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed { from, to } if from == to => write!(f, "entry {from} was removed"),
            Self::Removed { from, to } => write!(f, "entries {from} to {to} were removed"),
            Self::Edited(number) => write!(f, "entry {number} is not what was sealed: it was edited"),
            Self::CutOff { last, known } => {
                write!(f, "the end was cut off: entry {known} is known, and the last one there is {last}")
            }
            Self::Unsealed(number) => write!(f, "entry {number} lost its seal"),
            Self::AnotherHead(number) => {
                write!(f, "entry {number} has another seal than was noted: all of it was written anew")
            }
        }
    }
}

/// Holds an audit, whole and in order, against its seals and against heads that were noted elsewhere. Returns the head found
/// and every flaw; entries after the last seal are new, which is none.
#[must_use]
pub fn verify(
    key: &AuditKey,
    entries: &[AuditEntry],
    noted: &[AuditHead],
) -> (Option<AuditHead>, Vec<AuditFlaw>) {
    let mut flaws = Vec::new();
    let mut head: Option<AuditHead> = None;
    let mut number = 0;
    let last_sealed = entries.iter().rev().find(|entry| entry.seal.is_some()).map_or(0, |entry| entry.number);
    for entry in entries {
        let whole = entry.number == number + 1;
        if !whole {
            flaws.push(AuditFlaw::Removed { from: number + 1, to: entry.number.saturating_sub(1) });
        }
        number = entry.number;
        match &entry.seal {
            Some(found) => {
                let before = head.as_ref().map_or("", |head| head.seal.as_str());
                // After a gap nothing can be said of this one: the seal before it is gone.
                if whole && *found != seal(key, before, entry) {
                    flaws.push(AuditFlaw::Edited(entry.number));
                }
                head = Some(AuditHead { number: entry.number, seal: found.clone() });
            }
            None if entry.number < last_sealed => flaws.push(AuditFlaw::Unsealed(entry.number)),
            None => {}
        }
    }
    for known in noted {
        if known.number > number {
            flaws.push(AuditFlaw::CutOff { last: number, known: known.number });
        } else if let Some(entry) = entries.iter().find(|entry| entry.number == known.number)
            && entry.seal.as_deref() != Some(known.seal.as_str())
        {
            flaws.push(AuditFlaw::AnotherHead(known.number));
        }
    }
    (head, flaws)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn key() -> AuditKey {
        AuditKey::new(b"a secret outside the store")
    }

    fn sealed(count: u64) -> Vec<AuditEntry> {
        let mut before = String::new();
        (1..=count)
            .map(|number| {
                let mut entry = AuditEntry {
                    number,
                    at: Timestamp::from_millis(number as i64),
                    event: format!("{{\"n\":{number}}}"),
                    seal: None,
                };
                before = seal(&key(), &before, &entry);
                entry.seal = Some(before.clone());
                entry
            })
            .collect()
    }

    fn head(entries: &[AuditEntry]) -> AuditHead {
        let last = entries.last().unwrap();
        AuditHead { number: last.number, seal: last.seal.clone().unwrap() }
    }

    #[test]
    fn an_untouched_audit_has_no_flaw_and_new_entries_are_none() {
        let mut entries = sealed(5);
        let noted = head(&entries);
        entries.push(AuditEntry { number: 6, seal: None, ..entries[0].clone() });
        assert_eq!(verify(&key(), &entries, std::slice::from_ref(&noted)), (Some(noted), vec![]));
        assert_eq!(verify(&key(), &[], &[]), (None, vec![]));
    }

    #[test]
    fn an_edited_a_removed_and_a_cut_off_entry_are_found_each() {
        let whole = sealed(5);
        let noted = [head(&whole)];
        let flaws = |entries: &[AuditEntry]| verify(&key(), entries, &noted).1;
        let mut edited = whole.clone();
        edited[2].event = "{}".into();
        assert_eq!(flaws(&edited), [AuditFlaw::Edited(3)]);
        let mut moved = whole.clone();
        moved[2].at = Timestamp::from_millis(99);
        assert_eq!(flaws(&moved), [AuditFlaw::Edited(3)]);
        let mut removed = whole.clone();
        removed.remove(2);
        assert_eq!(flaws(&removed), [AuditFlaw::Removed { from: 3, to: 3 }]);
        assert_eq!(flaws(&whole[..3]), [AuditFlaw::CutOff { last: 3, known: 5 }]);
        assert_eq!(flaws(&[]), [AuditFlaw::CutOff { last: 0, known: 5 }]);
        let mut bare = whole.clone();
        bare[2].seal = None;
        assert!(flaws(&bare).contains(&AuditFlaw::Unsealed(3)));
        assert!(!verify(&AuditKey::new(b"another"), &whole, &[]).1.is_empty(), "another key");
    }

    #[test]
    fn an_audit_that_was_renumbered_to_hide_a_removal_is_found() {
        let mut entries = sealed(5);
        entries.remove(2);
        for (entry, number) in entries.iter_mut().zip(1..) {
            entry.number = number;
        }
        assert_eq!(verify(&key(), &entries, &[]).1, [AuditFlaw::Edited(3), AuditFlaw::Edited(4)]);
    }

    #[test]
    fn a_head_reads_back() {
        let head = head(&sealed(2));
        assert_eq!(head.to_string().parse(), Ok(head));
        for bad in ["", "5", "x:y", "5:abc"] {
            assert!(bad.parse::<AuditHead>().is_err(), "{bad}");
        }
    }
}

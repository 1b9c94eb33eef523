//! What the content of a submission is, in 256 bits.

use std::fmt::Write;

use sha2::{Digest as _, Sha256};
use usher_shared::{AccountName, Request};

/// SHA-256 over account and requests. Each text goes in behind its length, so that no two contents are one stream of
/// bytes.
pub(super) struct Digest {
    hasher: Sha256,
    buffer: Vec<u8>,
}

impl Digest {
    pub(super) fn new(account: &AccountName) -> Self {
        // Another form of this stream would need another name, because keys made of it lie in stores.
        let mut digest = Self::named("usher requests 1");
        digest.text(account.as_str());
        digest
    }

    /// Of something else, by the name of its form.
    pub(super) fn named(form: &str) -> Self {
        let mut digest = Self { hasher: Sha256::new(), buffer: Vec::with_capacity(1024) };
        digest.text(form);
        digest
    }

    /// Adds a request: who, what, why, and what is given back, but not where it stood.
    pub(super) fn add(&mut self, request: &Request) {
        self.text(&request.user.key());
        self.text(request.action.as_str());
        self.text(request.reason.as_deref().unwrap_or_default());
        if let Some(restore) = &request.restore {
            // No user has a slash in its name: what follows is not the next request.
            self.text("/restore");
            self.text(restore.license.as_deref().unwrap_or_default());
            self.text(restore.role.as_deref().unwrap_or_default());
            restore.groups.iter().for_each(|group| self.text(group));
            self.text("/");
        }
        if self.buffer.len() >= 512 {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    /// Adds a text that may be missing, which is not the same as an empty one.
    pub(super) fn maybe(&mut self, text: Option<&str>) {
        self.text(if text.is_some() { "1" } else { "0" });
        self.text(text.unwrap_or_default());
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) {
        // Seven bits a byte, the highest telling that more follow: one byte for nearly every text.
        let mut length = text.len();
        while length >= 0x80 {
            self.buffer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.buffer.push(length as u8);
        self.buffer.extend_from_slice(text.as_bytes());
    }

    /// The digest in hexadecimal.
    pub(super) fn finish(mut self) -> String {
        self.hasher.update(&self.buffer);
        self.hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let written = write!(hex, "{byte:02x}");
            debug_assert!(written.is_ok(), "a string takes all that is written to it");
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::{Action, Restore};

    use super::*;

    fn digest(account: &str, requests: &[(u64, &str, Action, Option<&str>)]) -> String {
        let mut digest = Digest::new(&account.parse().unwrap());
        for (line, user, action, reason) in requests {
            let reason = reason.map(str::to_owned);
            digest.add(&Request {
                restore: None,
                line: *line,
                user: user.parse().unwrap(),
                action: *action,
                reason,
            });
        }
        digest.finish()
    }

    #[test]
    fn the_same_people_and_actions_have_one_digest_wherever_they_stood() {
        let first = digest("zoom", &[(2, "Ann@x", Action::Deactivate, None)]);
        assert_eq!(first, digest("zoom", &[(9, "ann@X", Action::Deactivate, None)]));
    }

    #[test]
    fn what_is_given_back_changes_the_digest() {
        let digest = |restore: Option<Restore>| {
            let mut digest = Digest::new(&"zoom".parse().unwrap());
            let (user, action) = ("a".parse().unwrap(), Action::Activate);
            digest.add(&Request { line: 1, user, action, reason: None, restore });
            digest.finish()
        };
        let all = [
            None,
            Some(Restore::default()),
            Some(Restore { license: Some("2".into()), ..Restore::default() }),
            Some(Restore { role: Some("2".into()), ..Restore::default() }),
            Some(Restore { groups: vec!["2".into()], ..Restore::default() }),
            Some(Restore { groups: vec!["2".into(), "3".into()], ..Restore::default() }),
        ];
        let distinct: std::collections::BTreeSet<_> = all.clone().into_iter().map(digest).collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn the_form_of_the_stream_is_fixed_because_keys_made_of_it_lie_in_stores() {
        let two = [(1, "Ann@x", Action::Deactivate, None), (2, "KD9", Action::Activate, Some("back"))];
        // Computed with another implementation: Python's hashlib over the same lengths and texts.
        assert_eq!(digest("zoom", &two), "d4f7f81d1584ec9194ab011854dc1789f91a32e307de7a8274255c6e6d3bfc53");
    }

    #[test]
    fn whatever_changes_the_content_changes_the_digest() {
        use Action::{Activate, Deactivate};
        let all = [
            digest("zoom", &[(1, "a", Deactivate, None), (2, "b", Deactivate, None)]),
            digest("zoom", &[(1, "b", Deactivate, None), (2, "a", Deactivate, None)]),
            digest("zoom", &[(1, "a", Deactivate, None)]),
            digest("zoom2", &[(1, "a", Deactivate, None)]),
            digest("zoom", &[(1, "A", Deactivate, None)]),
            digest("zoom", &[(1, "a", Activate, None)]),
            digest("zoom", &[(1, "a", Deactivate, Some("left"))]),
            digest("zoom", &[]),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}

//! What makes two submissions the same.

use usher_shared::{RunId, Terms, store::Idempotency};

use super::{Description, SubmitError, digest::Digest};

/// What makes two submissions the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Their content and terms, for as long as the run is not over: then the same content starts a new run.
    Content,
    /// None: each submission is a run of its own. For plans, which are of the moment.
    Fresh,
    /// A key of the caller's own, 1 to 200 printable characters, for good: with other content it is a conflict.
    Own(String),
    /// A key that one of several clients calls a submission by, for good. Keys of two clients are never the same. With other
    /// content it is a conflict, and so it is with another priority, reason, or other terms: what the client asked for is
    /// all of that. Not the proof of who asks: it is another at each try.
    Client {
        /// Which client, such as the name of its token: 1 to 200 printable characters.
        scope: String,
        /// Its key: 1 to 200 printable characters.
        key: String,
    },
}

/// The longest key, in characters.
const LONGEST: usize = 200;

/// What keys that are not a caller's own begin with.
const RESERVED: &str = "content:";

/// What keys of clients begin with.
const CLIENT: &str = "content:client:";

/// Whether a key, or the name of a client, can be one.
fn is_printable(text: &str) -> bool {
    let printable = text.chars().all(|c| !c.is_control()) && !text.trim().is_empty();
    printable && text.chars().count() <= LONGEST
}

impl Key {
    /// The text of a key that is known before the content is. `None` for keys that are made of it.
    pub(super) fn text(&self) -> Result<Option<String>, SubmitError> {
        let refused = |key: &str| Err(SubmitError::Key(key.chars().take(80).collect()));
        match self {
            Self::Content | Self::Fresh => Ok(None),
            Self::Own(key) if is_printable(key) && !key.starts_with(RESERVED) => Ok(Some(key.clone())),
            Self::Own(key) => refused(key),
            Self::Client { scope, key } if is_printable(scope) && is_printable(key) => {
                // Behind its length, so that no two pairs are one text.
                Ok(Some(format!("{CLIENT}{}:{scope}:{key}", scope.len())))
            }
            Self::Client { scope, key } => refused(if is_printable(scope) { key } else { scope }),
        }
    }

    /// What binds this submission, of content of this digest, to what was submitted before.
    pub(super) fn bind(
        &self,
        digest: &str,
        run: &RunId,
        description: &Description,
    ) -> Result<Idempotency, SubmitError> {
        let terms = &description.terms;
        let (key, again_after_end) = match self {
            Self::Content => (format!("{RESERVED}{digest}{}", words(terms)), true),
            Self::Fresh => (format!("{RESERVED}run:{run}"), true),
            Self::Own(_) | Self::Client { .. } => (self.text()?.unwrap_or_default(), false),
        };
        let digest = match self {
            Self::Client { .. } => of_all(digest, description),
            _ => digest.to_owned(),
        };
        Ok(Idempotency { key, digest, again_after_end })
    }

    /// The key as its caller knows it.
    pub(super) fn as_sent(&self) -> Option<&str> {
        match self {
            Self::Own(key) | Self::Client { key, .. } => Some(key),
            Self::Content | Self::Fresh => None,
        }
    }
}

/// SHA-256 over all that a client asked for. Keys are bound to it in stores: another form would need another name.
fn of_all(content: &str, description: &Description) -> String {
    let Description { priority, reason, terms, .. } = description;
    let mut digest = Digest::named("usher submission 1");
    digest.text(content);
    digest.text(priority.as_str());
    digest.maybe(reason.as_deref());
    digest.text(&words(terms));
    digest.finish()
}

/// What tells a submission from one of the same content on other terms: what is wanted now is not done by a run that
/// begins next week, nor by a plan. Keys made of it lie in stores.
fn words(terms: &Terms) -> String {
    let mut text = String::new();
    if terms.plan {
        text += "+plan";
    }
    if let Some(run) = &terms.undoes {
        text += &format!("+undoes={run}");
    }
    for (word, at) in [("not_before", terms.not_before), ("deadline", terms.deadline)] {
        if let Some(at) = at {
            text += &format!("+{word}={}", at.as_millis());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use usher_shared::{Priority, Timestamp, identity::Proof};

    use super::*;

    fn on(terms: &Terms) -> Description {
        Description { terms: terms.clone(), ..Description::new("zoom".parse().unwrap(), "test") }
    }

    fn bound(key: &Key, description: &Description) -> Result<Idempotency, SubmitError> {
        key.bind("ab", &"20261120-k3f9zm".parse().unwrap(), description)
    }

    fn key(key: &Key, terms: &Terms) -> Result<(String, bool), SubmitError> {
        bound(key, &on(terms)).map(|bound| (bound.key, bound.again_after_end))
    }

    fn of(scope: &str, key: &str) -> Key {
        Key::Client { scope: scope.into(), key: key.into() }
    }

    #[test]
    fn a_key_of_ones_own_is_for_good_and_can_not_pass_for_content() {
        let terms = Terms::default();
        assert_eq!(key(&Key::Content, &terms).unwrap(), ("content:ab".into(), true));
        assert_eq!(key(&Key::Own("ticket 7".into()), &terms).unwrap(), ("ticket 7".into(), false));
        for bad in ["", "  ", "a\nb", "content:ab", &"x".repeat(201)] {
            assert!(matches!(key(&Key::Own(bad.into()), &terms), Err(SubmitError::Key(_))), "{bad:?}");
        }
    }

    #[test]
    fn the_same_content_on_other_terms_is_another_submission() {
        let at = Some(Timestamp::from_millis(7));
        let all = [
            Terms::default(),
            Terms { plan: true, ..Terms::default() },
            Terms { undoes: Some("20261120-k3f9zm".parse().unwrap()), ..Terms::default() },
            Terms { not_before: at, ..Terms::default() },
            Terms { deadline: at, ..Terms::default() },
        ];
        let keys: std::collections::BTreeSet<String> =
            all.iter().map(|terms| key(&Key::Content, terms).unwrap().0).collect();
        assert_eq!(keys.len(), all.len());
        assert_eq!(key(&Key::Fresh, &all[0]).unwrap().0, "content:run:20261120-k3f9zm");
    }

    #[test]
    fn the_keys_of_two_clients_are_never_one_and_no_key_of_ones_own_passes_for_them() {
        let (text, again) = key(&of("hr-portal", "content:7"), &Terms::default()).unwrap();
        assert_eq!((&*text, again), ("content:client:9:hr-portal:content:7", false));
        let pairs = [("a", "b:c"), ("a:b", "c"), ("2:a", "b"), ("a", "2:a:b"), ("A", "b:c")];
        let texts: std::collections::BTreeSet<_> =
            pairs.iter().map(|(scope, key)| of(scope, key).text().unwrap()).collect();
        assert_eq!(texts.len(), pairs.len());
        assert!(Key::Own(text).text().is_err());
        let long = "x".repeat(201);
        for (scope, key) in
            [("", "k"), ("s", " "), ("s\n", "k"), ("s", "k\u{1f}"), (&*long, "k"), ("s", &*long)]
        {
            assert!(matches!(of(scope, key).text(), Err(SubmitError::Key(_))), "{scope:?} {key:?}");
        }
    }

    #[test]
    fn a_clients_key_is_bound_to_all_that_was_asked_for_but_the_proof() {
        let (at, plain) = (Some(Timestamp::from_millis(7)), on(&Terms::default()));
        let digest = |description: &Description| bound(&of("s", "k"), description).unwrap().digest;
        let others = [
            Description { priority: Priority::Urgent, ..plain.clone() },
            Description { reason: Some(String::new()), ..plain.clone() },
            Description { reason: Some("left".into()), ..plain.clone() },
            on(&Terms { plan: true, ..Terms::default() }),
            on(&Terms { undoes: Some("20261120-k3f9zm".parse().unwrap()), ..Terms::default() }),
            on(&Terms { not_before: at, ..Terms::default() }),
            on(&Terms { deadline: at, ..Terms::default() }),
        ];
        let digests: std::collections::BTreeSet<String> = others.iter().chain([&plain]).map(digest).collect();
        assert_eq!(digests.len(), others.len() + 1);
        let proof = Some(Proof { by: "s".into(), signature: "x".into() });
        let same = Description {
            source: Some("HTTP".into()),
            from: Some("10.0.0.7".into()),
            ..on(&Terms { proof, ..Terms::default() })
        };
        assert_eq!(digest(&same), digest(&plain));
        // Computed with another implementation: Python's hashlib over the same lengths and texts.
        assert_eq!(digest(&plain), "bfb5bce6a632a938a3f5e996310fa2761754b6a2d474b7a00902e46e079658ff");
    }
}

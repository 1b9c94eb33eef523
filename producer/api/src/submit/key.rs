//! `Idempotency-Key`: the same call sent again is the same run.

use axum::extract::FromRequestParts;
use http::request::Parts;
use usher_producer::submit::Key;

use crate::{
    auth::Caller,
    problem::{Kind, Problem},
};

/// The longest key, in characters.
const LONGEST: usize = 200;

/// The header's name.
pub const HEADER: &str = "idempotency-key";

/// What the caller calls this submission: the same name again means the same submission, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// What makes this caller's submissions under it the same. Keys of two tokens are never one.
    pub fn of(self, caller: &Caller) -> Key {
        Key::Client { scope: caller.name().to_owned(), key: self.0 }
    }

    fn read(text: &[u8]) -> Result<Self, Problem> {
        let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
        match std::str::from_utf8(text) {
            Ok(text) if printable && !text.trim().is_empty() && text.len() <= LONGEST => {
                Ok(Self(text.trim().to_owned()))
            }
            _ => Err(Problem::new(
                Kind::BadRequest,
                format!(
                    "the Idempotency-Key has to be 1 to {LONGEST} printable ASCII characters, such as a UUID"
                ),
            )),
        }
    }
}

/// The key of this call, where it has one.
#[derive(Clone, Debug)]
pub struct SentKey(pub Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for SentKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all(HEADER).iter();
        let key = sent.next().map(|key| IdempotencyKey::read(key.as_bytes())).transpose()?;
        match sent.next() {
            None => Ok(Self(key)),
            Some(_) => {
                Err(Problem::new(Kind::BadRequest, "the header Idempotency-Key stands here twice; send one"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printable_and_short() {
        for good in ["a", "ticket 7", "8e03978e-40d5-43dd-bc93-6894a57f9324", &"x".repeat(LONGEST)] {
            assert_eq!(IdempotencyKey::read(good.as_bytes()).unwrap().0, good);
        }
        for bad in ["", "  ", "a\tb", "käse", &"x".repeat(LONGEST + 1)] {
            assert_eq!(IdempotencyKey::read(bad.as_bytes()).unwrap_err().kind(), Kind::BadRequest, "{bad:?}");
        }
    }
}

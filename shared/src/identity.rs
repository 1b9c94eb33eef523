//! Who somebody is, proved by a personal token.
//!
//! A token is the seed of an Ed25519 key pair. Its holder signs with it; whoever knows only its fingerprint, the public
//! key, can verify and nothing else: so that reading a worker's configuration lets nobody approve, which the hash of a
//! password-like token would (a store is no place to show the token itself in, and what is verified by a shared hash is also
//! made by it).

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};

use crate::{AccountName, RunId, Timestamp, plan::PlanHash};

/// How tokens begin, so that scanners for leaked secrets know one.
const PREFIX: &str = "usher_";
/// How fingerprints begin.
const KEY_PREFIX: &str = "ed25519:";

/// A person's (or a service's) secret. Shown once, when it is made.
#[derive(Clone)]
pub struct PersonalToken(SecretSlice<u8>);

/// What is wrong with a token or a fingerprint. Never retried; the user copies it again, or makes another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a token.
    #[error("this is not a personal token: one begins with {PREFIX} and was printed by `usher token new`")]
    Token,
    /// Not a fingerprint.
    #[error(
        "{0:?} is not the key of a personal token: one begins with {KEY_PREFIX} and was printed by `usher token new`"
    )]
    Key(String),
    /// The operating system gives no randomness.
    #[error("the operating system gave no random numbers")]
    Random,
}

impl fmt::Debug for PersonalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalToken(..)")
    }
}

impl PersonalToken {
    /// Makes a new one.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = vec![0; 32];
        SystemRandom::new().fill(&mut seed).map_err(|_| IdentityError::Random)?;
        Ok(Self(seed.into()))
    }

    /// The token as its holder keeps it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(self.0.expose_secret()))
    }

    /// What a configuration knows it by.
    pub fn key(&self) -> Result<TokenKey, IdentityError> {
        let pair = self.pair()?;
        let mut bytes = [0; 32];
        bytes.copy_from_slice(pair.public_key().as_ref());
        Ok(TokenKey(bytes))
    }

    /// Signs a text.
    pub fn sign(&self, text: &str) -> Result<String, IdentityError> {
        Ok(BASE64.encode(self.pair()?.sign(text.as_bytes())))
    }

    fn pair(&self) -> Result<Ed25519KeyPair, IdentityError> {
        Ed25519KeyPair::from_seed_unchecked(self.0.expose_secret()).map_err(|_| IdentityError::Token)
    }
}

impl FromStr for PersonalToken {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let seed = text.trim().strip_prefix(PREFIX).and_then(|seed| BASE64.decode(seed).ok());
        match seed {
            Some(seed) if seed.len() == 32 => Ok(Self(seed.into())),
            _ => Err(IdentityError::Token),
        }
    }
}

/// The fingerprint of a [`PersonalToken`]: what stands in a configuration. It verifies what the token signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// Its bytes, to be compared in constant time.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the holder of the token signed this text.
    #[must_use]
    pub fn verifies(&self, text: &str, signature: &str) -> bool {
        let Ok(signature) = BASE64.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.0).verify(text.as_bytes(), &signature).is_ok()
    }
}

impl FromStr for TokenKey {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let bytes = text.trim().strip_prefix(KEY_PREFIX).and_then(|key| BASE64.decode(key).ok());
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| IdentityError::Key(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for TokenKey {
    type Error = IdentityError;
    fn try_from(text: String) -> Result<Self, IdentityError> {
        // A token that was put here by mistake is not repeated in a message.
        if text.trim().starts_with(PREFIX) {
            return Err(IdentityError::Key("a token; its key is wanted, which was printed beside it".into()));
        }
        text.parse()
    }
}

impl From<TokenKey> for String {
    fn from(key: TokenKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{KEY_PREFIX}{}", BASE64.encode(self.0)))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Proof of who submitted a run: the name of a token, and [`submission_text`] signed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The name of the token.
    pub by: String,
    /// The signature.
    pub signature: String,
}

/// What the submitter of a run signs.
#[must_use]
pub fn submission_text(run: &RunId, account: &AccountName, by: &str, at: Timestamp) -> String {
    format!("usher submit 1\n{run}\n{account}\n{by}\n{}\n", at.as_millis())
}

/// What the approver of a run signs.
#[must_use]
pub fn approval_text(run: &RunId, plan: &PlanHash, by: &str, at: Timestamp) -> String {
    format!("usher approve 1\n{run}\n{plan}\n{by}\n{}\n", at.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_signs_and_shows_itself_nowhere() {
        let token = PersonalToken::generate().unwrap();
        let again: PersonalToken = token.reveal().parse().unwrap();
        let key = token.key().unwrap();
        assert_eq!(again.key().unwrap(), key);
        assert_eq!(key.to_string().parse(), Ok(key));
        let signature = again.sign("a text").unwrap();
        assert!(key.verifies("a text", &signature));
        assert!(!key.verifies("another text", &signature));
        assert!(!key.verifies("a text", "rubbish"));
        assert!(!PersonalToken::generate().unwrap().key().unwrap().verifies("a text", &signature));
        assert!(!format!("{token:?}").contains(&token.reveal()[6..]));
    }

    #[test]
    fn what_is_no_token_or_key_is_told_without_repeating_a_secret() {
        for bad in ["", "usher_", "usher_AAAA", "hunter2"] {
            assert_eq!(bad.parse::<PersonalToken>().unwrap_err(), IdentityError::Token);
        }
        let token = PersonalToken::generate().unwrap().reveal();
        let error = TokenKey::try_from(token.clone()).unwrap_err().to_string();
        assert!(!error.contains(&token[6..]), "{error}");
        assert!("ed25519:AAAA".parse::<TokenKey>().is_err());
    }
}

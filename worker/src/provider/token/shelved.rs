//! What is sealed on the shelf: the token, what it may do, and its life by the store's clock.

use std::{borrow::Cow, time::Duration};

use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};
use usher_shared::Timestamp;

use super::{Granted, Sealing};

/// A token as it is shelved: by the store's clock, for no worker's can be trusted by another.
#[derive(Clone, Debug)]
pub(super) struct Shelved {
    pub(super) granted: Granted,
    /// When it was asked for, at the latest.
    pub(super) obtained_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Content<'a> {
    /// Borrowed where nothing in it is escaped.
    #[serde(borrow)]
    token: Cow<'a, str>,
    obtained_at: Timestamp,
    life_ms: u64,
    scopes: Option<Vec<String>>,
}

impl Shelved {
    /// `None` where there is no randomness to seal it with.
    pub(super) fn seal(&self, sealing: &Sealing) -> Option<Vec<u8>> {
        let content = Content {
            token: self.granted.secret.expose_secret().into(),
            obtained_at: self.obtained_at,
            life_ms: u64::try_from(self.granted.life.as_millis()).unwrap_or(u64::MAX),
            scopes: self.granted.scopes.clone(),
        };
        sealing.seal(&Zeroizing::new(serde_json::to_vec(&content).ok()?))
    }

    /// `None` for what was sealed with another secret, for another account, or is rubbish.
    pub(super) fn open(sealing: &Sealing, sealed: &[u8]) -> Option<Self> {
        let opened = sealing.open(sealed)?;
        let content: Content<'_> = serde_json::from_slice(&opened).ok()?;
        let life = Duration::from_millis(content.life_ms);
        let granted = Granted::new(SecretString::from(content.token.into_owned()), life, content.scopes)?;
        Some(Self { granted, obtained_at: content.obtained_at })
    }

    /// How old it is at that moment of the store's clock. A clock that went back makes it no younger than new.
    pub(super) fn age(&self, store_now: Timestamp) -> Duration {
        store_now.since(self.obtained_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_with_its_life_and_its_scopes() {
        let sealing = Sealing::new(&SecretString::from("s3cret"), &["zoom-main"]);
        for scopes in [None, Some(vec![]), Some(vec!["user:read:admin".to_owned(), "ü \"x\"".to_owned()])] {
            let life = Duration::from_millis(8_001);
            let granted = Granted::new(SecretString::from("t0k\"en"), life, scopes.clone());
            let Some(granted) = granted else { panic!("a token") };
            let shelved = Shelved { granted, obtained_at: Timestamp::from_millis(1_000) };
            let opened = Shelved::open(&sealing, &shelved.seal(&sealing).unwrap());
            let opened = opened.unwrap();
            assert_eq!(opened.granted.secret.expose_secret(), "t0k\"en");
            assert_eq!((opened.granted.life, opened.granted.scopes.clone()), (life, scopes));
            assert_eq!(opened.age(Timestamp::from_millis(3_500)), Duration::from_millis(2_500));
            assert_eq!(opened.age(Timestamp::from_millis(500)), Duration::ZERO);
        }
    }

    #[test]
    fn what_is_sealed_but_no_token_is_none() {
        let sealing = Sealing::new(&SecretString::from("s3cret"), &["zoom-main"]);
        for content in ["", "{}", "null", r#"{"token":"","obtained_at":1,"life_ms":1}"#, r#"{"token":5}"#] {
            let sealed = sealing.seal(content.as_bytes()).unwrap();
            assert!(Shelved::open(&sealing, &sealed).is_none(), "{content}");
        }
    }
}

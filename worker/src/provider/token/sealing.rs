//! Seals what lies in the store for the fleet, so that nobody who reads the store can use it.
//!
//! ChaCha20-Poly1305 under a key that HKDF-SHA256 makes of the client secret: whoever has the account's credentials can
//! open it, and could have fetched a token anyway. What it belongs to is bound to it, so a token that is moved to another
//! account's place does not open there.

use std::fmt;

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

/// The first byte of what is sealed in this form; another form takes another.
const FORM: u8 = 1;
/// Parts this key from any other that is ever made of a client secret.
const PURPOSE: &[u8] = b"usher: the fleet's access token, form 1";

/// Seals and opens one account's tokens.
pub(crate) struct Sealing {
    key: LessSafeKey,
    bound: Vec<u8>,
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealing").finish_non_exhaustive()
    }
}

impl Sealing {
    /// `bound_to` is what a token belongs to: the account, the provider, the client id, the vendor's side of it.
    pub(crate) fn new(client_secret: &SecretString, bound_to: &[&str]) -> Self {
        let mut bound = vec![FORM];
        for part in bound_to {
            // With its length before it, so that no two lists run together into one text.
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part.as_bytes());
        }
        let info = [bound.as_slice()];
        let extracted = Salt::new(HKDF_SHA256, PURPOSE).extract(client_secret.expose_secret().as_bytes());
        #[expect(
            clippy::expect_used,
            reason = "HKDF refuses only a key of more than 255 hashes; this is one hash"
        )]
        let key = extracted.expand(&info, &CHACHA20_POLY1305).expect("a key of 32 bytes");
        Self { key: LessSafeKey::new(UnboundKey::from(key)), bound }
    }

    /// `None` where the operating system has no randomness to give.
    pub(crate) fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = Zeroizing::new(plain.to_vec());
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        let tag =
            self.key.seal_in_place_separate_tag(nonce_used, Aad::from(&self.bound), &mut sealed).ok()?;
        Some([&[FORM], &nonce[..], &sealed[..], tag.as_ref()].concat())
    }

    /// `None` for whatever was not sealed with this secret for this account.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let rest = sealed.strip_prefix(&[FORM])?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = Zeroizing::new(rest.to_vec());
        let length = self.key.open_in_place(nonce, Aad::from(&self.bound), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUND: [&str; 3] = ["zoom-main", "zoom", "client"];

    fn sealing(secret: &str, bound: &[&str]) -> Sealing {
        Sealing::new(&SecretString::from(secret), bound)
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_for_the_same_account_alone() {
        let sealed = sealing("s3cret", &BOUND).seal(b"t0ken").unwrap();
        assert_eq!(&**sealing("s3cret", &BOUND).open(&sealed).unwrap(), b"t0ken");
        assert!(sealing("rotated", &BOUND).open(&sealed).is_none());
        for other in [
            &["zoom-other", "zoom", "client"][..],
            &["zoom-main", "salesforce", "client"],
            &["zoom-main", "zoom", "client2"],
            &["zoom-main", "zoo", "mclient"],
            &["zoom-main", "zoom"],
            &["zoom-main", "zoom", "client", ""],
        ] {
            assert!(sealing("s3cret", other).open(&sealed).is_none(), "{other:?}");
        }
    }

    #[test]
    fn no_bit_of_it_can_be_changed() {
        let sealing = sealing("s3cret", &BOUND);
        let sealed = sealing.seal(b"t0ken").unwrap();
        for place in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[place / 8] ^= 1 << (place % 8);
            assert!(sealing.open(&changed).is_none(), "bit {place}");
            assert!(sealing.open(&sealed[..place / 8]).is_none(), "cut at {}", place / 8);
        }
    }

    #[test]
    fn the_same_token_is_sealed_differently_each_time_and_never_shows() {
        let sealing = sealing("s3cret", &BOUND);
        let (one, two) = (sealing.seal(b"t0ken").unwrap(), sealing.seal(b"t0ken").unwrap());
        assert_ne!(one, two);
        assert!(!one.windows(5).any(|part| part == b"t0ken"));
        assert!(!format!("{sealing:?}").contains("s3cret"));
    }

    proptest! {
        #[test]
        fn nothing_that_lies_in_the_store_makes_it_panic(rubbish in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(sealing("s3cret", &BOUND).open(&rubbish).is_none());
            let formed = [&[FORM][..], &rubbish].concat();
            prop_assert!(sealing("s3cret", &BOUND).open(&formed).is_none());
        }

        #[test]
        fn whatever_is_sealed_comes_back(plain in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let sealing = sealing("s3cret", &BOUND);
            let sealed = sealing.seal(&plain).unwrap();
            prop_assert_eq!(&*sealing.open(&sealed).unwrap(), &plain);
        }
    }
}

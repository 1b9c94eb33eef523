//! What messages are signed with, by the Standard Webhooks scheme.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{hmac, rand::SecureRandom as _};
use secrecy::{ExposeSecret, SecretString};
use usher_shared::Timestamp;

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes the scheme allows.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many bytes [`SigningSecret::generate`] makes: as many as the digest has.
const GENERATED: usize = 32;

/// A text that is no signing secret. Never retried; the user makes one with `usher webhook new`. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It does not begin as one does.
    #[error("it does not begin with whsec_; `usher webhook new` makes one")]
    Prefix,
    /// What follows is not base64.
    #[error("what follows whsec_ is not base64; `usher webhook new` makes one")]
    NotBase64,
    /// Too short to be safe, or longer than the scheme allows.
    #[error("it has {0} bytes, and must have 24 to 64; `usher webhook new` makes one")]
    Length(usize),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandom,
}

/// A key that messages are signed with: HMAC-SHA256. Shown by nothing but [`SigningSecret::reveal`].
#[derive(Clone)]
pub struct SigningSecret {
    key: hmac::Key,
    text: SecretString,
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

impl SigningSecret {
    /// Reads `whsec_` and base64 of 24 to 64 bytes.
    pub fn read(text: &SecretString) -> Result<Self, SecretError> {
        let encoded = text.expose_secret().trim().strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::NotBase64)?;
        if !BYTES.contains(&bytes.len()) {
            return Err(SecretError::Length(bytes.len()));
        }
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), text: text.clone() })
    }

    /// A new one, of chance.
    pub fn generate() -> Result<Self, SecretError> {
        let mut bytes = [0; GENERATED];
        ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| SecretError::NoRandom)?;
        Self::read(&format!("{PREFIX}{}", STANDARD.encode(bytes)).into())
    }

    /// The text, to be handed over once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }

    /// The signature of one try at a message: `v1,` and the base64 of the HMAC over id, time (in seconds) and body.
    #[must_use]
    pub fn sign(&self, id: &str, at: Timestamp, body: &str) -> String {
        let text = format!("{id}.{}.{body}", seconds(at));
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.key, text.as_bytes())))
    }
}

/// The time as `webhook-timestamp` has it: whole seconds since 1970.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_scheme_s_own_example() {
        // From the Standard Webhooks libraries' own tests.
        let secret =
            SigningSecret::read(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into()).unwrap();
        let at = Timestamp::from_millis(1_614_265_330_999);
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn texts_that_are_no_secret_are_refused_with_the_cure_and_not_repeated() {
        let encoded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        let cases = [
            ("hunter2".to_owned(), SecretError::Prefix),
            ("whsec_hunter2!".to_owned(), SecretError::NotBase64),
            (encoded(23), SecretError::Length(23)),
            (encoded(65), SecretError::Length(65)),
        ];
        for (text, expected) in cases {
            let error = SigningSecret::read(&text.clone().into()).unwrap_err();
            assert_eq!(error, expected);
            assert!(!format!("{error} {error:?}").contains("hunter2"));
            assert!(error.to_string().contains("usher webhook new"));
        }
        for bytes in [24, 64] {
            SigningSecret::read(&encoded(bytes).into()).unwrap();
        }
    }

    #[test]
    fn generated_secrets_read_back_differ_and_do_not_show_themselves() {
        let (one, other) = (SigningSecret::generate().unwrap(), SigningSecret::generate().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        let again = SigningSecret::read(&one.reveal().to_owned().into()).unwrap();
        let at = Timestamp::from_millis(5);
        assert_eq!(again.sign("a", at, "{}"), one.sign("a", at, "{}"));
        assert!(!format!("{one:?}").contains(one.reveal()));
    }
}

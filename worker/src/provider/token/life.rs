//! A token, and for how long it is used. Pure.

use std::{fmt, time::Duration};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use usher_shared::Timestamp;

/// A token is replaced so long before it ends, or a tenth of its life where that is less.
const AHEAD: Duration = Duration::from_secs(60);
/// A life beyond this is none that a vendor documents; it is taken as this.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a vendor granted.
#[derive(Clone)]
pub(crate) struct Granted {
    /// The token itself.
    pub(crate) secret: SecretString,
    /// How long it lives, counted from when it was asked for.
    pub(crate) life: Duration,
    /// The scopes that were granted; `None` where the answer did not tell.
    pub(crate) scopes: Option<Vec<String>>,
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted")
            .field("life", &self.life)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl Granted {
    /// `None` where the token can't stand in a header.
    pub(crate) fn new(secret: SecretString, life: Duration, scopes: Option<Vec<String>>) -> Option<Self> {
        let life = life.min(LONGEST_LIFE);
        let good = !secret.expose_secret().is_empty() && bearer(&secret).is_some();
        good.then_some(Self { secret, life, scopes })
    }
}

fn bearer(secret: &SecretString) -> Option<HeaderValue> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", secret.expose_secret())).ok()?;
    bearer.set_sensitive(true);
    Some(bearer)
}

/// A token as this process uses it. Its times are by the process's own clock.
pub(crate) struct Token {
    /// `Bearer ...`, marked sensitive.
    pub(crate) bearer: HeaderValue,
    /// The token itself, so that it can be struck from what a vendor echoes.
    pub(crate) secret: SecretString,
    /// The scopes that were granted; `None` where the vendor did not tell.
    pub(crate) scopes: Option<Vec<String>>,
    /// From here on it is to be replaced.
    pub(crate) fresh_until: Timestamp,
    /// From here on no call begins with it: the call might arrive after its end.
    pub(crate) usable_until: Timestamp,
    /// What the shelf is to replace when this token is to be replaced: its own generation; for a token that never came to
    /// the shelf, that of the one before it.
    pub(crate) generation: Option<u64>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("generation", &self.generation)
            .field("fresh_until", &self.fresh_until)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// A token that was `age` old at `at`. `None` where it can't stand in a header.
    pub(crate) fn new(
        granted: Granted,
        age: Duration,
        at: Timestamp,
        generation: Option<u64>,
    ) -> Option<Self> {
        let ahead = AHEAD.min(granted.life / 10);
        Some(Self {
            bearer: bearer(&granted.secret)?,
            secret: granted.secret,
            scopes: granted.scopes,
            fresh_until: moment(at, granted.life.saturating_sub(ahead), age),
            usable_until: moment(at, granted.life.saturating_sub(ahead / 4), age),
            generation,
        })
    }
}

/// When something that began `age` before `at` is `old`.
fn moment(at: Timestamp, old: Duration, age: Duration) -> Timestamp {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_add(millis(old)).saturating_sub(millis(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_176_000_000);

    fn granted(life: Duration) -> Granted {
        Granted::new(SecretString::from("s3cret-token"), life, None).unwrap()
    }

    #[test]
    fn a_token_is_replaced_a_minute_or_a_tenth_of_its_life_before_it_ends_and_used_a_little_longer() {
        for (life, age, fresh, usable) in [
            (3_600.0, 0.0, 3_540_000, 3_585_000),
            (3_599.0, 0.0, 3_539_000, 3_584_000),
            (600.0, 0.0, 540_000, 585_000),
            (8.0, 0.0, 7_200, 7_800),
            (8.0, 7.0, 200, 800),
            (8.0, 100.0, -92_800, -92_200),
            (3_600.0, 3_000.0, 540_000, 585_000),
            (1e9, 0.0, 86_340_000, 86_385_000),
        ] {
            let [life, age] = [life, age].map(Duration::from_secs_f64);
            let token = Token::new(granted(life), age, NOW, None).unwrap();
            let from_now = |at: Timestamp| at.as_millis() - NOW.as_millis();
            assert_eq!(
                (from_now(token.fresh_until), from_now(token.usable_until)),
                (fresh, usable),
                "{life:?} {age:?}"
            );
        }
    }

    #[test]
    fn what_can_t_stand_in_a_header_is_no_token() {
        for bad in ["", "a\nb", "a\u{0}"] {
            assert!(Granted::new(SecretString::from(bad), AHEAD, None).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn debug_output_shows_no_token() {
        let granted = granted(AHEAD);
        let token = Token::new(granted.clone(), Duration::ZERO, NOW, Some(1)).unwrap();
        let shown = format!("{granted:?} {token:?} {:?}", token.bearer);
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

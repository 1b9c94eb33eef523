//! Whatever lies on the shelf, it opens as a token that can be used, or not at all. `tests/fuzz` runs it for longer.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use usher_shared::Timestamp;

use super::{Sealing, Token, shelved::Shelved};

/// An input is what was sealed: the store's bytes as they are can't be opened by guessing, which is tried, too.
#[test]
fn any_bytes_on_the_shelf_open_as_a_good_token_or_not_at_all() {
    let sealing = Sealing::new(&SecretString::from("s3cret"), &["zoom-main"]);
    let other = Sealing::new(&SecretString::from("s3cret"), &["zoom-other"]);
    bolero::check!(name = "shelf").with_iterations(20_000).for_each(|input: &[u8]| {
        assert!(sealing.open(input).is_none() && Shelved::open(&sealing, input).is_none());
        let sealed = sealing.seal(input).unwrap();
        assert_eq!(&*sealing.open(&sealed).unwrap(), input);
        assert!(other.open(&sealed).is_none() && sealing.open(&sealed[1..]).is_none());
        let Some(shelved) = Shelved::open(&sealing, &sealed) else { return };
        let again = Shelved::open(&sealing, &shelved.seal(&sealing).unwrap()).unwrap();
        let granted = &shelved.granted;
        assert_eq!(again.granted.secret.expose_secret(), granted.secret.expose_secret());
        assert_eq!((again.granted.life, &again.granted.scopes), (granted.life, &granted.scopes));
        assert_eq!(again.obtained_at, shelved.obtained_at);
        for now in [i64::MIN, -1, 0, 1_795_176_000_000, i64::MAX].map(Timestamp::from_millis) {
            let age = shelved.age(now);
            let token = Token::new(again.granted.clone(), age, now, Some(u64::MAX)).unwrap();
            assert!(token.usable_until >= token.fresh_until, "used to its end, replaced before");
            let most = Timestamp::from_millis(now.as_millis().saturating_add(86_400_000));
            assert!(token.usable_until <= most, "a life longer than a day is no life of a token");
            assert!(age == Duration::ZERO || now > shelved.obtained_at);
        }
    });
}

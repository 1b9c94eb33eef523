//! Strikes secrets from what a vendor, or somebody between, echoes: before anything of it is read, cut or kept.

use std::borrow::Cow;

use base64::{Engine, prelude::*};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::http::{Answer, Body};

const STRUCK: &str = "[secret]";
/// Shorter texts are no secrets, and would strike half of a message.
const SHORTEST: usize = 6;

/// Every form in which a secret could come back: as it is, in base64, in an address.
fn forms(secret: &str) -> Vec<String> {
    if secret.len() < SHORTEST {
        return vec![];
    }
    vec![
        secret.to_owned(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        // A server that writes addresses escapes less than everything.
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        BASE64_STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
    ]
}

/// Strikes these secrets from the body of an answer that is no success; a success is read, and never shown.
pub(super) fn strike(answer: &mut Answer, secrets: &[&SecretString]) {
    if (200..300).contains(&answer.status) {
        return;
    }
    let text = String::from_utf8_lossy(answer.body.bytes());
    let Some(clean) = struck(&text, secrets) else { return };
    answer.body = match &answer.body {
        Body::Whole(_) => Body::Whole(Bytes::from(clean)),
        Body::Cut(_, cut) => Body::Cut(Bytes::from(clean), *cut),
    };
}

/// `None` where nothing had to be struck.
fn struck(text: &str, secrets: &[&SecretString]) -> Option<String> {
    let mut clean = Cow::Borrowed(text);
    for form in secrets.iter().flat_map(|secret| forms(secret.expose_secret())) {
        if clean.contains(&form) {
            clean = Cow::Owned(clean.replace(&form, STRUCK));
        }
    }
    match clean {
        Cow::Owned(clean) => Some(clean),
        Cow::Borrowed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_struck_in_every_form_that_an_echo_could_have() {
        let secret: SecretString = "s3cret/of the+app=".to_owned().into();
        for echo in [
            "no s3cret/of the+app= here",
            "?token=s3cret%2Fof%20the%2Bapp%3D&x",
            "?token=s3cret%2Fof+the%2Bapp%3D&x",
            "Basic czNjcmV0L29mIHRoZSthcHA9",
        ] {
            let clean = struck(echo, &[&secret]).unwrap();
            assert!(clean.contains("[secret]") && !clean.contains("s3cret"), "{clean}");
        }
        assert_eq!(struck("nothing of it", &[&secret]), None);
        assert_eq!(struck("a short one", &[&"a".to_owned().into()]), None);
    }
}

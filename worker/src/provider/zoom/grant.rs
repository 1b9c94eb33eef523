//! What Zoom's token endpoint answers: a token, or why there is none. Pure.
//!
//! Source: Zoom's "Server-to-Server OAuth" page.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use usher_shared::{HoldReason, Timestamp, Verdict};

use super::{
    said::{Said, scalar},
    throttle,
};
use crate::provider::{Reply, http::Answer, token::Granted};

/// Zoom's tokens live an hour; an answer that does not say so is trusted for less.
const LIFE_UNSAID: Duration = Duration::from_secs(600);
/// More than any life: what can't be counted in seconds is taken as this.
const LIFE_AT_MOST: f64 = 1e9;

/// Where the account's credentials are configured: named in messages, so that a person knows what to correct.
#[derive(Clone, Debug)]
pub(super) struct Whence {
    pub(super) account: String,
    pub(super) client_secret: String,
}

#[derive(Deserialize)]
struct GrantBody {
    access_token: SecretString,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    scope: Value,
}

/// Reads the token endpoint's answer.
pub(super) fn grant(answer: &Answer, whence: &Whence, now: Timestamp) -> Result<Granted, Reply> {
    if answer.status == 200
        && answer.body.cut().is_none()
        // A list would be read by places, too.
        && answer.body.bytes().trim_ascii_start().starts_with(b"{")
        && let Ok(body) = serde_json::from_slice::<GrantBody>(answer.body.bytes())
        && let Some(granted) = granted(body)
    {
        return Ok(granted);
    }
    Err(refusal(answer, whence, now))
}

fn granted(body: GrantBody) -> Option<Granted> {
    let life = scalar(&body.expires_in)
        .and_then(|seconds| seconds.parse::<f64>().ok())
        .filter(|seconds| *seconds > 0.0)
        .map_or(LIFE_UNSAID, |seconds| Duration::from_secs_f64(seconds.min(LIFE_AT_MOST)));
    let scopes = body.scope.as_str().map(|scopes| {
        scopes.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
    });
    Granted::new(body.access_token, life, scopes)
}

fn refusal(answer: &Answer, whence: &Whence, now: Timestamp) -> Reply {
    // A 200 that is no token may hold a secret in a form that is not understood: nothing of it is shown.
    let said = if answer.status == 200 { Said::default() } else { Said::read(answer.body.bytes()) };
    let error = said.error.clone();
    let reply = Reply {
        http: Some(answer.status),
        code: Some(error.clone().unwrap_or_else(|| "token".to_owned())),
        ..Reply::of(Verdict::Transient)
    };
    match answer.status {
        300..400 => Reply {
            code: Some("redirect".to_owned()),
            message: Some(format!(
                "Zoom's token endpoint redirects (HTTP {}); usher follows no redirect with a secret: check token_url and \
                 the network",
                answer.status
            )),
            ..reply
        },
        429 => {
            let refusal = throttle::refusal(&answer.headers, &said, now);
            Reply {
                verdict: Verdict::Throttled,
                throttle: Some(refusal.throttle),
                retry_at: refusal.retry_at,
                message: Some("Zoom's token endpoint refuses for its rate limit".to_owned()),
                ..reply
            }
        }
        // A JSON refusal is Zoom's own; a page of HTML is somebody's in between.
        400..500 if said.json && answer.status != 408 => {
            let said_message = said.message.unwrap_or_else(|| format!("HTTP {}", answer.status));
            let lower = said_message.to_lowercase();
            let check = if lower.contains("account") && !lower.contains("disabled") {
                "account_id".to_owned()
            } else if error.as_deref() == Some("invalid_client") || lower.contains("client") {
                format!("client_id, and client_secret (from {})", whence.client_secret)
            } else {
                "account_id, client_id and client_secret, and that the server-to-server OAuth app is activated"
                    .to_owned()
            };
            let message =
                format!("Zoom gives no token to account {}: {said_message}. Check {check}", whence.account);
            Reply {
                verdict: Verdict::Forbidden,
                halt: Some(HoldReason::Credentials),
                message: Some(message.chars().take(500).collect()),
                ..reply
            }
        }
        status => Reply {
            retry_at: throttle::retry_at(&answer.headers, now),
            message: Some(match answer.body.cut() {
                Some(cut) => format!("Zoom's token endpoint (HTTP {status}): {}", cut.message()),
                None => format!("Zoom's token endpoint answered HTTP {status}, and no token"),
            }),
            ..reply
        },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::provider::http::Body;

    const NOW: Timestamp = Timestamp::from_millis(1_795_176_000_000);

    fn whence() -> Whence {
        Whence { account: "zoom-main".into(), client_secret: "the environment variable ZOOM_SECRET".into() }
    }

    fn read(status: u16, body: &str) -> Result<Granted, Reply> {
        let body = Body::Whole(Bytes::copy_from_slice(body.as_bytes()));
        grant(&Answer { status, headers: HeaderMap::new(), body }, &whence(), NOW)
    }

    #[test]
    fn a_token_s_life_is_what_the_answer_says_where_it_can_be_read() {
        let cases = [
            (
                r#"{"access_token":"t","token_type":"bearer","expires_in":3600,"scope":"a b","api_url":"https://x"}"#,
                3_600.0,
            ),
            (r#"{"access_token":"t","expires_in":3599}"#, 3_599.0),
            (r#"{"access_token":"t","expires_in":"600"}"#, 600.0),
            (r#"{"access_token":"t","expires_in":8}"#, 8.0),
            (r#"{"access_token":"t","expires_in":0}"#, 600.0),
            (r#"{"access_token":"t","expires_in":-5}"#, 600.0),
            (r#"{"access_token":"t","expires_in":1e300}"#, 86_400.0),
            (r#"{"access_token":"t"}"#, 600.0),
        ];
        for (body, expected) in cases {
            assert_eq!(read(200, body).unwrap().life.as_secs_f64(), expected, "{body}");
        }
    }

    #[test]
    fn scopes_are_split_and_an_answer_without_them_is_not_one_with_none() {
        let scopes = |body: &str| read(200, body).unwrap().scopes;
        assert_eq!(scopes(r#"{"access_token":"t","scope":"a:b c"}"#), Some(vec!["a:b".into(), "c".into()]));
        assert_eq!(scopes(r#"{"access_token":"t","scope":""}"#), Some(vec![]));
        assert_eq!(scopes(r#"{"access_token":"t"}"#), None);
    }

    #[test]
    fn refused_credentials_halt_the_account_and_name_what_to_check() {
        let cases = [
            (
                401,
                r#"{"reason":"Invalid client_id or client_secret","error":"invalid_client"}"#,
                "invalid_client",
                "client_secret (from the environment variable ZOOM_SECRET)",
            ),
            (
                400,
                r#"{"reason":"Invalid client_id or client_secret","error":"invalid_client"}"#,
                "invalid_client",
                "Check client_id",
            ),
            (
                400,
                r#"{"reason":"Account does not exist","error":"invalid_request"}"#,
                "invalid_request",
                "Check account_id",
            ),
            (
                400,
                r#"{"reason":"The application is disabled by the account admin","error":"invalid_request"}"#,
                "invalid_request",
                "is activated",
            ),
            (
                400,
                r#"{"reason":"unsupported grant type","error":"unsupported_grant_type"}"#,
                "unsupported_grant_type",
                "is activated",
            ),
        ];
        for (status, body, code, hint) in cases {
            let reply = read(status, body).unwrap_err();
            assert_eq!(
                (reply.verdict, reply.halt),
                (Verdict::Forbidden, Some(HoldReason::Credentials)),
                "{body}"
            );
            assert_eq!(reply.code.as_deref(), Some(code));
            let message = reply.message.unwrap();
            assert!(message.contains(hint) && message.contains("zoom-main"), "{message}");
        }
    }

    #[test]
    fn trouble_on_the_way_is_transient_and_a_rate_limit_is_throttled() {
        for (status, body) in [
            (200, "{}"),
            (200, r#"["t",3600,"a b"]"#),
            (200, r#"{"access_token":"t","access_token":"u"}"#),
            (200, "<html>login</html>"),
            (200, r#"{"access_token":""}"#),
            (200, r#"{"access_token":"a\nb"}"#),
            (200, r#"{"access_token":5}"#),
            (204, ""),
            (302, ""),
            (403, "<html>blocked by a proxy</html>"),
            (404, ""),
            (500, r#"{"error":"server_error"}"#),
            (503, ""),
        ] {
            let reply = read(status, body).unwrap_err();
            assert_eq!((reply.verdict, reply.halt), (Verdict::Transient, None), "{status} {body}");
        }
        assert_eq!(read(429, "").unwrap_err().verdict, Verdict::Throttled);
    }

    #[test]
    fn no_secret_stands_in_debug_output_or_in_an_error() {
        let token = read(200, r#"{"access_token":"s3cret-token","expires_in":3600}"#).unwrap();
        assert!(!format!("{token:?}").contains("s3cret"));
        let odd =
            read(200, r#"{"message":"s3cret-token","access_token":{"is":"s3cret-token"}}"#).unwrap_err();
        assert!(!format!("{odd:?}").contains("s3cret"));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(status in 100u16..700, body in ".{0,300}", life in any::<f64>()) {
            let _reply = read(status, &body);
            let _token = read(200, &serde_json::json!({"access_token": body, "expires_in": life}).to_string());
        }
    }
}

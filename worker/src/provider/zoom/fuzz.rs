//! Whatever an answer is made of, it is read by the rules: see each target. `tests/fuzz` runs them for longer.
//!
//! An input is a whole answer in short: a letter for what was asked (and how the body ended), the status, headers, a blank line,
//! the body: `d404\nretry-after: 5\n\n{"code":1001}`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde::de::IgnoredAny;
use serde_json::Value;
use usher_shared::{Action, HoldReason, Outcome, Status, Then, Timestamp, UserRef, Verdict};

use super::{
    classify::classify,
    directory,
    grant::{Whence, grant},
};
use crate::{
    decide::{JobFacts, RetryPolicy, decide},
    provider::{
        Call, PartKind, Reply, Throttle,
        http::{Answer, Body, Cut},
        retry_after::FARTHEST,
    },
};

/// 2026-11-20T12:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_176_000_000);

/// What was asked; lower case in the input for a whole body, upper case for one that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Call(Call),
    Token,
}

/// Reads an input; `None` for one that is no answer at all.
fn answer(input: &[u8]) -> Option<(Asked, Answer)> {
    let (letter, rest) = input.split_first()?;
    let asked = match letter.to_ascii_lowercase() {
        b'd' => Asked::Call(Call::Apply(Action::Deactivate)),
        b'a' => Asked::Call(Call::Apply(Action::Activate)),
        b'l' => Asked::Call(Call::List),
        b'u' => Asked::Call(Call::LookUp),
        b's' => Asked::Call(Call::GiveBack(PartKind::License)),
        b'r' => Asked::Call(Call::GiveBack(PartKind::Role)),
        b'g' => Asked::Call(Call::GiveBack(PartKind::Group)),
        b't' => Asked::Token,
        _ => return None,
    };
    let mut lines = rest.splitn(2, |byte| *byte == b'\n');
    let status: u16 = std::str::from_utf8(lines.next()?).ok()?.parse().ok()?;
    let mut rest = lines.next().unwrap_or_default();
    let mut headers = HeaderMap::new();
    loop {
        let mut lines = rest.splitn(2, |byte| *byte == b'\n');
        let line = lines.next().unwrap_or_default();
        rest = lines.next().unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next()?, parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let bytes = Bytes::copy_from_slice(rest);
    let body = match letter.is_ascii_uppercase() {
        false => Body::Whole(bytes),
        true => Body::Cut(bytes, [Cut::TooLong, Cut::Broken, Cut::Timeout][usize::from(status) % 3]),
    };
    // hyper gives no other status.
    (100..1000).contains(&status).then_some((asked, Answer { status, headers, body }))
}

/// Whether the body is a JSON object. (An escape that stands for half a character counts only where it is read.)
fn is_object(answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(answer.body.bytes());
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(&text).is_ok()
}

/// Whether the error code of this answer is one of these, whatever its form; `None` where a plain reading fails.
fn says_code(answer: &Answer, codes: &[&str]) -> Option<bool> {
    let text = String::from_utf8_lossy(answer.body.bytes());
    let body: Value = serde_json::from_str(&text).ok()?;
    Some(match body.get("code") {
        Some(Value::String(text)) => codes.contains(&text.trim()),
        Some(Value::Number(number)) => codes.contains(&number.to_string().as_str()),
        _ => false,
    })
}

fn check_words(reply: &Reply) {
    for (text, most) in [(&reply.code, 40), (&reply.message, 500)] {
        let Some(text) = text else { continue };
        assert!(!text.is_empty() && text.chars().count() <= most, "{reply:?}");
        assert!(!text.contains(char::is_control), "{reply:?}");
    }
    assert_eq!(reply.throttle.is_some(), reply.verdict == Verdict::Throttled, "{reply:?}");
    assert_eq!(reply.http == Some(429), reply.verdict == Verdict::Throttled, "{reply:?}");
    assert_eq!(reply.halt.is_some(), reply.verdict == Verdict::Forbidden, "{reply:?}");
    assert!(reply.retry_at.is_none_or(|at| at > NOW && at <= NOW.after(FARTHEST)), "{reply:?}");
}

fn check_call(call: Call, answer: &Answer) {
    let reply = classify(call, answer, NOW);
    let change = call.changes();
    let (status, whole) = (answer.status, answer.body.cut().is_none());
    assert_eq!(reply.http, Some(status));
    check_words(&reply);
    assert!(!reply.may_have_applied || (change && reply.verdict == Verdict::Transient), "{reply:?}");
    match reply.verdict {
        Verdict::Applied if change => {
            let added = status == 201 && matches!(call, Call::GiveBack(PartKind::Role | PartKind::Group));
            assert!(whole && (added || matches!(status, 200 | 204)), "{reply:?}");
            let body = answer.body.bytes();
            assert!(body.trim_ascii().is_empty() || is_object(answer), "{reply:?}");
            assert_ne!(says_code(answer, &["1001", "300"]), Some(true), "an error is no success: {reply:?}");
        }
        Verdict::Applied => assert!(whole && status == 200, "{reply:?}"),
        Verdict::NotFound => {
            assert!(whole && matches!(status, 400 | 404), "{reply:?}");
            assert_ne!(says_code(answer, &["1001", "1010"]), Some(false), "{reply:?}");
        }
        Verdict::AlreadyApplied => {
            assert!(change && whole && (400..500).contains(&status) && is_object(answer), "{reply:?}");
        }
        Verdict::NoSeat => assert_eq!(call, Call::GiveBack(PartKind::License), "{reply:?}"),
        Verdict::Rejected | Verdict::Unknown | Verdict::Forbidden => {
            assert!((400..500).contains(&status) && is_object(answer), "{reply:?}");
        }
        Verdict::Unauthorized => {
            assert!(status == 401 || says_code(answer, &["124"]) != Some(false), "{reply:?}")
        }
        Verdict::Throttled | Verdict::Transient => {}
        Verdict::Lost => panic!("no answer says so: {reply:?}"),
    }
    if let Call::Apply(action) = call {
        check_decision(action, &reply);
    }
}

/// What is done about the reply: nobody is done who was not said to be done, and nothing waits in the past or for ever.
fn check_decision(action: Action, reply: &Reply) {
    let facts =
        JobFacts { action, before: Status::Active, attempt: 1, may_have_applied: false, outage_until: None };
    let interval = std::time::Duration::from_secs(1);
    let decision = decide(&facts, reply, RetryPolicy { max_attempts: 8 }, NOW, interval);
    match decision.then {
        Then::Finish { outcome: Outcome::Applied | Outcome::AlreadyApplied, .. } => {
            assert!(matches!(reply.verdict, Verdict::Applied | Verdict::AlreadyApplied), "{reply:?}");
        }
        Then::Finish { outcome: Outcome::NotFound, .. } => assert_eq!(reply.verdict, Verdict::NotFound),
        Then::Finish { outcome, .. } => assert_eq!(outcome, Outcome::Rejected, "{reply:?}"),
        Then::Retry { at } => assert!(at > NOW && reply.verdict == Verdict::Transient, "{reply:?}"),
        Then::Snooze { until, .. } => {
            assert!(until >= NOW && until <= NOW.after(FARTHEST), "{reply:?}");
            assert_ne!(reply.verdict, Verdict::Transient);
        }
    }
    let for_a_day = matches!(reply.throttle, Some(Throttle::PerDay));
    assert_eq!(decision.hold.is_some(), for_a_day || reply.halt.is_some(), "{reply:?}");
}

/// A page is read as a plain reading of the same JSON would have it, or not at all.
fn check_page(body: &[u8]) {
    let page = directory::page(body, Status::Inactive);
    let text = String::from_utf8_lossy(body);
    let plain = serde_json::from_str::<Value>(&text).ok();
    let entries = plain.as_ref().and_then(|body| body.as_object()?.get("users")?.as_array());
    let (Some(page), Some(entries)) = (page, entries) else { return };
    assert_eq!(page.users.len() + page.unreadable, entries.len());
    assert!(page.next_page_token.is_none_or(|token| !token.is_empty() && token.len() <= 2_048));
    for user in &page.users {
        assert!(!user.id.is_empty() || user.email.as_ref().is_some_and(|email| email.contains('@')));
        let names = [Some(&user.id), user.email.as_ref()];
        for name in names.into_iter().flatten() {
            assert!(!name.contains(|c: char| c.is_control() || c == '\u{fffd}'), "{user:?}");
        }
        assert!(entries.iter().any(|entry| {
            let id = entry.get("id").and_then(|id| id.as_str().map(|id| id.trim().to_owned()));
            user.id.is_empty() || id.is_none_or(|id| id == user.id || id.is_empty())
        }));
    }
}

fn check_single(body: &[u8]) {
    let Ok(user) = directory::single(body) else { return };
    for name in [Some(&user.id), user.email.as_ref()].into_iter().flatten() {
        if let Ok(asked) = name.parse::<UserRef>() {
            // An id with an @ in it is asked for as an address would be.
            assert!(directory::is_asked_for(&user, &asked) || (asked.is_email() && *name == user.id));
        }
    }
    for other in ["somebody-else", "somebody@else.example"] {
        let asked: UserRef = other.parse().unwrap();
        assert!(
            user.key() == other
                || user.email.as_deref() == Some(other)
                || !directory::is_asked_for(&user, &asked)
        );
    }
}

fn check_token(answer: &Answer) {
    let whence =
        Whence { account: "zoom-main".into(), client_secret: "the environment variable ZOOM_SECRET".into() };
    match grant(answer, &whence, NOW) {
        Ok(granted) => {
            assert!(answer.status == 200 && answer.body.cut().is_none());
            assert!(!granted.life.is_zero() && granted.life.as_secs() <= 86_400, "{granted:?}");
            let secret = granted.secret.expose_secret();
            assert!(!secret.is_empty() && !secret.contains(['\n', '\r', '\0']));
            if secret.len() >= 8 && !granted.scopes.iter().flatten().any(|scope| scope.contains(secret)) {
                assert!(!format!("{granted:?}").contains(secret));
            }
        }
        Err(reply) => {
            assert_eq!(reply.http, Some(answer.status));
            check_words(&reply);
            assert!(!reply.may_have_applied);
            let expected = [Verdict::Throttled, Verdict::Transient, Verdict::Forbidden];
            assert!(expected.contains(&reply.verdict), "{reply:?}");
            assert!(reply.halt.is_none_or(|halt| halt == HoldReason::Credentials));
            if answer.status == 200 {
                // It may be a token in a form that is not understood: nothing of it is shown.
                let said = reply.message.as_deref().unwrap_or_default();
                assert!(said.starts_with("Zoom's token endpoint") && said.len() < 160, "{said}");
                assert_eq!(reply.code.as_deref(), Some("token"));
            }
        }
    }
}

#[test]
fn any_answer_is_read_by_the_rules() {
    bolero::check!(name = "answers").with_iterations(20_000).for_each(|input: &[u8]| {
        let Some((asked, answer)) = answer(input) else { return };
        match asked {
            Asked::Token => check_token(&answer),
            Asked::Call(call) => {
                check_call(call, &answer);
                match call {
                    Call::List => check_page(answer.body.bytes()),
                    Call::LookUp => check_single(answer.body.bytes()),
                    Call::Apply(_) | Call::GiveBack(_) => {}
                }
            }
        }
    });
}

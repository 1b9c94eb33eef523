//! The table of Zoom's answers: a row for each documented one, for each kind of 429, and for what no document has.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use usher_shared::{Action, HoldReason, Timestamp, Verdict};

use super::classify;
use crate::provider::{
    Call, PAGE_EXPIRED, PartKind, Reply, Throttle,
    http::{Answer, Body, Cut},
};

/// 2026-11-20T12:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_176_000_000);
const OFF: Call = Call::Apply(Action::Deactivate);
const ON: Call = Call::Apply(Action::Activate);

fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        })
        .collect();
    Answer { status, headers, body: Body::Whole(Bytes::copy_from_slice(body)) }
}

fn read(call: Call, status: u16, body: &str) -> Reply {
    classify(call, &answer(status, &[], body.as_bytes()), NOW)
}

#[test]
fn every_documented_answer_has_its_verdict() {
    let zoom = |code: u32, message: &str| format!("{{\"code\":{code},\"message\":\"{message}\"}}");
    let room = zoom(200, "Zoom Room and Admin users' status cannot be activated or deactivated.");
    let event = zoom(300, "This user has an upcoming Zoom Event and cannot be deactivated.");
    let seat = zoom(3412, "Activation is not approved.");
    let locked = zoom(1000, "This user is force locked. Contact Zoom support.");
    let elsewhere = zoom(1010, "User does not exist or does not belong to this account.");
    let nobody = zoom(1001, "User does not exist: 5.");
    let token = zoom(124, "Invalid access token.");
    let cases: &[(Call, u16, &str, Verdict, Option<&str>)] = &[
        (OFF, 204, "", Verdict::Applied, None),
        (ON, 200, "", Verdict::Applied, None),
        (OFF, 200, "{\"id\":\"a\"}", Verdict::Applied, None),
        (OFF, 200, "{\"code\":300}", Verdict::Transient, Some("contradiction")),
        (OFF, 202, "", Verdict::Transient, Some("status")),
        (OFF, 299, "", Verdict::Transient, Some("status")),
        (OFF, 204, " \n", Verdict::Applied, None),
        (OFF, 200, "<html>Welcome to our Wi-Fi</html>", Verdict::Transient, Some("not_json")),
        (OFF, 200, "[]", Verdict::Transient, Some("not_json")),
        (OFF, 200, "{\"a\":", Verdict::Transient, Some("not_json")),
        (Call::List, 200, "{}", Verdict::Applied, None),
        (Call::List, 206, "{\"users\":[]}", Verdict::Transient, Some("status")),
        (Call::LookUp, 204, "", Verdict::Transient, Some("status")),
        (OFF, 400, &room, Verdict::Rejected, Some("200")),
        (OFF, 400, &event, Verdict::Rejected, Some("300")),
        (OFF, 400, &zoom(300, "Request Body should be a valid JSON object."), Verdict::Rejected, Some("300")),
        (ON, 400, &seat, Verdict::Rejected, Some("3412")),
        (ON, 400, &locked, Verdict::Rejected, Some("1000")),
        (OFF, 400, &elsewhere, Verdict::NotFound, Some("1010")),
        (OFF, 404, &elsewhere, Verdict::NotFound, Some("1010")),
        (OFF, 404, &nobody, Verdict::NotFound, Some("1001")),
        (Call::LookUp, 404, &nobody, Verdict::NotFound, Some("1001")),
        (OFF, 404, &zoom(2300, "This API endpoint is not recognized."), Verdict::Rejected, Some("2300")),
        (OFF, 404, "<html>not here</html>", Verdict::Transient, Some("404")),
        (OFF, 404, "{\"message\":\"no Route matched\"}", Verdict::Transient, Some("404")),
        (OFF, 404, "{\"code\":300,\"code\":1001}", Verdict::Transient, Some("404")),
        (OFF, 400, "{\"message\":\"Odd.\"}", Verdict::Unknown, Some("400")),
        (Call::LookUp, 404, "", Verdict::Transient, Some("404")),
        (OFF, 401, &token, Verdict::Unauthorized, Some("124")),
        (OFF, 401, "", Verdict::Unauthorized, Some("401")),
        (OFF, 403, &zoom(1108, "You do not have the permission."), Verdict::Rejected, Some("1108")),
        (OFF, 403, "{\"message\":\"No.\"}", Verdict::Rejected, Some("403")),
        (OFF, 403, "{}", Verdict::Transient, Some("403")),
        (OFF, 403, "<html>blocked</html>", Verdict::Transient, Some("403")),
        (Call::List, 403, "<html>blocked</html>", Verdict::Transient, Some("403")),
        (OFF, 418, "short and stout", Verdict::Transient, Some("418")),
        (OFF, 409, &zoom(7, "Conflict."), Verdict::Rejected, Some("7")),
        (OFF, 408, "", Verdict::Transient, None),
        (OFF, 425, "", Verdict::Transient, None),
        (OFF, 500, &zoom(500, "Internal."), Verdict::Transient, Some("500")),
        (OFF, 502, "<html>Bad Gateway</html>", Verdict::Transient, None),
        (Call::List, 503, "", Verdict::Transient, None),
        (OFF, 599, "\u{fffd}", Verdict::Transient, None),
        (OFF, 302, "", Verdict::Transient, Some("redirect")),
        (OFF, 304, "", Verdict::Transient, Some("redirect")),
        (OFF, 101, "", Verdict::Transient, Some("101")),
        (OFF, 999, "{\"code\":1001}", Verdict::Transient, Some("999")),
        (
            Call::List,
            400,
            &zoom(300, "The next page token is either invalid or expired."),
            Verdict::Rejected,
            Some(PAGE_EXPIRED),
        ),
        (Call::List, 400, &zoom(300, "Validation Failed."), Verdict::Rejected, Some("300")),
    ];
    for (call, status, body, verdict, code) in cases {
        let reply = read(*call, *status, body);
        assert_eq!((reply.verdict, reply.code.as_deref()), (*verdict, *code), "{call:?} {status} {body}");
        assert_eq!(reply.http, Some(*status));
        assert_eq!(reply.halt, None, "{status} {body}");
        assert_eq!(reply.throttle, None);
    }
}

#[test]
fn answers_to_a_call_that_gives_back_have_their_verdicts() {
    const LICENSE: Call = Call::GiveBack(PartKind::License);
    const ROLE: Call = Call::GiveBack(PartKind::Role);
    const GROUP: Call = Call::GiveBack(PartKind::Group);
    let zoom = |code: u32, message: &str| format!("{{\"code\":{code},\"message\":\"{message}\"}}");
    let full = "You have reached the maximum number of licences.";
    let added = r#"{"ids":"KDcuGIm1QgePTO8WbOqwIQ","added_at":"2026-11-20T12:00:00Z"}"#;
    let member = "The user is already a member of this group.";
    let cases: &[(Call, u16, String, Verdict, Option<&str>)] = &[
        (LICENSE, 204, String::new(), Verdict::Applied, None),
        (LICENSE, 201, String::new(), Verdict::Transient, Some("status")),
        (GROUP, 201, added.into(), Verdict::Applied, None),
        (GROUP, 201, String::new(), Verdict::Applied, None),
        (GROUP, 201, "<html>".into(), Verdict::Transient, Some("not_json")),
        (ROLE, 201, added.into(), Verdict::Applied, None),
        (ROLE, 204, String::new(), Verdict::Applied, None),
        (ROLE, 202, String::new(), Verdict::Transient, Some("status")),
        (OFF, 201, String::new(), Verdict::Transient, Some("status")),
        (LICENSE, 400, zoom(2033, full), Verdict::NoSeat, Some("2033")),
        (LICENSE, 400, zoom(2034, full), Verdict::NoSeat, Some("2034")),
        (LICENSE, 400, zoom(2038, full), Verdict::NoSeat, Some("2038")),
        (LICENSE, 409, zoom(3412, "Not approved."), Verdict::NoSeat, Some("3412")),
        (ROLE, 400, zoom(2034, full), Verdict::Rejected, Some("2034")),
        (ON, 400, zoom(2034, full), Verdict::Rejected, Some("2034")),
        (LICENSE, 400, zoom(1108, "You do not have the permission."), Verdict::Rejected, Some("1108")),
        (LICENSE, 400, zoom(300, "Upcoming event."), Verdict::Rejected, Some("300")),
        (LICENSE, 404, zoom(1001, "User does not exist."), Verdict::NotFound, Some("1001")),
        (GROUP, 404, zoom(1001, "User does not exist."), Verdict::NotFound, Some("1001")),
        (GROUP, 400, zoom(1010, "Group not belong to the account."), Verdict::Rejected, Some("1010")),
        (GROUP, 404, zoom(4130, "A group with this id does not exist."), Verdict::Rejected, Some("4130")),
        (GROUP, 400, zoom(300, member), Verdict::AlreadyApplied, Some("300")),
        (ROLE, 400, zoom(300, "The role has already been assigned."), Verdict::AlreadyApplied, Some("300")),
        (LICENSE, 400, zoom(300, member), Verdict::Rejected, Some("300")),
        (GROUP, 400, zoom(300, "Not already a member."), Verdict::Rejected, Some("300")),
        (GROUP, 400, zoom(300, "The limit has already been reached."), Verdict::Rejected, Some("300")),
        (ROLE, 403, zoom(1108, "No permission."), Verdict::Rejected, Some("1108")),
        (ROLE, 401, zoom(124, "Invalid access token."), Verdict::Unauthorized, Some("124")),
        (GROUP, 503, String::new(), Verdict::Transient, None),
    ];
    for (call, status, body, verdict, code) in cases {
        let reply = read(*call, *status, body);
        assert_eq!((reply.verdict, reply.code.as_deref()), (*verdict, *code), "{call:?} {status} {body}");
        assert_eq!(reply.halt, None, "{call:?} {status} {body}");
        let lost = reply.verdict == Verdict::Transient;
        assert_eq!(reply.may_have_applied, lost, "{call:?} {status} {body}");
    }
    for (call, scope) in [
        (LICENSE, "user:update:user:admin"),
        (ROLE, "role:write:member:admin"),
        (GROUP, "group:write:member:admin"),
    ] {
        let reply = read(call, 400, r#"{"code":4711}"#);
        assert_eq!((reply.verdict, reply.halt), (Verdict::Forbidden, Some(HoldReason::Scope)));
        assert!(reply.message.unwrap().contains(scope), "{scope}");
    }
}

#[test]
fn a_validation_error_names_its_fields() {
    let body = r#"{"code":300,"message":"Validation Failed.","errors":[{"field":"action","message":"Invalid field."}]}"#;
    assert_eq!(read(OFF, 400, body).message.as_deref(), Some("Validation Failed.; action: Invalid field."));
}

#[test]
fn a_missing_scope_halts_the_account_and_names_the_scope() {
    for code in [4711, 4700] {
        for status in [400, 401, 403, 404] {
            let body = format!(
                r#"{{"code":{code},"message":"Invalid access token, does not contain scopes:[user:update:status:admin]."}}"#
            );
            let reply = read(OFF, status, &body);
            assert_eq!(
                (reply.verdict, reply.halt),
                (Verdict::Forbidden, Some(HoldReason::Scope)),
                "{status} {code}"
            );
            assert!(
                reply.message.unwrap().contains("add user:update:status:admin to the"),
                "{status} {code}"
            );
        }
    }
    let unnamed = read(Call::List, 400, r#"{"code":4711}"#);
    assert!(unnamed.message.unwrap().contains("user:read:list_users:admin or user:read:admin"));
}

#[test]
fn a_403_halts_the_account_only_where_no_user_can_be_the_cause() {
    assert_eq!(read(OFF, 403, "{\"code\":1108}").halt, None);
    for call in [Call::List, Call::LookUp] {
        let reply = read(call, 403, "{\"message\":\"No permission.\"}");
        assert_eq!(reply.halt, Some(HoldReason::Scope));
        assert!(reply.message.unwrap().contains("No permission."));
    }
}

#[test]
fn already_there_is_found_in_any_words_and_not_where_it_is_not_said() {
    let cases: &[(Call, &str, Verdict)] = &[
        (OFF, "The user is already inactive.", Verdict::AlreadyApplied),
        (OFF, "User already deactivated", Verdict::AlreadyApplied),
        (OFF, "This user has already been deactivated.", Verdict::AlreadyApplied),
        (OFF, "User is inactive.", Verdict::AlreadyApplied),
        (OFF, "Can't deactivate: the user's status is already set to inactive.", Verdict::AlreadyApplied),
        (OFF, "The user is already in the requested state.", Verdict::AlreadyApplied),
        (OFF, "Status inactive already.", Verdict::AlreadyApplied),
        (OFF, "The user is in this status already.", Verdict::AlreadyApplied),
        (ON, "User is already active", Verdict::AlreadyApplied),
        (ON, "User has already been activated", Verdict::AlreadyApplied),
        (ON, "The user is active.", Verdict::AlreadyApplied),
        (OFF, "User is already active", Verdict::Rejected),
        (OFF, "User is active", Verdict::Rejected),
        (ON, "User is already inactive", Verdict::Rejected),
        (OFF, "User is not inactive", Verdict::Rejected),
        (OFF, "User not already deactivated", Verdict::Rejected),
        (OFF, "User is not active", Verdict::Rejected),
        (OFF, "A request has already failed", Verdict::Rejected),
        (ON, "User already exists", Verdict::Rejected),
        (OFF, "already", Verdict::Rejected),
    ];
    for (call, message, verdict) in cases {
        for (status, code) in [(400, 300), (400, 2034), (409, 1), (404, 77)] {
            let reply = read(*call, status, &format!("{{\"code\":{code},\"message\":\"{message}\"}}"));
            assert_eq!(reply.verdict, *verdict, "{call:?} {status} {message}");
        }
    }
    let room = read(OFF, 400, "{\"code\":200,\"message\":\"already inactive\"}");
    assert_eq!(room.verdict, Verdict::Rejected, "a code that is known says more than the words");
}

#[test]
fn the_kinds_of_429_are_told_apart_by_message_then_by_header() {
    let second = "You have reached the maximum per-second rate limit for this API. Try again later.";
    let day = "You have reached the maximum daily rate limit for this API. Refer to the response header for details \
               on when you can make another request.";
    let user_day = "You have exceeded the daily rate limit (100) of Update a user requests permitted for this \
                    particular user. You may resume these requests at GMT 00:00:00.";
    let concurrent =
        "Too many concurrent requests. A request to disassociate this user has already been made.";
    let midnight = ("retry-after", "2026-11-21T00:00:00Z");
    let hours = |hours: u64| Some(NOW.after(std::time::Duration::from_secs(hours * 3600)));
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Throttle, Option<Timestamp>);
    let cases: &[Row<'_>] = &[
        (second, &[], Throttle::PerSecond, None),
        (second, &[("x-ratelimit-type", "Daily-limit")], Throttle::PerSecond, None),
        (day, &[], Throttle::PerDay, None),
        (day, &[midnight], Throttle::PerDay, hours(12)),
        (user_day, &[], Throttle::PerUserDay, None),
        (concurrent, &[], Throttle::Concurrent, None),
        ("", &[("x-ratelimit-type", "QPS")], Throttle::PerSecond, None),
        (
            "",
            &[("x-ratelimit-type", "Per-second-limit"), ("retry-after", "1")],
            Throttle::PerSecond,
            Some(NOW.after(std::time::Duration::from_secs(1))),
        ),
        ("", &[("x-ratelimit-type", "Daily-limit")], Throttle::PerDay, None),
        ("", &[midnight], Throttle::PerDay, hours(12)),
        ("", &[("retry-after", "rubbish")], Throttle::PerSecond, None),
        ("", &[], Throttle::PerSecond, None),
    ];
    for (message, headers, throttle, retry_at) in cases {
        for code in [429, 4001] {
            let body = format!("{{\"code\":{code},\"message\":\"{message}\"}}");
            for call in [OFF, Call::List, Call::LookUp] {
                let reply = classify(call, &answer(429, headers, body.as_bytes()), NOW);
                assert_eq!(reply.verdict, Verdict::Throttled);
                assert_eq!(
                    (reply.throttle, reply.retry_at),
                    (Some(*throttle), *retry_at),
                    "{message} {headers:?}"
                );
                assert!(!reply.may_have_applied);
            }
        }
    }
    let bare = classify(OFF, &answer(429, &[("retry-after", "\u{e4}")], b"\xff\xfe"), NOW);
    assert_eq!((bare.throttle, bare.retry_at), (Some(Throttle::PerSecond), None));
}

#[test]
fn a_204_that_announces_a_body_is_another_servers() {
    let read = |length: &str| classify(OFF, &answer(204, &[("content-length", length)], b""), NOW);
    assert_eq!(read("0").verdict, Verdict::Applied);
    for length in ["3", "00", "", "x"] {
        let reply = read(length);
        assert_eq!(
            (reply.verdict, reply.code.as_deref()),
            (Verdict::Transient, Some("not_zoom")),
            "{length}"
        );
        assert!(reply.may_have_applied);
    }
}

#[test]
fn what_remains_of_the_second_is_told_and_what_remains_of_the_day_is_not() {
    let remaining = |headers: &[(&str, &str)]| classify(OFF, &answer(204, headers, b""), NOW).remaining;
    assert_eq!(remaining(&[("x-ratelimit-remaining", "12")]), Some(12));
    assert_eq!(remaining(&[("x-ratelimit-remaining", "12"), ("x-ratelimit-type", "QPS")]), Some(12));
    assert_eq!(remaining(&[("x-ratelimit-remaining", "12"), ("x-ratelimit-type", "Daily-limit")]), None);
    assert_eq!(remaining(&[("x-ratelimit-remaining", "-1")]), None);
    assert_eq!(remaining(&[]), None);
}

#[test]
fn a_change_may_have_happened_behind_a_5xx_and_an_odd_status_but_not_behind_a_refusal() {
    for (status, expected) in
        [(500, true), (502, true), (503, true), (101, true), (400, false), (302, false), (408, false)]
    {
        assert_eq!(read(OFF, status, "").may_have_applied, expected, "{status}");
        assert!(!read(Call::List, status, "").may_have_applied, "{status}");
    }
}

#[test]
fn a_body_that_was_cut_never_decides() {
    let cut = |call, status, body: &'static [u8], cut| {
        let answer =
            Answer { status, headers: HeaderMap::new(), body: Body::Cut(Bytes::from_static(body), cut) };
        classify(call, &answer, NOW)
    };
    for (body, why) in [(&b""[..], Cut::Broken), (b"{\"id\":", Cut::TooLong), (b"", Cut::Timeout)] {
        let reply = cut(OFF, 200, body, why);
        let found = (reply.verdict, reply.code.as_deref(), reply.may_have_applied);
        assert_eq!(found, (Verdict::Transient, Some(why.code()), true));
    }
    let too_long = cut(OFF, 400, b"{\"code\":1001,\"message\":\"User does", Cut::TooLong);
    assert_eq!((too_long.verdict, too_long.code.as_deref()), (Verdict::Transient, Some("body_too_long")));
    assert!(too_long.message.unwrap().contains("longer than any"));
    assert_eq!(cut(OFF, 404, b"", Cut::Broken).verdict, Verdict::Transient);
    assert_eq!(cut(Call::List, 200, b"{\"users\":[", Cut::Timeout).code.as_deref(), Some("timeout"));
    assert_eq!(cut(OFF, 429, b"{", Cut::Broken).verdict, Verdict::Throttled);
    assert_eq!(cut(OFF, 500, b"{", Cut::Broken).verdict, Verdict::Transient);
}

#[test]
fn a_redirect_names_the_host_and_nothing_more_of_the_address() {
    let reply =
        classify(OFF, &answer(302, &[("location", "https://login.portal.example/x?token=secret")], b""), NOW);
    let message = reply.message.unwrap();
    assert!(message.contains("login.portal.example") && !message.contains("secret"), "{message}");
}

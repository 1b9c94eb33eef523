use http::{HeaderName, header};
use serde_json::{Value, json};

use super::super::caller::{Caller, json as body_of, replied, request};
use super::super::directory::Trouble;
use super::super::plan::Plan as AccountPlan;
use super::*;
use crate::wait::RetryAfterForm;

const STATUS: &str = "PUT /users/{userId}/status";

fn report(caller: &Caller) -> Report {
    caller.account.report(caller.clock.now(), true)
}

fn retry_after(reply: &Reply) -> Option<&str> {
    reply.header(&HeaderName::from_static("retry-after"))
}

#[test]
fn without_a_good_token_nothing_is_counted() {
    let mut caller = Caller::new(|_| {});
    let none = replied(caller.send(&request("GET", "/v2/users", None)));
    let mut wrong = request("GET", "/v2/users", None);
    wrong.headers.insert("authorization", "Bearer nonsense".parse().unwrap());
    let wrong = replied(caller.send(&wrong));
    caller.advance(3_600_000);
    let expired = caller.call("GET", "/v2/users", None);
    for (reply, word) in [(none, "Invalid"), (wrong, "Invalid"), (expired, "expired")] {
        let body = body_of(&reply);
        assert_eq!((reply.status, body["code"].as_u64()), (401, Some(124)));
        assert!(body["message"].as_str().unwrap().contains(word), "{body}");
    }
    assert!(report(&caller).pace.is_empty());
    caller.renew_token();
    assert_eq!(caller.get("/v2/users").0, 200);
}

#[test]
fn a_missing_scope_is_named_and_classic_scopes_do_too() {
    let mut caller = Caller::new(|s| s.oauth.scopes = vec!["user:read:list_users:admin".into()]);
    let user = caller.someone(Trouble::None);
    let (status, body) = caller.set_status(&user.email, "deactivate");
    assert_eq!((status, body["code"].as_u64()), (400, Some(4711)));
    assert!(body["message"].as_str().unwrap().contains("user:update:status:admin"), "{body}");
    assert_eq!(caller.get("/v2/users").0, 200);
    let mut caller = Caller::new(|s| {
        s.oauth.scopes = vec!["user:write:admin".into()];
        s.rules.missing_scope_status = 401;
    });
    assert_eq!(caller.set_status(&user.email, "deactivate").0, 204);
    assert_eq!(caller.get("/v2/users").0, 401);
}

#[test]
fn paths_and_methods_that_zoom_does_not_have_are_refused_and_not_counted() {
    let mut caller = Caller::new(|_| {});
    assert_eq!(caller.call("GET", "/v2/meetings", None).status, 404);
    let reply = caller.call("POST", "/v2/users/a/status", Some("{}"));
    assert_eq!((reply.status, reply.header(&header::ALLOW)), (405, Some("PUT")));
    assert_eq!(caller.call("GET", "/v1/users", None).status, 404);
    assert!(report(&caller).pace.is_empty());
    assert_eq!(report(&caller).calls_of("no endpoint"), 3);
}

#[test]
fn the_eighty_first_call_of_a_second_is_refused_and_changes_nothing() {
    let mut caller = Caller::new(|s| s.directory.users = 90);
    let users: Vec<SimUser> =
        caller.account.users().into_iter().filter(|u| u.trouble == Trouble::None).collect();
    let statuses: Vec<u16> =
        users[..81].iter().map(|user| caller.set_status(&user.email, "deactivate").0).collect();
    assert!(statuses[..80].iter().all(|&s| s == 204));
    assert_eq!(statuses[80], 429);
    assert_eq!(caller.now_of(&users[80]), users[80]);
    assert_eq!(caller.get("/v2/users").0, 200, "Medium has a limit of its own");
    caller.advance(1000);
    assert_eq!(caller.set_status(&users[80].email, "deactivate").0, 204);
    let report = report(&caller);
    assert_eq!((report.throttled["second"], report.calls_with(STATUS, 204)), (1, 81));
    assert_eq!((report.pace["status"].calls, report.pace["status"].max_in_any_second), (82, 81));
}

#[test]
fn each_kind_of_refusal_has_its_message_and_its_headers() {
    let rows = [
        ("second@1", "per-second rate limit", "QPS", None),
        ("day@1", "maximum daily rate limit", "Daily-limit", Some("2026-03-02T00:00:00Z")),
        ("user_day@1", "this particular user", "Daily-limit", Some("2026-03-02T00:00:00Z")),
        ("concurrent@1", "Too many concurrent requests", "Concurrent-limit", None),
        ("second@1x1:7", "per-second rate limit", "QPS", Some("7")),
    ];
    for (planted, message, of_type, wait) in rows {
        let mut caller = Caller::new(|s| s.limits.inject_429 = vec![planted.parse().unwrap()]);
        let user = caller.someone(Trouble::None);
        let target = format!("/v2/users/{}/status", user.email);
        let reply = caller.call("PUT", &target, Some(r#"{"action":"deactivate"}"#));
        assert_eq!((reply.status, body_of(&reply)["code"].as_u64()), (429, Some(429)), "{planted}");
        assert!(body_of(&reply)["message"].as_str().unwrap().contains(message), "{planted}");
        assert_eq!(reply.header(&HeaderName::from_static("x-ratelimit-category")), Some("Light"));
        assert_eq!(reply.header(&HeaderName::from_static("x-ratelimit-type")), Some(of_type));
        assert_eq!(retry_after(&reply), wait, "{planted}");
        assert_eq!(caller.now_of(&user), user);
        assert_eq!(caller.set_status(&user.email, "deactivate").0, 204, "only one was planted");
    }
}

#[test]
fn headers_retry_after_and_code_of_a_refusal_are_as_set() {
    let wait = RetryAfterForm::Seconds;
    let rows = [("full", 5), ("minimal", 2), ("none", 0)];
    for (variant, headers) in rows {
        let mut caller = Caller::new(|s| {
            s.limits.light = Some(1);
            s.limits.headers = variant.parse().unwrap();
            s.limits.retry_after_second = wait;
            s.limits.code_429 = Some(4001);
        });
        let first = caller.call("GET", "/v2/users/me", None);
        let refused = caller.call("GET", "/v2/users/me", None);
        let limited = |reply: &Reply| {
            reply.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-ratelimit")).count()
        };
        assert_eq!((first.status, refused.status, limited(&refused)), (200, 429, headers), "{variant}");
        assert_eq!(limited(&first), headers.min(4), "{variant}");
        assert_eq!((retry_after(&refused), body_of(&refused)["code"].as_u64()), (Some("1"), Some(4001)));
    }
}

#[test]
fn calls_that_begin_while_told_to_wait_are_counted_and_others_are_not() {
    let mut caller = Caller::new(|s| {
        s.limits.light = Some(2);
        s.limits.retry_after_second = RetryAfterForm::Seconds;
    });
    let in_flight = caller.authorized("GET", "/v2/users/me", None);
    caller.get("/v2/users/nobody");
    caller.get("/v2/users/nobody");
    assert_eq!(caller.get("/v2/users/nobody").0, 429, "told to wait for a second");
    let ticket = caller.arrive(&in_flight);
    caller.finish(&in_flight, ticket);
    assert_eq!(report(&caller).calls_while_told_to_wait, 0, "it was on its way when the refusal was sent");
    caller.advance(500);
    caller.get("/v2/users/nobody");
    caller.get("/v2/users");
    let early = report(&caller);
    assert_eq!(early.calls_while_told_to_wait, 1, "the Light one, not the Medium one");
    assert_eq!(early.early_calls[0].route, "GET /users/{userId}");
    caller.advance(1500);
    caller.get("/v2/users/nobody");
    assert_eq!(report(&caller).calls_while_told_to_wait, 1);
}

#[test]
fn a_spent_day_tells_to_wait_until_midnight_also_without_a_header() {
    for form in
        [None, Some(RetryAfterForm::None), Some(RetryAfterForm::Rubbish), Some(RetryAfterForm::HttpDate)]
    {
        let mut caller = Caller::new(|s| {
            s.limits.light_per_day = Some(1);
            s.limits.retry_after_day = form;
        });
        caller.get("/v2/users/me");
        assert_eq!(caller.get("/v2/users/me").0, 429);
        caller.advance(13 * 3_600_000);
        caller.renew_token();
        assert_eq!(caller.get("/v2/users/me").0, 429);
        assert_eq!(report(&caller).calls_while_told_to_wait, 1, "{form:?}");
        caller.advance(3_600_000);
        caller.renew_token();
        assert_eq!(caller.get("/v2/users/me").0, 200, "it is after midnight");
        assert_eq!(report(&caller).calls_while_told_to_wait, 1, "{form:?}");
    }
}

#[test]
fn one_user_takes_one_call_at_a_time_by_whatever_name() {
    let mut caller = Caller::new(|_| {});
    let user = caller.someone(Trouble::None);
    let by_id = format!("/v2/users/{}/status", user.id.as_deref().unwrap());
    let first = caller.authorized("PUT", &by_id, Some(r#"{"action":"deactivate"}"#));
    let ticket = caller.arrive(&first);
    let (status, body) = caller.set_status(&user.email, "activate");
    assert_eq!(status, 429);
    assert!(body["message"].as_str().unwrap().contains("concurrent"), "{body}");
    let other = caller.someone(Trouble::AlreadyInactive);
    assert_eq!(caller.set_status(&other.email, "activate").0, 204, "another user is another user");
    assert_eq!(replied(caller.finish(&first, ticket)).status, 204);
    assert_eq!(caller.set_status(&user.email, "activate").0, 204);
    let report = report(&caller);
    assert_eq!((report.max_concurrent_per_user, report.throttled["concurrent"]), (2, 1));
}

#[test]
fn concurrent_calls_on_a_user_are_let_in_where_set_so_and_still_noticed() {
    let mut caller = Caller::new(|s| s.limits.allow_concurrent_calls_on_a_user = true);
    let user = caller.someone(Trouble::None);
    let first = caller.authorized("GET", &format!("/v2/users/{}", user.email), None);
    let ticket = caller.arrive(&first);
    assert_eq!(caller.set_status(&user.email, "deactivate").0, 204);
    assert_eq!(replied(caller.finish(&first, ticket)).status, 200);
    assert_eq!(report(&caller).max_concurrent_per_user, 2);
}

#[test]
fn faults_carry_the_change_out_or_not_as_they_say() {
    type Set = fn(&mut Faults);
    let rows: [(Set, bool, &str); 6] = [
        (|f| f.errors = 1.0, false, "5xx"),
        (|f| f.errors_applied = 1.0, true, "5xx"),
        (|f| f.lost = 1.0, true, "lost"),
        (|f| f.hangs = 1.0, false, "hung"),
        (|f| f.hangs_applied = 1.0, true, "hung"),
        (|f| f.rubbish = 1.0, false, "200"),
    ];
    for (set, applied, ending) in rows {
        let mut caller = Caller::new(|s| set(&mut s.faults));
        let user = caller.someone(Trouble::None);
        let target = format!("/v2/users/{}/status", user.email);
        let call = caller.authorized("PUT", &target, Some(r#"{"action":"deactivate"}"#));
        match caller.send(&call) {
            End::Reply(reply) if ending == "200" => {
                assert_eq!(reply.status, 200);
                assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
            }
            End::Reply(reply) => assert!(ending == "5xx" && (500..=504).contains(&reply.status)),
            End::Close => assert_eq!(ending, "lost"),
            End::Hang(key) => {
                assert_eq!(ending, "hung");
                caller.account.left(key.unwrap());
            }
        }
        assert_eq!(caller.now_of(&user) != user, applied, "{ending}");
        let endings = &report(&caller).calls[STATUS];
        assert!(ending == "5xx" || endings.contains_key(ending), "{endings:?}");
        caller.account.settings.faults = Faults::default();
        assert_eq!(caller.set_status(&user.email, "activate").0, 204, "nothing is left in flight");
    }
}

#[test]
fn tokens_meet_faults_only_where_set_so_and_outages_always() {
    let mut caller = Caller::new(|_| {});
    caller.account.settings.faults.errors = 1.0;
    caller.renew_token();
    caller.account.settings.faults.on_tokens = true;
    let call = request("POST", "/oauth/token", None);
    assert!(replied(caller.send(&call)).status >= 500);
    caller.account.settings.faults =
        Faults { outages: vec!["0..1000:close".parse().unwrap()], ..Faults::default() };
    assert!(matches!(caller.send(&call), End::Close));
    caller.advance(1001);
    caller.renew_token();
    assert_eq!(report(&caller).calls["POST /oauth/token"]["closed"], 1);
}

#[test]
fn an_outage_counts_and_changes_nothing() {
    let mut caller = Caller::new(|s| s.faults.outages = vec!["1000..1999:503".parse().unwrap()]);
    let user = caller.someone(Trouble::None);
    caller.advance(1500);
    let (status, body) = caller.set_status(&user.email, "deactivate");
    assert_eq!((status, body), (503, Value::Null), "a page, not JSON");
    assert_eq!(caller.now_of(&user), user);
    assert!(report(&caller).pace.is_empty());
    caller.advance(500);
    assert_eq!(caller.set_status(&user.email, "deactivate").0, 204);
}

#[test]
fn the_same_seed_meets_the_same_faults_whatever_the_order_of_calls() {
    let endings = |reverse: bool| {
        let mut caller = Caller::new(|s| {
            s.directory.users = 200;
            s.limits.plan = AccountPlan::Unlimited;
            s.faults.errors = 0.3;
        });
        let mut users: Vec<SimUser> =
            caller.account.users().into_iter().filter(|u| u.trouble == Trouble::None).collect();
        if reverse {
            users.reverse();
        }
        let statuses = users.iter().map(|u| (u.email.clone(), caller.set_status(&u.email, "deactivate").0));
        statuses.collect::<std::collections::BTreeMap<_, _>>()
    };
    let (forward, backward) = (endings(false), endings(true));
    assert_eq!(forward, backward);
    let failed = forward.values().filter(|&&status| status >= 500).count();
    assert!((30..=90).contains(&failed), "{failed} of 200");
}

#[test]
fn a_user_who_was_changed_too_often_today_is_refused_alone() {
    let mut caller = Caller::new(|s| s.limits.per_user_per_day = Some(2));
    let user = caller.someone(Trouble::None);
    let other = caller.someone(Trouble::AlreadyInactive);
    for action in ["deactivate", "activate"] {
        assert_eq!(caller.set_status(&user.email, action).0, 204);
    }
    let (status, body) = caller.set_status(&user.email, "deactivate");
    assert_eq!(status, 429);
    assert!(body["message"].as_str().unwrap().contains("(2)"), "{body}");
    assert_eq!(caller.set_status(&other.email, "activate").0, 204);
    assert_eq!(caller.get(&format!("/v2/users/{}", user.email)).0, 200, "looking changes nothing");
    assert_eq!(report(&caller).throttled["user_day"], 1);
    assert_eq!(body["code"], json!(429));
}

use usher_shared::UserState;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_000); // 2025-10-09T08:53:20Z
const MIDNIGHT: Timestamp = Timestamp::from_millis(1_760_054_400_000); // 2025-10-10T00:00:00Z
const INTERVAL: Duration = Duration::from_millis(1_234);

fn facts() -> JobFacts {
    JobFacts {
        action: Action::Deactivate,
        before: Status::Active,
        attempt: 1,
        may_have_applied: false,
        outage_until: None,
    }
}

fn there() -> JobFacts {
    JobFacts { before: Status::Inactive, ..facts() }
}

fn lost() -> JobFacts {
    JobFacts { may_have_applied: true, attempt: 2, ..facts() }
}

fn reply(verdict: Verdict) -> Reply {
    Reply::of(verdict)
}

fn decided(facts: &JobFacts, reply: &Reply) -> Decision {
    decide(facts, reply, RetryPolicy { max_attempts: 8 }, NOW, INTERVAL)
}

fn outcome(then: &Then) -> Option<Outcome> {
    match then {
        Then::Finish { outcome, .. } => Some(*outcome),
        Then::Retry { .. } | Then::Snooze { .. } => None,
    }
}

#[test]
fn a_final_verdict_ends_the_job_with_the_outcome_that_is_true() {
    let cases = [
        ("a change", facts(), Verdict::Applied, Outcome::Applied),
        ("no change", there(), Verdict::Applied, Outcome::AlreadyApplied),
        (
            "a change of ours, told late",
            JobFacts { may_have_applied: true, ..there() },
            Verdict::Applied,
            Outcome::Applied,
        ),
        ("a lost reply of ours", lost(), Verdict::AlreadyApplied, Outcome::Applied),
        ("somebody else's change", facts(), Verdict::AlreadyApplied, Outcome::AlreadyApplied),
        ("there from the start", there(), Verdict::AlreadyApplied, Outcome::AlreadyApplied),
        (
            "a later attempt, none lost",
            JobFacts { attempt: 5, ..facts() },
            Verdict::AlreadyApplied,
            Outcome::AlreadyApplied,
        ),
        ("gone", facts(), Verdict::NotFound, Outcome::NotFound),
        ("refused", facts(), Verdict::Rejected, Outcome::Rejected),
        ("refused though there", there(), Verdict::Rejected, Outcome::Rejected),
        ("not understood", facts(), Verdict::Unknown, Outcome::Rejected),
    ];
    for (name, facts, verdict, expected) in cases {
        let decision = decided(&facts, &reply(verdict));
        assert_eq!(outcome(&decision.then), Some(expected), "{name}");
        assert_eq!((decision.hold, decision.pause), (None, None), "{name}");
    }
}

#[test]
fn a_rejection_carries_the_vendor_s_code_and_message() {
    let said = Reply {
        http: Some(400),
        code: Some("300".into()),
        message: Some("upcoming event".into()),
        ..reply(Verdict::Rejected)
    };
    let expected = Then::Finish {
        outcome: Outcome::Rejected,
        code: Some("300".into()),
        message: Some("upcoming event".into()),
    };
    assert_eq!(decided(&facts(), &said).then, expected);
}

#[test]
fn what_might_pass_is_retried_until_the_attempts_are_used_up() {
    let failed = Reply { http: Some(503), message: Some("busy".into()), ..reply(Verdict::Transient) };
    for attempt in [1, 7] {
        let then = decided(&JobFacts { attempt, ..facts() }, &failed).then;
        assert_eq!(then, Then::Retry { at: NOW.after(INTERVAL) }, "{attempt}");
    }
    for attempt in [8, 9] {
        let Then::Finish { outcome, code, message } = decided(&JobFacts { attempt, ..facts() }, &failed).then
        else {
            panic!("not finished after {attempt}");
        };
        assert_eq!((outcome, code.as_deref()), (Outcome::Exhausted, Some("503")));
        assert!(message.unwrap().contains("HTTP 503, busy"));
    }
}

#[test]
fn a_failure_while_the_breaker_is_open_spends_no_attempt_even_at_the_last_one() {
    let until = NOW.after(Duration::from_secs(4));
    let facts = JobFacts { attempt: 8, outage_until: Some(until), ..facts() };
    let decision = decided(&facts, &reply(Verdict::Transient));
    assert_eq!(decision, Decision::only(Then::Snooze { until, reason: SnoozeReason::Held }));
}

#[test]
fn a_refusal_for_the_rate_snoozes_the_job_and_says_who_else_waits() {
    let said = NOW.after(Duration::from_secs(5));
    let seconds = Duration::from_secs;
    use RatePause::{Day, Said, Unsaid};
    let cases = [
        (Some(Throttle::PerSecond), None, NOW.after(UNSAID_WAIT), Some(Unsaid), false),
        (None, None, NOW.after(UNSAID_WAIT), Some(Unsaid), false),
        (Some(Throttle::PerSecond), Some(said), said, Some(Said(seconds(5))), false),
        (Some(Throttle::PerSecond), Some(NOW), NOW.after(UNSAID_WAIT), Some(Unsaid), false),
        (
            Some(Throttle::PerSecond),
            Some(NOW.after(seconds(1 << 30))),
            NOW.after(LONGEST_WAIT),
            Some(Said(LONGEST_WAIT)),
            false,
        ),
        (Some(Throttle::PerDay), None, MIDNIGHT, Some(Day(DAY_PAUSE)), true),
        (Some(Throttle::PerDay), Some(said), said, Some(Day(seconds(5))), true),
        (Some(Throttle::PerUserDay), None, MIDNIGHT, None, false),
        (Some(Throttle::Concurrent), None, NOW.after(seconds(1)), None, false),
        (Some(Throttle::Concurrent), Some(said), said, None, false),
    ];
    for (throttle, retry_at, until, pause, holds) in cases {
        // At the last attempt, too: waiting is not failing.
        let facts = JobFacts { attempt: 8, ..facts() };
        let decision = decided(&facts, &Reply { throttle, retry_at, ..reply(Verdict::Throttled) });
        let name = format!("{throttle:?} {retry_at:?}");
        assert_eq!(decision.then, Then::Snooze { until, reason: SnoozeReason::Throttled }, "{name}");
        assert_eq!(decision.pause, pause, "{name}");
        let hold = decision.hold.map(|hold| (hold.reason, hold.until));
        assert_eq!(hold, holds.then_some((HoldReason::Quota, Some(until))), "{name}");
    }
}

#[test]
fn an_invalid_token_sends_the_job_back_at_once_and_holds_nothing() {
    let decision = decided(&JobFacts { attempt: 8, ..facts() }, &reply(Verdict::Unauthorized));
    assert_eq!(decision, Decision::only(Then::Snooze { until: NOW, reason: SnoozeReason::Returned }));
}

#[test]
fn missing_scopes_and_bad_credentials_hold_the_account_and_fail_no_user() {
    let cases = [
        (Verdict::Forbidden, None, HoldReason::Scope, "Grant"),
        (Verdict::Forbidden, Some(HoldReason::Scope), HoldReason::Scope, "Grant"),
        (Verdict::Unauthorized, Some(HoldReason::Credentials), HoldReason::Credentials, "accounts check"),
        (Verdict::Transient, Some(HoldReason::Credentials), HoldReason::Credentials, "accounts check"),
    ];
    for (verdict, halt, reason, advice) in cases {
        let said = Reply { halt, message: Some("needs user:update".into()), ..reply(verdict) };
        let decision = decided(&JobFacts { attempt: 8, ..facts() }, &said);
        assert_eq!(decision.then, Then::Snooze { until: NOW, reason: SnoozeReason::Held }, "{verdict}");
        let hold = decision.hold.unwrap();
        assert_eq!((hold.reason, hold.until), (reason, None), "{verdict}");
        assert!(hold.message.contains(advice) && hold.message.contains("user:update"), "{}", hold.message);
    }
}

#[test]
fn a_job_that_killed_workers_ends_by_what_a_look_at_its_user_shows() {
    let user = |status| ResolvedUser {
        id: "u".into(),
        email: None,
        before: UserState { status, license: None, role: None, groups: vec![] },
    };
    let cases = [
        (lost(), Some(user(Status::Inactive)), Outcome::Applied),
        (there(), Some(user(Status::Inactive)), Outcome::AlreadyApplied),
        (lost(), Some(user(Status::Active)), Outcome::Poisoned),
        (lost(), None, Outcome::NotFound),
    ];
    for (facts, seen, expected) in cases {
        assert_eq!(outcome(&decide_poison(&facts, 3, seen.as_ref(), &[])), Some(expected));
    }
}

#[test]
fn a_look_after_the_last_death_sees_what_was_not_given_back() {
    let user = ResolvedUser {
        id: "u".into(),
        email: None,
        before: UserState { status: Status::Active, license: Some("1".into()), role: None, groups: vec![] },
    };
    let facts = JobFacts { action: Action::Activate, before: Status::Inactive, ..lost() };
    let lacking = [Part::License("2".into()), Part::Group("g".into())];
    let Then::Finish { outcome, code, message } = decide_poison(&facts, 5, Some(&user), &lacking) else {
        panic!()
    };
    assert_eq!((outcome, code.as_deref()), (Outcome::Poisoned, Some(PARTLY_RESTORED)));
    assert!(message.unwrap().ends_with("lacks licence type 2, group g"));
}

#[test]
fn no_free_seat_ends_the_job() {
    assert_eq!(outcome(&decided(&facts(), &reply(Verdict::NoSeat)).then), Some(Outcome::NoSeat));
}

#[test]
fn midnight_is_the_next_one_also_at_midnight() {
    assert_eq!(next_midnight(NOW), MIDNIGHT);
    let second = Duration::from_secs(1);
    for (at, ends) in [
        (NOW, MIDNIGHT),
        (MIDNIGHT, MIDNIGHT.after(60 * second)),
        (MIDNIGHT.after(100 * second), MIDNIGHT.after(160 * second)),
        (MIDNIGHT.after(120 * second), MIDNIGHT.after(86_400 * second)),
    ] {
        assert_eq!(day_ends(at), ends, "refused at {at}");
    }
    assert_eq!(next_midnight(MIDNIGHT), MIDNIGHT.after(Duration::from_secs(86_400)));
}

//! Why a run waits, by the facts.

use std::collections::BTreeMap;

use super::*;
use crate::{Action, Counters, Drawn, Effort, Held, NewRun, view::activity::Lane};

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

const NOW: &str = "2026-11-21T20:48:00Z";
const MIDNIGHT: &str = "2026-11-22T00:00:00Z";

fn run(priority: Priority) -> RunStatus {
    RunStatus {
        notes: Default::default(),
        run: NewRun {
            terms: Default::default(),
            id: "20261121-k3f9zm".parse().unwrap(),
            account: "zoom-main".parse().unwrap(),
            priority,
            reason: None,
            asked_by: "test".into(),
            source: None,
            created_at: at("2026-11-21T20:00:00Z"),
        },
        phase: RunPhase::Admitted,
        paused: false,
        cancelled: false,
        admission: Some(1),
        by_action: BTreeMap::from([(Action::Deactivate, 10)]),
        counters: Counters { total: 10, queued: 10, ..Counters::default() },
        effort: Effort::default(),
        sealed_at: Some(at("2026-11-21T20:00:00Z")),
        finished_at: None,
        fresh_at: Some(at("2026-11-21T20:40:00Z")),
        hold: None,
    }
}

fn activity(workers: usize, lane: Lane) -> Activity {
    Activity { workers, in_flight: 0, lanes: vec![lane] }
}

fn day(used: u64) -> Lane {
    let drawn = Drawn { granted: 0, used, at: at(NOW), frees_at: at(MIDNIGHT) };
    Lane { day: Some(DayUse { calls: 6_000, urgent_only: 120, drawn }), ..Lane::default() }
}

fn hold(reason: HoldReason, until: Option<&str>) -> Option<Hold> {
    let until = until.map(at);
    let end = until.map(|until| format!("; a probe follows at {until}")).unwrap_or_default();
    Some(Hold { reason, message: format!("words{end}."), since: at(NOW), until })
}

fn told(status: &RunStatus, activity: Option<&Activity>, store: &str) -> Vec<String> {
    let reader = Reader::CommandLine(store.parse().unwrap());
    let found = waits(status, activity, &reader, at(NOW));
    found
        .iter()
        .map(|wait| format!("{}: {}", wait.why.as_str(), wait.words(at(NOW), &TimeZone::UTC)))
        .collect()
}

#[test]
fn why_it_waits_and_until_when_is_what_the_facts_say() {
    let paused = Lane { paused_until: Some(at("2026-11-21T20:48:04.200Z")), ..Lane::default() };
    let until_midnight = Lane { paused_until: Some(at(MIDNIGHT)), ..day(6_000) };
    let blink = Lane { paused_until: Some(at("2026-11-21T20:48:00.050Z")), ..Lane::default() };
    let normal = || run(Priority::Normal);
    let midnight = "goes on by itself at 00:00 UTC, in 3 h 12 min";
    let cases: Vec<(&str, RunStatus, Activity, Vec<String>)> = vec![
        ("it works", normal(), activity(2, Lane::default()), vec![]),
        (
            "a refusal",
            normal(),
            activity(1, paused.clone()),
            vec!["rate_limit: refused for the vendor's rate limit; goes on by itself in 4.2 s".into()],
        ),
        ("a blink", normal(), activity(1, blink), vec![]),
        (
            "the day is used up",
            normal(),
            activity(1, day(6_000)),
            vec![format!("day_quota: the day's 6,000 calls are used up; {midnight}")],
        ),
        (
            "what is left is for urgent work",
            normal(),
            activity(1, day(5_880)),
            vec![format!(
                "kept_for_urgent: of the day's 6,000 calls, the last 120 are kept for urgent work; \
                 {midnight}"
            )],
        ),
        ("and this is urgent work", run(Priority::Urgent), activity(1, day(5_880)), vec![]),
        ("calls are left", normal(), activity(1, day(5_879)), vec![]),
        (
            "a hold and a pause for the same quota are one reason",
            RunStatus { hold: hold(HoldReason::Quota, Some(MIDNIGHT)), ..normal() },
            activity(1, until_midnight),
            vec![format!("day_quota: the day's calls are used up; {midnight}")],
        ),
        (
            "a vendor that fails, and when it is tried again",
            RunStatus { hold: hold(HoldReason::Breaker, Some(MIDNIGHT)), ..normal() },
            activity(1, Lane::default()),
            vec![format!("vendor_fails: words; {midnight}")],
        ),
        (
            "a hold that waits for a person",
            RunStatus { hold: hold(HoldReason::Scope, None), ..normal() },
            activity(1, Lane::default()),
            vec!["scope: words".into()],
        ),
        (
            "paused by a person, and nobody there, which then is no reason",
            RunStatus { paused: true, ..normal() },
            Activity::default(),
            vec!["paused: paused by a person; `usher resume 20261121-k3f9zm` goes on".into()],
        ),
        ("cancelled", RunStatus { cancelled: true, ..normal() }, activity(1, paused), vec![]),
        (
            "it stood still, and nobody is in the way any more",
            RunStatus { fresh_at: Some(at("2026-11-21T18:48:00Z")), ..normal() },
            activity(1, Lane::default()),
            vec![
                "resolving_again: it stood still for 2 h 00 min, so its users are looked up again before it goes \
                 on"
                .into(),
            ],
        ),
        (
            "it stands still, and a person knows why",
            RunStatus { fresh_at: Some(at("2026-11-21T18:48:00Z")), paused: true, ..normal() },
            activity(1, Lane::default()),
            vec!["paused: paused by a person; `usher resume 20261121-k3f9zm` goes on".into()],
        ),
        (
            "somebody worked a moment ago",
            RunStatus {
                effort: Effort { last_attempt_at: Some(at("2026-11-21T20:47:59Z")), ..Effort::default() },
                ..normal()
            },
            Activity::default(),
            vec![],
        ),
        (
            "just submitted",
            RunStatus { sealed_at: Some(at("2026-11-21T20:47:58Z")), ..normal() },
            Activity::default(),
            vec!["no_worker: no worker has begun yet".into()],
        ),
    ];
    for (case, status, activity, expected) in cases {
        assert_eq!(told(&status, Some(&activity), "redis://localhost:1"), expected, "{case}");
    }
    assert_eq!(told(&normal(), None, "redis://localhost:1"), Vec::<String>::new(), "nothing is known");
}

#[test]
fn a_run_that_waits_for_a_person_says_for_what_and_what_to_type() {
    let nobody = Activity::default();
    let held = |reason, since: &str| {
        let message = "more than 100 users a run; `usher approve 20261121-k3f9zm` by another person.".into();
        Some(Held { reason, message, since: at(since) })
    };
    let told = |status: &RunStatus| told(status, Some(&nobody), "redis://localhost:1");
    let mut status = run(Priority::Normal);
    status.phase = RunPhase::Resolved;
    status.run.terms.plan = true;
    status.notes.held = held(HeldReason::Planned, NOW);
    assert!(told(&status)[0].starts_with("planned: planned; `usher apply 20261121-k3f9zm` carries it out"));
    assert_eq!(told(&status).len(), 1, "that nobody works does not matter");
    status.run.terms.plan = false;
    status.notes.held = held(HeldReason::OverRunCap, NOW);
    assert_eq!(
        told(&status),
        ["over_run_cap: more than 100 users a run; `usher approve 20261121-k3f9zm` by another person"]
    );
    status.notes.held = held(HeldReason::OverRunCap, "2026-11-21T20:40:00Z");
    let approval = crate::Approval {
        by: "bob".into(),
        at: at("2026-11-21T20:47:59Z"),
        plan: "0".repeat(64).parse().unwrap(),
        signature: String::new(),
    };
    status.notes.approval = Some(approval);
    assert!(told(&status)[0].starts_with("no_worker"), "{:?}", told(&status));
}

#[test]
fn a_run_whose_time_has_not_come_says_when_it_begins() {
    let mut status = run(Priority::Normal);
    status.phase = RunPhase::Sealed;
    status.run.terms.not_before = Some(at(MIDNIGHT));
    let words = told(&status, Some(&activity(1, Lane::default())), "redis://localhost:1");
    assert_eq!(words, ["not_before: its time has not come; goes on by itself at 00:00 UTC, in 3 h 12 min"]);
}

#[test]
fn where_nobody_works_it_says_how_to_start() {
    let nobody = Activity::default();
    let run = run(Priority::Normal);
    let words = told(&run, Some(&nobody), "redis://localhost:1").concat();
    assert!(words.contains("`usher worker --account zoom-main`"), "{words}");
    let words = told(&run, Some(&nobody), "sqlite:usher.db").concat();
    assert!(words.contains("`usher resume 20261121-k3f9zm`"), "{words}");
}

#[test]
fn a_caller_of_the_api_is_told_of_calls_and_never_to_type_a_command() {
    let nobody = Activity::default();
    let told = |status: &RunStatus| {
        let found = waits(status, Some(&nobody), &Reader::Caller, at(NOW));
        found.iter().map(|wait| wait.what.clone()).collect::<Vec<_>>().join(" ")
    };
    let paused = told(&RunStatus { paused: true, ..run(Priority::Normal) });
    assert!(paused.contains("POST /v1/runs/20261121-k3f9zm/resume"), "{paused}");
    let mut planned = run(Priority::Normal);
    planned.phase = RunPhase::Resolved;
    planned.run.terms.plan = true;
    let planned = told(&planned);
    assert!(planned.contains("/apply") && planned.contains("/cancel"), "{planned}");
    let alone = told(&run(Priority::Normal));
    assert!(alone.contains("no worker is running for zoom-main"), "{alone}");
    for words in [paused, planned, alone] {
        assert!(!words.contains('`'), "{words}");
    }
}

#[test]
fn the_word_for_programs_is_the_same_in_json() {
    for why in [Why::RateLimit, Why::NoWorker, Why::OverDayCap, Why::KeptForUrgent] {
        assert_eq!(serde_json::to_string(&why).unwrap(), format!("\"{}\"", why.as_str()));
    }
}

use usher_shared::{
    Action, Approval, Counters, DayUse, Drawn, Go, Held, NewRun, PlanNote, Terms, WorkerId, plan::PlanHash,
};

use super::*;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Seconds after a midnight in UTC.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_763_683_200_000 + seconds * 1_000)
}

/// Sealed at second 0, 10 users to be deactivated, in that phase.
fn run(phase: RunPhase) -> RunStatus {
    RunStatus {
        notes: Default::default(),
        run: NewRun {
            terms: Terms::default(),
            id: "20261121-k3f9zm".parse().unwrap(),
            account: "zoom-main".parse().unwrap(),
            priority: Priority::Normal,
            reason: Some("they left".into()),
            asked_by: "token:hr".into(),
            source: None,
            created_at: at(0),
        },
        phase,
        paused: false,
        cancelled: false,
        admission: None,
        by_action: [(Action::Deactivate, 10)].into(),
        counters: Counters { total: 10, queued: 10, ..Counters::default() },
        effort: Default::default(),
        sealed_at: Some(at(0)),
        finished_at: None,
        fresh_at: Some(at(0)),
        hold: None,
    }
}

/// Over at second 100, its jobs having come to that.
fn over(phase: RunPhase, outcomes: &[(Outcome, u64)]) -> RunStatus {
    let finished = outcomes.iter().map(|(_, count)| count).sum();
    let outcomes = outcomes.iter().copied().collect();
    RunStatus {
        counters: Counters { total: finished, finished, outcomes, ..Counters::default() },
        finished_at: Some(at(100)),
        ..run(phase)
    }
}

fn held_for(reason: HeldReason, since: i64) -> RunStatus {
    let mut run = run(RunPhase::Resolved);
    run.notes.held = Some(Held { reason, message: "what to type".into(), since: at(since) });
    run.notes.plan = Some(PlanNote { hash: hash(), at: at(5), change: 7, active_users: None });
    run
}

fn hash() -> PlanHash {
    "0".repeat(64).parse().unwrap()
}

fn approved(mut run: RunStatus, seconds: i64) -> RunStatus {
    let by = "bob".to_owned();
    run.notes.approval = Some(Approval { by, at: at(seconds), plan: hash(), signature: String::new() });
    run
}

fn hold(reason: HoldReason, until: i64) -> Option<Hold> {
    Some(Hold { reason, message: String::new(), since: at(0), until: Some(at(until)) })
}

fn pulse(used: u64) -> Pulse {
    let drawn = Drawn { granted: 0, used, at: at(0), frees_at: at(DAY) };
    let day = Some(DayUse { calls: 100, urgent_only: 20, drawn });
    Pulse {
        account: "zoom-main".parse().unwrap(),
        worker: WorkerId::new("w"),
        at: at(0),
        in_flight: 0,
        lanes: vec![LanePulse { label: "light".into(), day, ..LanePulse::default() }],
        policy: None,
        active_users: None,
    }
}

fn look_with(run: &RunStatus, now: i64, pulses: &[Pulse]) -> Vec<Event> {
    let runs = std::slice::from_ref(run);
    let (unfinished, ended) = if run.phase.is_over() { (&[][..], runs) } else { (runs, &[][..]) };
    events(&Sight { now: at(now), unfinished, ended, pulses })
}

fn look(run: &RunStatus, now: i64) -> Vec<Event> {
    look_with(run, now, &[])
}

fn only(mut events: Vec<Event>) -> Event {
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

#[test]
fn a_run_that_goes_its_way_is_no_news() {
    for phase in [RunPhase::Sealed, RunPhase::Resolved, RunPhase::Admitted] {
        assert_eq!(look(&run(phase), HOUR), []);
    }
}

#[test]
fn a_run_that_ends_is_told_with_its_figures_and_once_more_when_it_ends_again() {
    use Outcome::{AlreadyApplied, Applied, NotFound};
    let mut run = over(RunPhase::Finished, &[(Applied, 4), (AlreadyApplied, 1), (NotFound, 2)]);
    let event = only(look(&run, 200));
    assert_eq!((event.kind, event.at), (WebhookEvent::RunFinished, at(100)));
    let body: serde_json::Value = serde_json::from_str(&event.body().unwrap()).unwrap();
    assert_eq!(body["data"]["state"], "finished");
    assert_eq!((&body["data"]["total"], &body["data"]["as_wished"]), (&7.into(), &5.into()));
    assert_eq!(body["data"]["outcomes"]["not_found"], 2);
    assert_eq!(body["data"]["asked_by"], "token:hr");
    assert!(body["data"].get("reason").is_none(), "a reason may say more of a person than is needed");
    assert_eq!(only(look(&run, 9_000)).id, event.id);
    run.finished_at = Some(at(500));
    assert_ne!(only(look(&run, 600)).id, event.id);
}

#[test]
fn every_way_to_end_has_its_word() {
    let ending = |outcome, code: Option<&str>| {
        Some(Ending { outcome, code: code.map(str::to_owned), message: "why".into() })
    };
    let cases = [
        (RunPhase::Finished, None, "finished"),
        (RunPhase::Cancelled, ending(Outcome::Cancelled, None), "cancelled"),
        (RunPhase::Cancelled, ending(Outcome::Expired, Some(Ending::DEADLINE)), "expired"),
        (RunPhase::Cancelled, ending(Outcome::Cancelled, Some(Ending::OVER_CAP)), "refused"),
    ];
    for (phase, ending, word) in cases {
        let mut run = over(phase, &[(Outcome::Applied, 1)]);
        run.notes.ending = ending;
        let body: serde_json::Value = serde_json::from_str(&only(look(&run, 200)).body().unwrap()).unwrap();
        assert_eq!(body["data"]["state"], word);
        assert_eq!(body["data"].get("message").is_some(), word != "finished");
    }
}

#[test]
fn only_what_waits_for_a_person_is_told_as_held() {
    let cases = [
        (HeldReason::Approval, Some("approval")),
        (HeldReason::OverRunCap, Some("over_run_cap")),
        (HeldReason::OverDayCap, Some("over_day_cap")),
        (HeldReason::Planned, None),
        (HeldReason::NotBefore, None),
        (HeldReason::Unknown, None),
    ];
    for (reason, word) in cases {
        let events = look(&held_for(reason, 10), 20);
        match word {
            None => assert_eq!(events, [], "{reason:?}"),
            Some(word) => {
                let event = only(events);
                let Data::RunHeld(held) = &event.data else { panic!("{event:?}") };
                assert_eq!((held.why, held.change, held.message.as_str()), (word, Some(7), "what to type"));
            }
        }
    }
    let approval = held_for(HeldReason::Approval, 10);
    for quiet in [
        RunStatus { cancelled: true, ..approval.clone() },
        RunStatus { paused: true, ..approval.clone() },
        RunStatus { phase: RunPhase::Admitted, ..approval },
    ] {
        assert_eq!(look(&quiet, 20), []);
    }
}

#[test]
fn a_hold_of_a_run_is_told_once_although_its_note_is_written_anew() {
    let id = |run: &RunStatus| only(look(run, HOUR)).id;
    let first = id(&held_for(HeldReason::Approval, 10));
    assert_eq!(id(&held_for(HeldReason::Approval, 900)), first, "the figures in its message changed");
    assert_ne!(id(&held_for(HeldReason::OverRunCap, 10)), first, "another reason");
    let (today, tomorrow) = (held_for(HeldReason::OverDayCap, 10), held_for(HeldReason::OverDayCap, DAY));
    assert_ne!(id(&today), id(&tomorrow), "another day's cap");
    let mut worked = held_for(HeldReason::Approval, 10);
    worked.effort.last_attempt_at = Some(at(50));
    assert_ne!(id(&worked), first, "tried again, and held again");
    let mut applied = held_for(HeldReason::Approval, 10);
    applied.notes.go = Some(Go { by: "ann".into(), at: at(9), plan: hash() });
    assert_ne!(id(&applied), first, "a plan that was applied, and needs an approval");
}

#[test]
fn a_run_that_was_approved_is_told_again_only_if_that_did_not_help() {
    let held = held_for(HeldReason::Approval, 10);
    let first = only(look(&held, 20)).id;
    let run = approved(held, 100);
    let pulses = [pulse(0)];
    assert_eq!(look_with(&run, 101, &pulses), [], "workers find out");
    assert_eq!(look(&run, HOUR), [], "nobody is there to find out");
    assert_ne!(only(look_with(&run, 200, &pulses)).id, first, "it is held all the same");
    let late = approved(held_for(HeldReason::Approval, 200), 100);
    assert_ne!(only(look(&late, 210)).id, first, "the approval has run out");
}

#[test]
fn a_run_is_parked_while_the_day_s_calls_are_used_up_and_that_is_told_once_a_day() {
    let held = RunStatus { hold: hold(HoldReason::Quota, DAY), ..run(RunPhase::Admitted) };
    let event = only(look(&held, HOUR));
    let Data::RunParked(parked) = &event.data else { panic!("{event:?}") };
    assert_eq!((parked.until, parked.kept_for_urgent, parked.left, parked.total), (at(DAY), false, 10, 10));
    assert_eq!(only(look(&held, 5 * HOUR)).id, event.id);
    let tomorrow = RunStatus { hold: hold(HoldReason::Quota, 2 * DAY), ..held.clone() };
    assert_ne!(only(look(&tomorrow, DAY + HOUR)).id, event.id);
    assert_eq!(look(&held, DAY - MINUTE), [], "it goes on before anybody has read of it");
    for quiet in [
        RunStatus { paused: true, ..held.clone() },
        RunStatus { cancelled: true, ..held.clone() },
        RunStatus { counters: Counters { total: 1, finished: 1, ..Counters::default() }, ..held.clone() },
        RunStatus { hold: hold(HoldReason::Breaker, DAY), ..held },
    ] {
        assert_eq!(look(&quiet, HOUR), []);
    }
}

#[test]
fn a_day_s_last_calls_park_what_is_not_urgent() {
    let normal = run(RunPhase::Admitted);
    assert_eq!(look_with(&normal, HOUR, &[pulse(79)]), []);
    let event = only(look_with(&normal, HOUR, &[pulse(80)]));
    let Data::RunParked(parked) = event.data else { panic!("{event:?}") };
    assert!(parked.kept_for_urgent);
    let mut urgent = normal;
    urgent.run.priority = Priority::Urgent;
    assert_eq!(look_with(&urgent, HOUR, &[pulse(80)]), []);
}

#[test]
fn a_deadline_is_near_when_a_tenth_of_the_time_is_left_but_within_five_minutes_and_a_day() {
    // Given so much time, it is told from so long before the deadline.
    for (given, near) in [(10 * HOUR, HOUR), (20 * MINUTE, 5 * MINUTE), (100 * DAY, DAY)] {
        let mut run = run(RunPhase::Admitted);
        run.run.terms.deadline = Some(at(given));
        assert_eq!(look(&run, given - near - 1), [], "{given}");
        let event = only(look(&run, given - near));
        let Data::DeadlineNear(data) = &event.data else { panic!("{event:?}") };
        assert_eq!((data.deadline, data.left, data.state), (at(given), 10, RunState::Running));
        assert_eq!(only(look(&run, given - 1)).id, event.id);
        assert_eq!(look(&run, given), [], "it has passed");
        let paused = RunStatus { paused: true, ..run.clone() };
        assert_eq!(look(&paused, given - 1).len(), 1, "nobody works it: all the more");
        let done = Counters { total: 10, finished: 10, ..Counters::default() };
        assert_eq!(look(&RunStatus { counters: done, ..run.clone() }, given - 1), []);
        assert_eq!(look(&RunStatus { cancelled: true, ..run }, given - 1), []);
    }
}

#[test]
fn leavers_are_those_whose_deactivation_did_not_happen_and_nobody_meant_that() {
    use Outcome as O;
    let missed = [O::Rejected, O::Protected, O::Drifted, O::NoSeat, O::Exhausted, O::Expired, O::Poisoned];
    for outcome in Outcome::ALL {
        let run = over(RunPhase::Finished, &[(O::Applied, 3), (outcome, 2)]);
        let left = leavers(&run, at(200));
        assert_eq!(left.is_some(), missed.contains(&outcome), "{outcome}");
        assert!(left.is_none_or(|left| left.number == Some(2) && left.at == at(100)), "{outcome}");
    }
    let mut refused = over(RunPhase::Cancelled, &[(O::Cancelled, 10)]);
    assert_eq!(leavers(&refused, at(200)), None, "a person cancelled it");
    refused.notes.ending = Some(Ending::over_cap("too many".into()));
    assert_eq!(leavers(&refused, at(200)).unwrap().number, Some(10));
    refused.by_action = [(Action::Activate, 10)].into();
    assert_eq!(leavers(&refused, at(200)), None);
    refused.by_action.insert(Action::Deactivate, 1);
    assert_eq!(leavers(&refused, at(200)).unwrap().number, None, "the counters don't tell of which action");
}

#[test]
fn leavers_of_a_run_that_nobody_ends_at_its_deadline_are_told() {
    let mut run = run(RunPhase::Admitted);
    assert_eq!(leavers(&run, at(DAY)), None, "no deadline");
    run.run.terms.deadline = Some(at(HOUR));
    assert_eq!(leavers(&run, at(HOUR + MINUTE)), None, "a worker ends it");
    let left = leavers(&run, at(HOUR + 3 * MINUTE)).unwrap();
    assert_eq!((left.at, left.number), (at(HOUR), Some(10)));
    assert_eq!(leavers(&RunStatus { cancelled: true, ..run }, at(DAY)), None);
}

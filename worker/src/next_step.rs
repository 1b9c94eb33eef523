//! What a run needs next from the worker that looks after its account: pure.

use usher_shared::{HeldReason, RunPhase, RunStatus, Timestamp};

/// What a run needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Its time has not come: noted, so that people see it.
    Schedule,
    /// Its users are to be resolved.
    Resolve,
    /// It stood still: its users are to be resolved again.
    ResolveAgain,
    /// It is resolved: whether it may begin is to be decided.
    Admit,
    /// More of its jobs go into the queue.
    Promote,
    /// Its deadline has come: what is not done ends.
    Expire,
    /// Jobs that no worker holds of a run that is being ended get their outcome.
    Sweep,
    /// Nothing from here: it is worked, held, paused, or over.
    Nothing,
}

/// What a run needs next at this moment of the store's clock.
#[must_use]
pub fn next_step(run: &RunStatus, now: Timestamp) -> NextStep {
    if run.phase.is_over() || run.phase == RunPhase::Open {
        return NextStep::Nothing;
    }
    if run.cancelled {
        let swept = run.counters.pending == 0 && run.counters.queued == 0 && run.counters.leased > 0;
        return if swept { NextStep::Nothing } else { NextStep::Sweep };
    }
    let terms = &run.run.terms;
    if terms.deadline.is_some_and(|deadline| deadline <= now) {
        return NextStep::Expire;
    }
    if run.paused {
        return NextStep::Nothing;
    }
    match run.phase {
        // A plan is looked at now, and applied then.
        RunPhase::Sealed if !terms.plan && terms.not_before.is_some_and(|at| at > now) => {
            let noted = run.notes.held.as_ref().is_some_and(|held| held.reason == HeldReason::NotBefore);
            if noted { NextStep::Nothing } else { NextStep::Schedule }
        }
        // A resolve makes vendor calls, which a hold forbids.
        RunPhase::Sealed if run.hold.is_some() => NextStep::Nothing,
        RunPhase::Sealed => NextStep::Resolve,
        // Who waits for a person is not resolved again meanwhile: only once it may begin.
        RunPhase::Resolved => NextStep::Admit,
        RunPhase::Admitted if run.stood_still(now).is_some() => {
            if may_resolve_again(run) {
                NextStep::ResolveAgain
            } else {
                NextStep::Nothing
            }
        }
        RunPhase::Admitted if run.counters.pending > 0 => NextStep::Promote,
        RunPhase::Admitted | RunPhase::Open | RunPhase::Finished | RunPhase::Cancelled => NextStep::Nothing,
    }
}

/// Whether a run that stood still can be resolved again now: a hold forbids vendor calls of any kind, and what is in flight
/// goes by what is known.
#[must_use]
pub fn may_resolve_again(run: &RunStatus) -> bool {
    run.hold.is_none() && run.counters.leased == 0
}

/// Whether a run that stood still is left standing for now: one of its priority that comes `before` it is being worked. By
/// the time that its turn has come, what would be found out now might be old again.
#[must_use]
pub fn waits_its_turn(run: &RunStatus, before: &[RunStatus]) -> bool {
    before.iter().any(|other| other.run.priority == run.run.priority && other.counters.leased > 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use usher_shared::{Counters, Effort, Held, Hold, HoldReason, NewRun, Priority, Timestamp};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_763_600_000_000);

    fn run(phase: RunPhase) -> RunStatus {
        RunStatus {
            notes: Default::default(),
            run: NewRun {
                terms: Default::default(),
                id: "20261120-k3f9zm".parse().unwrap(),
                account: "zoom-main".parse().unwrap(),
                priority: Priority::Normal,
                reason: None,
                asked_by: "test".into(),
                source: None,
                created_at: Timestamp::default(),
            },
            phase,
            paused: false,
            cancelled: false,
            admission: None,
            by_action: BTreeMap::new(),
            counters: Counters { total: 10, pending: 10, ..Counters::default() },
            effort: Effort::default(),
            sealed_at: None,
            finished_at: None,
            fresh_at: Some(NOW),
            hold: None,
        }
    }

    fn held(phase: RunPhase) -> RunStatus {
        let hold = Hold {
            reason: HoldReason::Scope,
            message: String::new(),
            since: Timestamp::default(),
            until: None,
        };
        RunStatus { hold: Some(hold), ..run(phase) }
    }

    #[test]
    fn each_phase_has_its_next_step() {
        use NextStep::{Admit, Expire, Nothing, Promote, Resolve, ResolveAgain, Schedule, Sweep};
        let by = |run: RunStatus, not_before: Option<i64>, deadline: Option<i64>| {
            let mut run = run;
            let at = |from_now| Timestamp::from_millis(NOW.as_millis() + from_now);
            (run.run.terms.not_before, run.run.terms.deadline) = (not_before.map(at), deadline.map(at));
            run
        };
        let noted = |run: RunStatus| {
            let mut run = run;
            let (reason, message) = (HeldReason::NotBefore, String::new());
            run.notes.held = Some(Held { reason, message, since: NOW });
            run
        };
        let paused = |phase| RunStatus { paused: true, ..run(phase) };
        let cancelled = |phase| RunStatus { cancelled: true, ..run(phase) };
        let long_ago = Timestamp::from_millis(NOW.as_millis() - 3_600_001);
        let still = |phase| RunStatus { fresh_at: Some(long_ago), ..run(phase) };
        let counted = |phase, pending, queued, leased| RunStatus {
            counters: Counters { total: 10, pending, queued, leased, ..Counters::default() },
            ..run(phase)
        };
        let cases = [
            (run(RunPhase::Open), Nothing),
            (run(RunPhase::Sealed), Resolve),
            (held(RunPhase::Sealed), Nothing),
            (run(RunPhase::Resolved), Admit),
            (held(RunPhase::Resolved), Admit),
            (run(RunPhase::Admitted), Promote),
            (held(RunPhase::Admitted), Promote),
            (counted(RunPhase::Admitted, 0, 5, 5), Nothing),
            (paused(RunPhase::Sealed), Nothing),
            (paused(RunPhase::Resolved), Nothing),
            (paused(RunPhase::Admitted), Nothing),
            (still(RunPhase::Resolved), Admit),
            (by(run(RunPhase::Sealed), Some(1), None), Schedule),
            (by(noted(run(RunPhase::Sealed)), Some(1), None), Nothing),
            (by(noted(run(RunPhase::Sealed)), Some(0), None), Resolve),
            (by(held(RunPhase::Sealed), Some(1), None), Schedule),
            (by(paused(RunPhase::Sealed), Some(1), None), Nothing),
            (by(run(RunPhase::Admitted), None, Some(1)), Promote),
            (by(run(RunPhase::Admitted), None, Some(0)), Expire),
            (by(run(RunPhase::Sealed), Some(5), Some(-5)), Expire),
            (by(held(RunPhase::Resolved), None, Some(0)), Expire),
            (by(paused(RunPhase::Admitted), None, Some(0)), Expire),
            (by(cancelled(RunPhase::Admitted), None, Some(0)), Sweep),
            (by(run(RunPhase::Finished), None, Some(0)), Nothing),
            (still(RunPhase::Admitted), ResolveAgain),
            (still(RunPhase::Sealed), Resolve),
            (still(RunPhase::Finished), Nothing),
            (RunStatus { paused: true, ..still(RunPhase::Admitted) }, Nothing),
            (RunStatus { cancelled: true, ..still(RunPhase::Admitted) }, Sweep),
            (RunStatus { hold: held(RunPhase::Admitted).hold, ..still(RunPhase::Admitted) }, Nothing),
            (
                RunStatus {
                    fresh_at: still(RunPhase::Admitted).fresh_at,
                    ..counted(RunPhase::Admitted, 0, 9, 1)
                },
                Nothing,
            ),
            (cancelled(RunPhase::Sealed), Sweep),
            (cancelled(RunPhase::Admitted), Sweep),
            (RunStatus { cancelled: true, ..counted(RunPhase::Admitted, 0, 1, 3) }, Sweep),
            (RunStatus { cancelled: true, ..counted(RunPhase::Admitted, 0, 0, 3) }, Nothing),
            (RunStatus { cancelled: true, ..counted(RunPhase::Admitted, 0, 0, 0) }, Sweep),
            (run(RunPhase::Finished), Nothing),
            (cancelled(RunPhase::Cancelled), Nothing),
        ];
        for (run, expected) in cases {
            assert_eq!(next_step(&run, NOW), expected, "{:?}", run);
        }
    }
    #[test]
    fn a_run_that_stood_still_is_left_alone_while_one_of_its_priority_is_worked_before_it() {
        let working = |priority| {
            let mut run = run(RunPhase::Admitted);
            (run.run.priority, run.counters.leased) = (priority, 1);
            run
        };
        let still = run(RunPhase::Admitted);
        assert!(!waits_its_turn(&still, &[]));
        assert!(!waits_its_turn(&still, &[run(RunPhase::Admitted), working(Priority::Urgent)]));
        assert!(waits_its_turn(&still, &[working(Priority::Urgent), working(Priority::Normal)]));
    }
}

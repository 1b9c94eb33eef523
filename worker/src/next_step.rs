//! What a run needs next from the worker that looks after its account: pure.

use usher_shared::{RunPhase, RunStatus};

use crate::admit::{Admission, admission};

/// What a run needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Its users are to be resolved.
    Resolve,
    /// It may begin: number it.
    Admit,
    /// More of its jobs go into the queue.
    Promote,
    /// Jobs of a cancelled run that no worker holds end as cancelled.
    Sweep,
    /// Nothing from here: it is worked, held, paused, or over.
    Nothing,
}

/// What a run needs next.
#[must_use]
pub fn next_step(run: &RunStatus) -> NextStep {
    if run.phase.is_over() || run.phase == RunPhase::Open {
        return NextStep::Nothing;
    }
    if run.cancelled {
        let swept = run.counters.pending == 0 && run.counters.queued == 0 && run.counters.leased > 0;
        return if swept { NextStep::Nothing } else { NextStep::Sweep };
    }
    if run.paused {
        return NextStep::Nothing;
    }
    match run.phase {
        // A resolve makes vendor calls, which a hold forbids.
        RunPhase::Sealed if run.hold.is_some() => NextStep::Nothing,
        RunPhase::Sealed => NextStep::Resolve,
        RunPhase::Resolved => match admission(run) {
            Admission::Admit => NextStep::Admit,
            Admission::Hold => NextStep::Nothing,
        },
        RunPhase::Admitted if run.counters.pending > 0 => NextStep::Promote,
        RunPhase::Admitted | RunPhase::Open | RunPhase::Finished | RunPhase::Cancelled => NextStep::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use usher_shared::{Counters, Effort, Hold, HoldReason, NewRun, Priority, Timestamp};

    use super::*;

    fn run(phase: RunPhase) -> RunStatus {
        RunStatus {
            run: NewRun {
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
        use NextStep::{Admit, Nothing, Promote, Resolve, Sweep};
        let paused = |phase| RunStatus { paused: true, ..run(phase) };
        let cancelled = |phase| RunStatus { cancelled: true, ..run(phase) };
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
            (cancelled(RunPhase::Sealed), Sweep),
            (cancelled(RunPhase::Admitted), Sweep),
            (RunStatus { cancelled: true, ..counted(RunPhase::Admitted, 0, 1, 3) }, Sweep),
            (RunStatus { cancelled: true, ..counted(RunPhase::Admitted, 0, 0, 3) }, Nothing),
            (RunStatus { cancelled: true, ..counted(RunPhase::Admitted, 0, 0, 0) }, Sweep),
            (run(RunPhase::Finished), Nothing),
            (cancelled(RunPhase::Cancelled), Nothing),
        ];
        for (run, expected) in cases {
            assert_eq!(next_step(&run), expected, "{:?}", run);
        }
    }
}

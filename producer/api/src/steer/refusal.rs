//! Why a run was not steered, for callers.

use usher_producer::steer::{Barred, SteerError};

use crate::problem::{Kind, Problem};

impl From<SteerError> for Problem {
    /// With the call that helps, where one does.
    fn from(error: SteerError) -> Self {
        use SteerError as E;
        let detail = error.to_string();
        match error {
            E::Barred { run, barred, .. } => {
                Self::new(Kind::WrongState, format!("{detail}{}", cure(barred))).about(&run)
            }
            E::UnderWay(run) | E::NobodyToRetry { run, .. } | E::TooLate { run, .. } => {
                Self::new(Kind::WrongState, detail).about(&run)
            }
            E::NoPlan(run) => {
                Self::new(Kind::WrongState, format!("{detail}; a plan is submitted with `\"plan\": true`"))
                    .about(&run)
            }
            E::NotPlannedYet(run) => Self::new(
                Kind::WrongState,
                format!(
                    "{detail}: a worker looks its users up first; GET /v1/runs/{run} tells how far it is"
                ),
            )
            .about(&run),
            E::AnotherPlan { run, .. } => {
                Self::new(Kind::Refused, format!("{detail}; GET /v1/runs/{run}/plan shows it")).about(&run)
            }
            E::Changed { run, .. } | E::OnesOwn { run, .. } => Self::new(Kind::Refused, detail).about(&run),
            E::AsWished(_) => Self::new(Kind::InvalidInput, format!("{detail}; an undo puts them back")),
            E::ChangedTwice(_) | E::Identity(_) => {
                tracing::error!(%detail, "a call failed for a reason that it should not have");
                Self::new(Kind::Internal, "usher failed; its log says more under this request's id")
            }
            E::Submit(error) => error.into(),
            E::Store(error) => error.into(),
        }
    }
}

/// What helps, as a sentence's end.
fn cure(barred: Barred) -> &'static str {
    match barred {
        Barred::Resume | Barred::Priority => "; a retry opens it again for those who failed",
        Barred::Undo => "; a cancel ends it now",
        Barred::ApplyEnded => "; submit it again with `\"plan\": true`",
        Barred::Cancel => "; an undo puts back whom it changed",
        Barred::Pause
        | Barred::Retry
        | Barred::ApplyTooSoon
        | Barred::ApplyPaused
        | Barred::ApproveEnded
        | Barred::ApproveTooSoon => "",
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::{RunId, RunState, Timestamp};

    use super::*;

    #[test]
    fn every_refusal_has_its_kind_names_its_run_and_no_command() {
        let run: RunId = "20261121-k3f9zm".parse().unwrap();
        let (noted, found) = ("a".to_owned(), "b".to_owned());
        let cases = [
            (SteerError::UnderWay(run.clone()), Kind::WrongState),
            (SteerError::NoPlan(run.clone()), Kind::WrongState),
            (SteerError::NotPlannedYet(run.clone()), Kind::WrongState),
            (SteerError::TooLate { run: run.clone(), deadline: Timestamp::default() }, Kind::WrongState),
            (
                SteerError::NobodyToRetry { run: run.clone(), codes: String::new(), ended: String::new() },
                Kind::WrongState,
            ),
            (SteerError::OnesOwn { run: run.clone(), name: "ann".into() }, Kind::Refused),
            (
                SteerError::Changed { run: run.clone(), noted: noted.clone(), found: found.clone() },
                Kind::Refused,
            ),
            (SteerError::AnotherPlan { run: run.clone(), noted, named: found }, Kind::Refused),
            (SteerError::AsWished(usher_shared::Outcome::Applied), Kind::InvalidInput),
            (SteerError::ChangedTwice(run.clone()), Kind::Internal),
        ];
        let all = [
            Barred::Pause,
            Barred::Resume,
            Barred::Cancel,
            Barred::Priority,
            Barred::Retry,
            Barred::Undo,
            Barred::ApplyEnded,
            Barred::ApplyTooSoon,
            Barred::ApplyPaused,
            Barred::ApproveEnded,
            Barred::ApproveTooSoon,
        ];
        let barred = all.map(|barred| {
            let state = RunState::Cancelling;
            (SteerError::Barred { run: run.clone(), state, barred }, Kind::WrongState)
        });
        for (error, kind) in cases.into_iter().chain(barred) {
            let problem = Problem::from(error);
            let told = format!("{problem:?}");
            assert_eq!(problem.kind(), kind, "{told}");
            assert!(!told.contains("`usher"), "a command is no cure for a caller: {told}");
            let names = told.contains(run.as_str());
            assert_eq!(names, !matches!(kind, Kind::InvalidInput | Kind::Internal), "{told}");
        }
    }
}

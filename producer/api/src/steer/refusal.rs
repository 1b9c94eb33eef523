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
        | Barred::ApproveEnded
        | Barred::ApproveTooSoon => "",
    }
}

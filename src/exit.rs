//! Exit codes: an interface, documented in the README and in `usher --help`.

use std::process::ExitCode;

use usher_producer::{
    steer::{Barred, SteerError},
    submit::SubmitError,
};

/// How the command ended, as its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All as wished.
    Success = 0,
    /// The run is over, and some users are not as wished. Only `run`, `apply`, `undo`, `retry`, `resume`,
    /// `status --watch`, `verify` and a `demo` that disagrees with its directory say this.
    SomeFailed = 1,
    /// What was given can't be used: a file, a row, an argument.
    InvalidInput = 2,
    /// Nothing was done, because nobody said yes: no answer, no approval, the account's caps, a plan that is not what was
    /// shown. Also an audit that is not what was sealed.
    Refused = 3,
    /// The configuration, a credential or a scope is wrong; the user corrects it.
    Configuration = 4,
    /// The store or the vendor does not answer.
    Unavailable = 5,
    /// A defect of usher itself.
    Internal = 70,
    /// Stopped by Ctrl-C or SIGTERM before the run was over; it can be resumed.
    Interrupted = 130,
}

/// The table at the end of `usher --help`.
pub const HELP: &str = "\
Exit codes:
  0    all as wished
  1    some users are not as wished (run, apply, undo, retry, resume, status --watch, verify)
  2    invalid input: a file, a row, an argument
  3    refused: nobody said yes, the account's caps, an approval that is missing;
       audit verify: it is not what was sealed
  4    configuration, credentials or scopes
  5    the store or the vendor does not answer
  70   a defect of usher
  130  interrupted; the run can be resumed";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error, and the exit code that goes with it. The message names the thing and the cure.
#[derive(Debug)]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// What to tell.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure with this code and message.
    pub fn new(exit: Exit, message: impl std::fmt::Display) -> Self {
        Self { exit, error: anyhow::anyhow!("{message}") }
    }
}

impl From<usher_shared::config::ConfigError> for Failure {
    fn from(error: usher_shared::config::ConfigError) -> Self {
        Self { exit: Exit::Configuration, error: error.into() }
    }
}

impl From<usher_shared::store::StoreError> for Failure {
    fn from(error: usher_shared::store::StoreError) -> Self {
        use usher_shared::store::StoreError as E;
        let exit = match &error {
            E::Unavailable(_) | E::Refused(_) => Exit::Unavailable,
            E::NoSuchRun(_) | E::WrongPhase { .. } | E::Conflict { .. } => Exit::InvalidInput,
            E::SeatTaken(_) | E::TooNew { .. } | E::Address { .. } => Exit::Configuration,
            E::LeaseLapsed(_) | E::IdTaken(_) | E::Incomplete { .. } | E::Corrupt(..) => Exit::Internal,
        };
        Self { exit, error: error.into() }
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Store(error) => error.into(),
            error => Self { exit: Exit::InvalidInput, error: error.into() },
        }
    }
}

impl From<SteerError> for Failure {
    /// With what to type, where that helps.
    fn from(error: SteerError) -> Self {
        use SteerError as E;
        let (exit, cure) = match &error {
            E::Barred { run, barred: Barred::Retry, .. } => {
                (Exit::InvalidInput, format!("; see usher status {run}"))
            }
            E::Barred { run, barred: Barred::Undo, .. } => {
                (Exit::InvalidInput, format!("; `usher cancel {run}` ends it now"))
            }
            E::NoPlan(run) | E::NotPlannedYet(run) => {
                (Exit::InvalidInput, format!(": see usher status {run}"))
            }
            E::TooLate { run, .. } => {
                (Exit::InvalidInput, format!("; `usher report {run} --failed --format csv` lists them"))
            }
            E::AsWished(_) => (Exit::InvalidInput, "; `usher undo` puts them back".to_owned()),
            E::Barred { .. } | E::UnderWay(_) | E::NobodyToRetry { .. } | E::Identity(_) => {
                (Exit::InvalidInput, String::new())
            }
            E::Changed { .. } | E::AnotherPlan { .. } | E::OnesOwn { .. } => (Exit::Refused, String::new()),
            E::ChangedTwice(_) => (Exit::Internal, String::new()),
            E::Submit(_) | E::Store(_) => {
                return match error {
                    E::Submit(error) => error.into(),
                    E::Store(error) => error.into(),
                    error => Self { exit: Exit::Internal, error: error.into() },
                };
            }
        };
        Self::new(exit, format!("{error}{cure}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { exit: Exit::Internal, error: error.into() }
    }
}

/// What every subcommand answers.
pub type Outcome = Result<Exit, Failure>;

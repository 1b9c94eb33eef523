//! Steering runs: pause, resume, cancel, retry, undo, apply, approve, priority. What they do is in [`usher_producer::steer`], as
//! the command line does it; here is how it is asked for and answered.

mod confirm;
mod flow;
mod refusal;
mod undo;

use tracing::Instrument;
use usher_producer::steer::{SteerError, Who};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    auth::Caller,
    problem::{Kind, Problem},
};

/// These calls.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(flow::pause_run))
        .routes(routes!(flow::resume_run))
        .routes(routes!(flow::cancel_run))
        .routes(routes!(flow::set_priority))
        .routes(routes!(flow::retry_run))
        .routes(routes!(undo::undo_run))
        .routes(routes!(confirm::apply_run))
        .routes(routes!(confirm::approve_run))
}

/// Who steers.
fn who(caller: &Caller) -> Who {
    Who { by: caller.by(), from: Some(caller.from()) }
}

/// Carries out what takes several steps, to its end also where the caller goes away in between.
async fn carried_out<T: Send + 'static>(
    steps: impl Future<Output = Result<T, SteerError>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::spawn(steps.in_current_span()).await {
        Ok(done) => Ok(done?),
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Problem::new(Kind::Unavailable, "the server stops; send it again").retry_after(2)),
        },
    }
}

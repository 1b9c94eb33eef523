//! The one way from rows to a run: claimed, stored unseen, judged, sealed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rand::rngs::StdRng;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;
use usher_producer::{
    intake::{IntakeError, Row, RowProblem},
    submit::{Claim, Description, Draft, FillOptions, Filled, Key, Patience, SubmitError, submit_at_once},
};
use usher_shared::Request;

use super::{
    answer::{Taken, refusal},
    key::IdempotencyKey,
    said::Said,
};
use crate::{
    Api,
    auth::Caller,
    extract::broken_off,
    problem::{Kind, Problem},
};

/// Submits these rows as one run. Once begun it goes on to its end when the caller goes away: what came whole becomes a run,
/// and what broke off leaves nothing behind. `place`: held until then.
pub async fn take<R>(
    api: &Api,
    caller: &Caller,
    said: Said,
    key: Option<IdempotencyKey>,
    rows: R,
    place: Option<OwnedSemaphorePermit>,
) -> Result<Taken, Problem>
where
    R: Iterator<Item = Result<Row, IntakeError>> + Send + 'static,
{
    let (api, caller) = (api.clone(), caller.clone());
    to_its_end(async move {
        let _place = place;
        submit(&api, &caller, said, key, rows).await
    })
    .await
}

/// The same of one request, in one call of the store: no time in which its key would have to be claimed.
pub async fn take_one(
    api: &Api,
    caller: &Caller,
    said: Said,
    key: Option<IdempotencyKey>,
    request: Request,
) -> Result<Taken, Problem> {
    let (api, caller) = (api.clone(), caller.clone());
    to_its_end(async move {
        let description = said.description(&api, &caller, key.as_ref()).await?;
        let key = how(key, &caller, said.plan);
        let options = caller.fill_options(&api);
        let (submitted, contents) =
            submit_at_once(&api.store, description, vec![request], key, options).await?;
        tracing::info!(run = %submitted.run(), account = %said.account, requests = 1, "submitted");
        Ok(Taken::new(said.account, &contents, submitted))
    })
    .await
}

async fn to_its_end(
    submission: impl Future<Output = Result<Taken, Problem>> + Send + 'static,
) -> Result<Taken, Problem> {
    match tokio::spawn(submission.in_current_span()).await {
        Ok(taken) => taken,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Problem::new(Kind::Unavailable, "the server stops; send it again").retry_after(2)),
        },
    }
}

async fn submit<R>(
    api: &Api,
    caller: &Caller,
    said: Said,
    key: Option<IdempotencyKey>,
    rows: R,
) -> Result<Taken, Problem>
where
    R: Iterator<Item = Result<Row, IntakeError>> + Send + 'static,
{
    let description = said.description(api, caller, key.as_ref()).await?;
    let key = how(key, caller, said.plan);
    let mut random = rand::make_rng::<StdRng>();
    let claim = Claim::take(&api.store, &said.account, &key, &mut random, Patience::default()).await?;
    let taken = fill(api, caller, said, description, key, rows).await;
    if let Some(claim) = claim {
        // Before the answer: whoever reads it and sends the same again is not to be told that it is on its way.
        claim.release().await;
    }
    taken
}

async fn fill<R>(
    api: &Api,
    caller: &Caller,
    said: Said,
    description: Description,
    key: Key,
    rows: R,
) -> Result<Taken, Problem>
where
    R: Iterator<Item = Result<Row, IntakeError>> + Send + 'static,
{
    let contradictions = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&contradictions);
    let options = FillOptions {
        notice: Some(Box::new(move |row| {
            if let Row::Bad(bad) = row
                && matches!(bad.problem, RowProblem::Contradiction { .. })
            {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        })),
        ..caller.fill_options(api)
    };
    let filled = Draft::fill(&api.store, description, rows, options).await?;
    let contradictions = contradictions.load(Ordering::Relaxed);
    let draft = match filled {
        Filled::Clean(draft) => draft,
        Filled::Flawed(flawed) => {
            let contents = flawed.contents();
            if !said.skip_invalid || contradictions > 0 || contents.requests == 0 {
                let problem = refusal(contents, said.skip_invalid, contradictions);
                flawed.discard().await?;
                return Err(problem);
            }
            flawed.skip_invalid()?
        }
    };
    let contents = draft.contents().clone();
    let submitted = draft.seal(key).await?;
    tracing::info!(run = %submitted.run(), account = %said.account, requests = contents.requests, "submitted");
    Ok(Taken::new(said.account, &contents, submitted))
}

/// What makes two submissions the same.
fn how(key: Option<IdempotencyKey>, caller: &Caller, plan: bool) -> Key {
    match key {
        Some(key) => key.of(caller),
        // What was planned yesterday is not what is there today.
        None if plan => Key::Fresh,
        None => Key::Content,
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Intake(IntakeError::Unreadable { source, .. }) => broken_off(&source)
                .unwrap_or_else(|| {
                    Self::new(Kind::BadRequest, format!("the body did not come to its end: {source}"))
                }),
            SubmitError::Intake(error) => Self::new(Kind::InvalidInput, error.to_string()),
            SubmitError::Empty | SubmitError::Flawed { .. } => {
                Self::new(Kind::InvalidInput, error.to_string())
            }
            SubmitError::Key(_) => Self::new(Kind::BadRequest, error.to_string()),
            SubmitError::KeyBusy(_) => Self::new(
                Kind::KeyInUse,
                "a call with this Idempotency-Key is on its way; sent again once that has ended, it is answered",
            )
            .retry_after(1),
            SubmitError::Expired => {
                Self::new(Kind::Unavailable, "the submission took over an hour; send it again").retry_after(2)
            }
            SubmitError::Store(error) => error.into(),
            SubmitError::Identity(_) => {
                tracing::error!(%error, "a token that was taken can't sign");
                Self::new(Kind::Internal, "usher failed; its log says more under this request's id")
            }
        }
    }
}

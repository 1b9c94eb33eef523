//! Undo: a run that puts back whom another changed.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use usher_producer::{
    steer::{SteerError, Undo, UndoTerms, Undoing, can_be_undone, find, undo_under_way},
    submit::{Claim, FillOptions, Key, Patience, Submitted},
    undo::{LeftOut, Why},
};
use usher_shared::{Priority, Request, RunId, RunStatus, Terms, view::StatusView};
use utoipa::ToSchema;

use super::{carried_out, who};
use crate::{
    Api,
    auth::{As, Caller, ToSubmit},
    extract::{Json, Path},
    problem::{Kind, Problem, ProblemBody},
    submit::{IdempotencyKey, SentKey},
    times::{self, Moment, in_order, in_time},
};

/// Users named who are left out, at most.
const NAMED: usize = 100;

/// On what terms it is undone
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UndoTerms)]
pub struct UndoBody {
    /// Why. Default: it says what it undoes, and why that was done.
    #[schema(max_length = 1000)]
    reason: Option<String>,
    /// How soon. Default: `normal`.
    priority: Option<Priority>,
    /// It does not begin before: a time with its offset.
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Moment>,
    /// What is not done by then ends as expired: a time with its offset.
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline: Option<Moment>,
}

/// The run that undoes another
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Undo)]
pub struct UndoView<'a> {
    /// The run, which is a plan: somebody applies it.
    run: StatusView<'a>,
    /// Whether it is new; else one that undoes the same was under way.
    created: bool,
    /// Whom the run that is undone changed, or may have changed, and who are left alone; null where it is not new.
    left_out: Option<LeftOutView>,
}

/// Users who are left out of an undo
#[derive(Debug, Serialize, ToSchema)]
struct LeftOutView {
    /// All of them.
    total: u64,
    /// The first of them, at most 100.
    users: Vec<LeftOutUser>,
}

/// A user who is left out of an undo
#[derive(Debug, Serialize, ToSchema)]
struct LeftOutUser {
    /// The line in the run that is undone.
    line: u64,
    /// The address where it is known, else as the submitter named the user.
    user: String,
    why: LeftOutWhy,
    /// The newer run that decided about the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    decided_by: Option<RunId>,
}

/// Why a user is left out
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LeftOutWhy {
    /// A newer run has decided about the user since.
    Decided,
    /// An attempt may have changed the user, and none surely did.
    Uncertain,
    /// No action brings the user back to what was there before.
    NoWayBack,
}

impl From<&LeftOut> for LeftOutUser {
    fn from(left_out: &LeftOut) -> Self {
        let (why, decided_by) = match &left_out.why {
            Why::Decided(run) => (LeftOutWhy::Decided, Some(run.clone())),
            Why::Uncertain(_) => (LeftOutWhy::Uncertain, None),
            Why::NoWayBack => (LeftOutWhy::NoWayBack, None),
        };
        Self { line: left_out.line, user: left_out.user.clone(), why, decided_by }
    }
}

/// Undo a run
///
/// Plans a run of its own that puts back exactly those whom this one changed, with what the ledger kept of them; nobody is
/// changed until it is applied. Whom a newer run has decided about since is left out, and named. While such a run is under
/// way, it is answered again.
#[utoipa::path(
    post, path = "/v1/runs/{run}/undo", tag = "steering", operation_id = "undoRun", security(("bearer" = ["submit"])),
    params(
        ("run" = String, Path, description = "The run to be undone", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "What the caller calls this undo", min_length = 1,
            max_length = 200, pattern = "^[ -~]*[!-~][ -~]*$"),
    ),
    request_body = Option<UndoBody>,
    responses(
        (status = 201, body = UndoView<'static>, description = "The new run, a plan",
            headers(("Location" = String, description = "The run"))),
        (status = 200, body = UndoView<'static>, description = "The run that undoes it already"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "It is not over, it changed nobody who could be put back, or the key's first call is on its way"),
    ),
)]
pub async fn undo_run(
    caller: As<ToSubmit>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
    SentKey(key): SentKey,
    body: Option<Json<Option<UndoBody>>>,
) -> Result<Response, Problem> {
    let caller = caller.0;
    let undone = caller.run(&api, &run).await?;
    let terms = terms(body.and_then(|Json(body)| body).unwrap_or_default())?;
    can_be_undone(&undone)?;
    match key {
        None => plan(&api, &caller, undone, terms, Key::Content).await,
        Some(key) => keyed(&api, &caller, undone, terms, key).await,
    }
}

/// Under a key of the caller's own: what it stood for before, it stands for.
async fn keyed(
    api: &Api,
    caller: &Caller,
    undone: RunStatus,
    terms: UndoTerms,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let key = key.of(caller);
    let mut random = rand::make_rng::<StdRng>();
    let account = undone.run.account.clone();
    let claim = Claim::take(&api.store, &account, &key, &mut random, Patience::default()).await?;
    let answered = match claim.as_ref().and_then(Claim::stands_for) {
        Some(run) => known(api, &undone, terms, run).await,
        None => plan(api, caller, undone, terms, key).await,
    };
    if let Some(claim) = claim {
        // Before the answer: whoever reads it and sends the same again is not to be told that it is on its way.
        claim.release().await;
    }
    answered
}

/// The run that the key stands for, where that is this undo. Whom it would put back now is no part of it: that was decided
/// when it was first asked for.
async fn known(api: &Api, undone: &RunStatus, terms: UndoTerms, run: &RunId) -> Result<Response, Problem> {
    let known = find(&api.store, run).await?;
    let asked = terms.reason_of(undone);
    let is_this = known.run.terms.undoes.as_ref() == Some(&undone.run.id)
        && known.run.reason == Some(asked)
        && known.run.terms.not_before == terms.terms.not_before
        && known.run.terms.deadline == terms.terms.deadline;
    if is_this {
        return Ok(answer(&known, None));
    }
    let detail = "the Idempotency-Key stands for another submission; use another key for another body";
    Err(Problem::new(Kind::KeyReused, detail).about(run))
}

/// Plans the undo, unless one is under way.
async fn plan(
    api: &Api,
    caller: &Caller,
    undone: RunStatus,
    terms: UndoTerms,
    key: Key,
) -> Result<Response, Problem> {
    in_time(terms.terms.not_before, terms.terms.deadline, api.now().await)?;
    if let Some(earlier) = undo_under_way(&api.store, &undone).await? {
        return Ok(answer(&earlier, None));
    }
    let Undo { requests, left_out } = Undo::of(&api.store, &undone).await?;
    if requests.is_empty() {
        let others = match left_out.len() {
            0 => String::new(),
            number => format!("; {number} whom it changed, or may have, are left alone"),
        };
        let detail = format!("run {} changed nobody who could be put back{others}", undone.run.id);
        return Err(Problem::new(Kind::WrongState, detail).about(&undone.run.id));
    }
    let (store, who, options) = (api.store.clone(), who(caller), caller.fill_options(api));
    let submitted = carried_out(async move {
        submit(Undoing { undone: &undone, terms, who }, &store, requests, key, options).await
    });
    let submitted = submitted.await?;
    let status = find(&api.store, submitted.run()).await?;
    tracing::info!(run = %status.run.id, account = %status.run.account, "an undo was submitted");
    let left_out = matches!(submitted, Submitted::New { .. }).then(|| LeftOutView {
        total: left_out.len() as u64,
        users: left_out.iter().take(NAMED).map(LeftOutUser::from).collect(),
    });
    Ok(answer(&status, left_out))
}

async fn submit(
    undoing: Undoing<'_>,
    store: &usher_shared::store::SharedStore,
    requests: Vec<Request>,
    key: Key,
    options: FillOptions,
) -> Result<Submitted, SteerError> {
    undoing.submit(store, requests, key, options).await
}

/// The terms, where they don't contradict themselves.
fn terms(body: UndoBody) -> Result<UndoTerms, Problem> {
    let UndoBody { reason, priority, not_before, deadline } = body;
    let reason = times::reason(reason.as_deref())?;
    let (begins, ends) = (not_before.map(|at| at.0), deadline.map(|at| at.0));
    in_order(begins, ends)?;
    let terms = Terms { not_before: begins, deadline: ends, ..Terms::default() };
    Ok(UndoTerms { priority: priority.unwrap_or_default(), reason, terms })
}

/// The run, new where somebody is said to be left out of it.
fn answer(status: &RunStatus, left_out: Option<LeftOutView>) -> Response {
    let created = left_out.is_some();
    let view = UndoView { run: StatusView::from(status), created, left_out };
    let code = if created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (code, Json(view)).into_response();
    let place = HeaderValue::from_str(&format!("/v1/runs/{}", status.run.id));
    if let Some(place) = place.ok().filter(|_| created) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

//! `POST /v1/runs`: a run of many users, as JSON or as rows that are streamed in.

use axum::extract::{FromRequestParts, Request, State};
use usher_producer::intake::{Format, IntakeOptions, stated};

use super::{
    answer::Taken,
    key::SentKey,
    reader,
    said::{RunBody, RunQuery, Said},
    take::take,
};
use crate::{
    Api,
    auth::{As, ToSubmit},
    extract::{Json, Query, is_json, media_type, not_packed},
    problem::{Kind, Problem, ProblemBody},
};

/// What is taken beside JSON, and how it is read.
const ROWS: [(&str, Option<Format>); 7] = [
    ("text/csv", None),
    ("text/plain", None),
    ("text/tab-separated-values", Some(Format::Tsv)),
    ("application/x-ndjson", Some(Format::JsonLines)),
    ("application/ndjson", Some(Format::JsonLines)),
    ("application/jsonl", Some(Format::JsonLines)),
    ("application/x-jsonlines", Some(Format::JsonLines)),
];

/// Submit a run
///
/// A JSON body says everything itself. Rows, as CSV (with a header; comma, semicolon or tab), as JSON Lines or as one user a
/// line, are streamed and may be as long as `[serve] max_stream_mib` allows; the query says the rest. Either all of it
/// becomes a run, or nothing does: a connection that breaks off leaves nothing behind.
///
/// With an `Idempotency-Key` the same call sent again, however often and whenever, is the same run; without one, the same
/// content is the same run until that is over. Plans without a key are always new.
///
/// What the account's caps, approval and protected users say is decided by the workers, and seen at the run.
#[utoipa::path(
    post, path = "/v1/runs", tag = "runs", operation_id = "submitRun",
    security(("bearer" = ["submit"])),
    params(
        RunQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "What the caller calls this submission", min_length = 1,
            max_length = 200, pattern = "^[ -~]*[!-~][ -~]*$"),
    ),
    request_body(content(
        (RunBody = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"), (String = "text/plain"),
    )),
    responses(
        (status = 201, body = Taken, description = "A new run", headers(("Location" = String, description = "The run"))),
        (status = 200, body = Taken, description = "The same was submitted before: this is its run"),
        (status = 409, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "A call with this idempotency key is on its way"),
        (status = 422, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "What is asked for can't be carried out; `rows` names what is wrong with which"),
    ),
)]
pub async fn submit_run(
    caller: As<ToSubmit>,
    State(api): State<Api>,
    SentKey(key): SentKey,
    request: Request,
) -> Result<Taken, Problem> {
    if is_json(request.headers()) {
        if request.uri().query().is_some_and(|query| !query.is_empty()) {
            return Err(Problem::new(
                Kind::BadRequest,
                "a JSON body says everything itself: put what stands in the query into it",
            ));
        }
        let Json(body) =
            <Json<RunBody> as axum::extract::FromRequest<Api>>::from_request(request, &api).await?;
        let (said, users) = body.split();
        let rows = stated(users.into_iter().map(|entry| entry.0), said.action);
        return take(&api, &caller.0, said, key, rows, None).await;
    }
    let format = format(&request)?;
    not_packed(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let Query(query) = Query::<RunQuery>::from_request_parts(&mut parts, &api).await?;
    let said = Said::from(query);
    // Before a byte of the body is asked for.
    said.description(&api, &caller.0, key.as_ref()).await?;
    let place = api.limits().stream()?;
    let longest = usize::try_from(api.config.serve.max_stream_mib << 20).unwrap_or(usize::MAX);
    let rows = reader::rows(body, longest, IntakeOptions { format, action: said.action });
    take(&api, &caller.0, said, key, rows, Some(place)).await
}

/// How the rows are to be read, by what the body is said to be.
fn format(request: &Request) -> Result<Option<Format>, Problem> {
    let said = media_type(request.headers());
    let known = ROWS.into_iter().find(|(name, _)| *name == said);
    known.map(|(_, format)| format).ok_or_else(|| {
        let all: Vec<&str> = ROWS.iter().map(|(name, _)| *name).collect();
        let said =
            if said.is_empty() { "there is none".to_owned() } else { format!("{said:?} is not known") };
        Problem::new(
            Kind::UnsupportedMediaType,
            format!("Content-Type says how the users come: application/json, {}; {said}", all.join(", ")),
        )
    })
}

//! Server-sent events: a run as it goes on, and all that happens.
//!
//! The ids of events are numbers of the audit, so whoever comes back after a break goes on where it was cut off, whichever
//! server it comes to. All followers share what is read of the store ([`hub::Hub`]).

mod follower;
mod hub;
mod log;
mod overview;
mod runs;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{KeepAlive, Sse},
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use usher_shared::{RunId, RunState, view::StatusView};
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    auth::{As, Caller, ToRead},
    extract::{Path, Query},
    problem::{Kind, Problem, ProblemBody, no_such_run},
};

use follower::{Beginning, END, Follower, Of};
use log::{After, EventView};
use overview::ProgressView;
use runs::Seen;

pub(crate) use hub::Hub;

/// A comment is sent so often where nothing else is, so that nobody between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a new follower waits for the first look at its run.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the data of events is; OpenAPI 3.1 has no word for a text that is JSON of a schema.
#[derive(OpenApi)]
#[openapi(components(schemas(RunEventData<'static>, ServiceEventData<'static>)))]
struct Data;

/// These calls.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Data::openapi()).routes(routes!(run_events)).routes(routes!(events))
}

/// For how long.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Following {
    /// The stream is ended after so many seconds, for callers that can't keep one open. Without it, it goes on.
    #[param(minimum = 1, maximum = 86_400)]
    for_seconds: Option<u32>,
}

/// Where a stream goes on.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes a header that is read by hand")]
struct GoesOn {
    /// The id of the last event that was received.
    #[param(rename = "Last-Event-ID", required = false, pattern = "^[0-9]{1,18}(/end)?$")]
    last_event_id: String,
}

impl Following {
    fn until(&self) -> Result<Option<Instant>, Problem> {
        match self.for_seconds {
            None => Ok(None),
            Some(seconds @ 1..=86_400) => Ok(Some(Instant::now() + Duration::from_secs(seconds.into()))),
            Some(seconds) => {
                Err(Problem::new(Kind::BadRequest, format!("for_seconds is {seconds}; it is 1 to 86400")))
            }
        }
    }
}

/// The data of the event `end`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunEnd)]
struct EndView<'a> {
    /// Which run.
    run: &'a str,
    /// How it ended.
    state: RunState,
}

/// The data of the event `gap`: what happened between these numbers is not told, for it is too long ago.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gap)]
struct GapView {
    /// The first number that is left out.
    from: u64,
    /// The last one.
    to: u64,
}

/// An event of a run's stream
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is sent")]
struct RunEvent {
    /// A number of the audit, for `Last-Event-ID`.
    #[schema(pattern = "^[0-9]+(/end)?$")]
    id: String,
    /// What its data is.
    event: RunEventName,
    /// JSON, by the schema `RunEventData`.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// What the data of a run's event is
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "describes what is sent")]
enum RunEventName {
    Status,
    Event,
    Gap,
    End,
}

/// An event of the service's stream
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is sent")]
struct ServiceEvent {
    /// A number of the audit, for `Last-Event-ID`.
    #[schema(pattern = "^[0-9]+(/end)?$")]
    id: String,
    /// What its data is.
    event: ServiceEventName,
    /// JSON, by the schema `ServiceEventData`.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// What the data of a service's event is
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "describes what is sent")]
enum ServiceEventName {
    Progress,
    Event,
    Gap,
}

/// What the events of a stream carry, each as JSON in its `data`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes what is sent")]
enum RunEventData<'a> {
    /// `status`: the whole run, at the beginning and whenever something of it has changed.
    Status(Box<StatusView<'a>>),
    /// `event`: something happened to the run.
    Event(EventView),
    /// `gap`
    Gap(GapView),
    /// `end`: nothing more comes.
    End(EndView<'a>),
}

/// What the events of a stream carry, each as JSON in its `data`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes what is sent")]
enum ServiceEventData<'a> {
    /// `progress`: how far a run has come, for each at the beginning and whenever that has changed.
    Progress(ProgressView<'a>),
    /// `event`: something happened.
    Event(EventView),
    /// `gap`
    Gap(GapView),
}

/// Follow one run as it goes on
///
/// A stream of server-sent events. `status` has the whole run, as `GET /v1/runs/{run}` shows it: at the beginning, and at most
/// once a second when something of it has changed. `event` is an entry of the audit about it: who paused it, that it began.
/// `end` comes when the run is over, and the stream ends. A comment every 15 seconds keeps the connection open.
///
/// The id of an event is a number of the audit; `Last-Event-ID` goes on after it: no `event` is lost, and none comes twice; `0`
/// begins with the first entry. What is more than 10,000 entries ago is named by a `gap` instead. Whoever has had the `end` of a
/// run and comes back is answered with 204, by which a browser's EventSource knows that it is over. A server that stops ends its streams at once.
#[utoipa::path(get, path = "/v1/runs/{run}/events", tag = "live",
    security(("bearer" = ["read"])),
    params(
        ("run" = String, Path, description = "The run's id", example = "20261121-k3f9zm", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$"),
        GoesOn,
        Following,
    ),
    responses(
        (status = 200, description = "The events; the schema is that of each", body = RunEvent, content_type = "text/event-stream"),
        (status = 204, description = "The run is over, and the caller has had all of it"),
        (status = 404, description = "There is no such run, or none that the token may see", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
)]
async fn run_events(
    caller: As<ToRead>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
    Query(following): Query<Following>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (caller, until) = (caller.0, following.until()?);
    let had = last_event(&headers)?;
    let hub = api.hub();
    let (place, last) = hub.join("run").await?;
    let mut seen = hub.runs.follow(&run);
    let known = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| !matches!(seen, Seen::Nothing))).await;
    let known = known.ok().and_then(Result::ok).map(|seen| seen.clone());
    let shown = match known {
        Some(Seen::Run(shown)) if caller.sees(&shown.account) => shown,
        Some(Seen::Run(_) | Seen::NotThere) => return Err(no_such_run(&run)),
        Some(Seen::Nothing | Seen::Unavailable) | None => {
            return Err(
                Problem::new(Kind::Unavailable, "the store does not answer; follow again").retry_after(2)
            );
        }
    };
    let cursor = begin_at(hub, had, last).await?;
    let of = Of::run(run, seen);
    // It had the end, which comes when nothing more does.
    if shown.ends.is_some() && had.is_some_and(|had| had.end) && !is_news(hub, cursor, &of, &caller) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let beginning = Beginning { caller, cursor, until, stop: api.stop.clone() };
    Ok(stream(Follower::new(hub, place, of, beginning)))
}

/// Follow everything that goes on
///
/// A stream of server-sent events about the accounts that the token sees. `event` is an entry of the audit; `progress` says how
/// far a run has come: for each that is not over at the beginning, then every two seconds for those that have moved, and once
/// more when a run is over. It goes on until the caller ends it, or for as long as `for_seconds` says.
///
/// The id of an event is a number of the audit; `Last-Event-ID` goes on after it: no `event` is lost, and none comes twice. What is
/// more than 10,000 entries ago is named by a `gap` instead. A server that stops ends its streams at once.
#[utoipa::path(get, path = "/v1/events", tag = "live",
    security(("bearer" = ["read"])),
    params(
        GoesOn,
        Following,
    ),
    responses(
        (status = 200, description = "The events; the schema is that of each", body = ServiceEvent, content_type = "text/event-stream"),
    ),
)]
async fn events(
    caller: As<ToRead>,
    State(api): State<Api>,
    Query(following): Query<Following>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (caller, until) = (caller.0, following.until()?);
    let had = last_event(&headers)?;
    let hub = api.hub();
    let (place, last) = hub.join("service").await?;
    let cursor = begin_at(hub, had, last).await?;
    let of = Of::service(hub.overview.follow());
    let beginning = Beginning { caller, cursor, until, stop: api.stop.clone() };
    Ok(stream(Follower::new(hub, place, of, beginning)))
}

/// The last event that a caller had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Had {
    number: u64,
    /// It was the last one of a run that was over.
    end: bool,
}

fn last_event(headers: &HeaderMap) -> Result<Option<Had>, Problem> {
    let Some(said) = headers.get("last-event-id") else { return Ok(None) };
    let read = said.to_str().ok().and_then(|said| {
        let (number, end) = said.strip_suffix(END).map_or((said, false), |number| (number, true));
        let digits = (1..=18).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        Some(Had { number: number.parse().ok().filter(|_| digits)?, end })
    });
    read.map(Some).ok_or_else(|| {
        Problem::new(
            Kind::BadRequest,
            "Last-Event-ID is not the id of an event; leave it out to follow from now on",
        )
    })
}

/// The entry after which a follower goes on; read back to it, where it comes from before. One that is ahead of the audit, of
/// another store or of one that was restored, goes on from now.
async fn begin_at(hub: &Arc<Hub>, had: Option<Had>, last: u64) -> Result<u64, Problem> {
    match had.map(|had| had.number).filter(|number| *number <= last) {
        Some(number) => {
            hub.log.reach_back(number).await?;
            Ok(number)
        }
        None => Ok(last),
    }
}

/// Whether anything is to be told since.
fn is_news(hub: &Hub, cursor: u64, of: &Of, caller: &Caller) -> bool {
    match hub.log.after(cursor, usize::MAX) {
        After::LostUpTo(_) => true,
        After::Entries(entries) => entries.iter().any(|told| of.concerns(caller, told)),
    }
}

fn stream(follower: Follower) -> Response {
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(follower.events()).keep_alive(keep_alive).into_response();
    // nginx would hold events back to fill a buffer.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(unbuffered, HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &str) -> Option<Option<Had>> {
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", HeaderValue::from_str(said).unwrap());
        last_event(&headers).ok()
    }

    #[test]
    fn the_id_of_an_event_is_a_number_and_says_whether_it_was_the_end() {
        assert_eq!(last_event(&HeaderMap::new()).ok(), Some(None));
        assert_eq!(read("0"), Some(Some(Had { number: 0, end: false })));
        assert_eq!(read("17/end"), Some(Some(Had { number: 17, end: true })));
        for bad in ["", "/end", "-1", "+1", "1.5", "17/END", "abc", "9999999999999999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}

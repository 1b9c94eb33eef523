//! `GET /v1/runs/{run}/outcomes`: what happened to every user.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use usher_shared::{
    Attempt, Outcome, OutcomeRow, RunId,
    store::StoreError,
    view::{AttemptView, COLUMNS, Filter, OutcomeView, Rows, cells},
};
use utoipa::{IntoParams, ToSchema};

use super::{
    accept::{Form, Wanted},
    paging,
    rows::{Pages, lines, streamed},
};
use crate::{
    Api,
    auth::{As, ToRead},
    extract::{Json, Path, Query},
    problem::{Kind, Problem, ProblemBody},
};

/// Outcomes on a page, unless said otherwise.
const PAGE: usize = 100;
/// Outcomes on a page at most.
const LONGEST: usize = 1_000;
/// Outcomes looked at in one call: of a filter that keeps few, a page is short, and `next` goes on.
const LOOKED_AT_MOST: usize = 10_000;

/// Which outcomes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OutcomesQuery {
    /// From this place in the run on: `next` of the page before. For pages.
    #[serde(default)]
    #[param(minimum = 0, maximum = 1_000_000_000_000_u64)]
    from: Option<u64>,
    /// At most so many. For pages. Default: 100.
    #[serde(default)]
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u64>,
    /// Only these, with commas between them.
    #[serde(default)]
    #[param(value_type = Option<Vec<Outcome>>, style = Form, explode = false)]
    outcome: Words,
    /// Only users who are not as wished.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    failed: bool,
}

/// Outcomes with commas between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Words(Vec<Outcome>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, _>>().map(Self).map_err(D::Error::custom)
    }
}

impl OutcomesQuery {
    fn filter(&self) -> Filter {
        Filter { outcomes: self.outcome.0.clone(), failed: self.failed }
    }
}

/// A user of a run, and the place in it
#[derive(Debug, Serialize, ToSchema)]
struct PlacedOutcome<'a> {
    /// The place in the run, from 0.
    place: u64,
    #[serde(flatten)]
    outcome: OutcomeView<'a>,
}

impl<'a> From<&'a OutcomeRow> for PlacedOutcome<'a> {
    fn from(row: &'a OutcomeRow) -> Self {
        Self { place: row.seq, outcome: OutcomeView::from(row) }
    }
}

/// A page of outcomes, in the order in which the users were submitted
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomePage<'a> {
    /// The outcomes; there may be fewer than asked for although more follow.
    outcomes: Vec<PlacedOutcome<'a>>,
    /// Where the next page begins (`from`); left out on the last. While the run goes on, users before it may still get their
    /// outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    next: Option<u64>,
}

/// A user of a run, with each attempt at it
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomeWithAttempts<'a> {
    #[serde(flatten)]
    outcome: PlacedOutcome<'a>,
    /// The attempts, the one that ended it last.
    tried: Vec<AttemptView<'a>>,
}

/// See what happened to each user of a run
///
/// A page in JSON; with `Accept: application/x-ndjson` or `text/csv` all of them, in a stream. Users without an outcome yet
/// are not in it.
#[utoipa::path(
    get, path = "/v1/runs/{run}/outcomes", tag = "runs", operation_id = "getOutcomes", security(("bearer" = ["read"])),
    params(
        ("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$"),
        OutcomesQuery,
    ),
    responses(
        (status = 200, description = "Outcomes", content(
            (OutcomePage<'static> = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
        )),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or none that the token may see"),
        (status = 406, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "None of these forms is wanted"),
    ),
)]
pub async fn get_outcomes(
    caller: As<ToRead>,
    State(api): State<Api>,
    Path(run): Path<RunId>,
    Query(query): Query<OutcomesQuery>,
    Wanted(form): Wanted<true>,
) -> Result<Response, Problem> {
    let limit = paging::length(query.limit, PAGE, LONGEST)?;
    let from = paging::place(query.from)?;
    caller.0.run(&api, &run).await?;
    match form {
        Form::Json => page(&api, &run, &query.filter(), from, limit).await,
        Form::Lines => {
            let rows = Rows::new(&api.store, &run, query.filter());
            let write =
                |rows: &[OutcomeRow], to: &mut Vec<u8>| lines(rows.iter().map(PlacedOutcome::from), to);
            Ok(streamed(form, Vec::new(), rows, write))
        }
        Form::Csv => {
            let rows = Rows::new(&api.store, &run, query.filter());
            let write = |rows: &[OutcomeRow], to: &mut Vec<u8>| table(rows.iter().map(cells), to);
            let mut head = Vec::new();
            // To memory: it can't fail.
            table([COLUMNS.map(str::to_owned)].into_iter(), &mut head).unwrap_or_default();
            Ok(streamed(form, head, rows, write))
        }
    }
}

/// See what happened to one user of a run
///
/// With each attempt.
#[utoipa::path(
    get, path = "/v1/runs/{run}/outcomes/{place}", tag = "runs", operation_id = "getOutcome",
    security(("bearer" = ["read"])),
    params(
        ("run" = String, Path, description = "The run", pattern = "^[0-9]{8}-[2-9a-hj-km-np-tv-z]{6}$"),
        ("place" = u64, Path, description = "The place in the run, from 0", minimum = 0, maximum = 1_000_000_000_000_u64),
    ),
    responses(
        (status = 200, body = OutcomeWithAttempts<'static>, description = "What happened"),
        (status = 404, body = ProblemBody<'static>, content_type = "application/problem+json",
            description = "There is no such run, or nobody at this place has an outcome"),
    ),
)]
pub async fn get_outcome(
    caller: As<ToRead>,
    State(api): State<Api>,
    Path((run, place)): Path<(RunId, u64)>,
) -> Result<Response, Problem> {
    let place = paging::place(Some(place))?;
    caller.0.run(&api, &run).await?;
    let row = api.store.outcomes(&run, place, 1).await?.pop().filter(|row| row.seq == place);
    let Some(row) = row else {
        return Err(Problem::new(
            Kind::NoSuchPath,
            format!("nobody at the place {place} of run {run} has an outcome"),
        )
        .about(&run));
    };
    let attempts: Vec<Attempt> = api.store.attempts(&run, place).await?;
    let outcome = OutcomeWithAttempts {
        outcome: PlacedOutcome::from(&row),
        tried: attempts.iter().map(AttemptView::from).collect(),
    };
    Ok(Json(outcome).into_response())
}

/// A page, in JSON.
async fn page(api: &Api, run: &RunId, filter: &Filter, from: u64, limit: usize) -> Result<Response, Problem> {
    let (mut found, mut next) = (Vec::new(), Some(from));
    let mut looked = 0;
    while let Some(from) = next.filter(|_| found.len() < limit && looked < LOOKED_AT_MOST) {
        // One more than is needed tells whether any follow.
        let ask = LONGEST.min(limit + 1);
        let rows = api.store.outcomes(run, from, ask).await?;
        looked += rows.len();
        next = (rows.len() == ask).then(|| rows.last().map(|row| row.seq + 1)).flatten();
        for row in rows {
            if found.len() == limit {
                next = Some(row.seq);
                break;
            }
            if filter.keeps(&row) {
                found.push(row);
            }
        }
    }
    let page = OutcomePage { outcomes: found.iter().map(PlacedOutcome::from).collect(), next };
    Ok(Json(page).into_response())
}

/// Appends rows for spreadsheets.
fn table(rows: impl Iterator<Item = [String; 10]>, to: &mut Vec<u8>) -> std::io::Result<()> {
    let mut csv = csv::Writer::from_writer(to);
    for row in rows {
        csv.write_record(row).map_err(std::io::Error::from)?;
    }
    csv.flush()
}

impl Pages for Rows {
    type Row = OutcomeRow;

    async fn page(&mut self) -> Result<Option<Vec<OutcomeRow>>, StoreError> {
        Rows::page(self).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_stand_with_commas_between_them_and_an_unknown_one_names_the_choices() {
        let read = |text: &str| serde_json::from_value::<Words>(text.into()).map(|Words(words)| words);
        assert_eq!(read("").unwrap(), []);
        assert_eq!(read("applied").unwrap(), [Outcome::Applied]);
        assert_eq!(read("no_seat, rejected").unwrap(), [Outcome::NoSeat, Outcome::Rejected]);
        let error = read("applied,gone").unwrap_err().to_string();
        assert!(error.contains("gone") && error.contains("superseded"), "{error}");
    }

    #[test]
    fn a_row_for_spreadsheets_is_one_line_whatever_stands_in_it() {
        let mut text = Vec::new();
        let row = ["1", "a,b", "\"x\"", "", "", "", "", "", "", ""].map(str::to_owned);
        table([row].into_iter(), &mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "1,\"a,b\",\"\"\"x\"\"\",,,,,,,\n");
    }
}

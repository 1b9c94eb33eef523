//! Everything that can be seen of a store, and where two of them differ.

use std::{collections::BTreeMap, fmt::Debug};

use usher_shared::{
    AccountName, Attempt, Outcome, OutcomeRow, Protection, RunId, RunPhase, RunStatus,
    audit::{AuditEntry, AuditHead},
    plan::Planned,
    store::{Posted, Store, StoreError},
};

use super::serving::ENDPOINT;

/// One run, and all that became of its jobs.
#[derive(Debug, PartialEq)]
struct SeenRun {
    status: RunStatus,
    alone: Option<RunStatus>,
    outcomes: Vec<OutcomeRow>,
    /// In which order a cancel that goes in chunks comes to the jobs is the store's choice: while it is under way, how many
    /// it has ended is all that is compared.
    cancelled_so_far: usize,
    attempts: BTreeMap<u64, Vec<Attempt>>,
    duplicates: Vec<(u64, String, u64)>,
    /// Until it is admitted or being ended.
    planned: Vec<Planned>,
}

/// Everything that can be seen.
#[derive(Debug, PartialEq)]
pub struct Seen {
    runs: Vec<(RunId, SeenRun)>,
    unfinished: Vec<Vec<RunStatus>>,
    protections: Vec<(u64, Vec<Protection>)>,
    audit: (Vec<AuditEntry>, Option<AuditHead>, u64),
    listed: Listed,
    outbox: Vec<Posted>,
}

/// Which runs and accounts are told of, by each of the lists.
#[derive(Debug, PartialEq)]
struct Listed {
    accounts: Vec<AccountName>,
    /// All runs, page by page.
    pages: Vec<RunId>,
    ended: Vec<Vec<RunStatus>>,
}

impl Listed {
    async fn of(store: &dyn Store, accounts: &[AccountName]) -> Result<Self, StoreError> {
        let mut pages: Vec<RunId> = Vec::new();
        loop {
            let page = store.runs(pages.last(), PAGE).await?;
            let last = page.len() < PAGE;
            pages.extend(page.into_iter().map(|status| status.run.id));
            if last {
                break;
            }
        }
        let mut ended = Vec::new();
        for account in accounts {
            ended.push(store.ended(account, super::BEGIN, MANY).await?);
        }
        Ok(Self { accounts: store.accounts().await?, pages, ended })
    }
}

/// Runs on a page: fewer than scripts make.
const PAGE: usize = 5;

/// More than a script makes.
const MANY: usize = 1_000;

impl Seen {
    /// Looks at all there is. An error of a look is as much of an answer as any.
    pub async fn of(store: &dyn Store, accounts: &[AccountName], places: u64) -> Result<Self, String> {
        let failed = |error| format!("a look was refused: {error}");
        let mut runs = Vec::new();
        for status in store.runs(None, MANY).await.map_err(failed)? {
            let id = status.run.id.clone();
            let mut outcomes = store.outcomes(&id, 0, MANY).await.map_err(failed)?;
            let mut cancelled_so_far = 0;
            if status.cancelled && !status.phase.is_over() {
                let before = outcomes.len();
                outcomes.retain(|row| !matches!(row.outcome, Outcome::Cancelled | Outcome::Expired));
                cancelled_so_far = before - outcomes.len();
            }
            let mut attempts = BTreeMap::new();
            // Where the run knows of no attempt there is none to be looked for: its figures are compared as well.
            for seq in (0..places).filter(|_| status.effort.attempts > 0) {
                attempts.insert(seq, store.attempts(&id, seq).await.map_err(failed)?);
            }
            let duplicates = if status.counters.duplicates > 0 {
                store.duplicates(&id).await.map_err(failed)?
            } else {
                Vec::new()
            };
            let waits = matches!(status.phase, RunPhase::Sealed | RunPhase::Resolved) && !status.cancelled;
            let planned = if waits { store.planned(&id, 0, MANY).await.map_err(failed)? } else { Vec::new() };
            let alone = store.run(&id).await.map_err(failed)?;
            assert!(status.counters.add_up(), "the counters of {id} don't add up: {:?}", status.counters);
            runs.push((
                id,
                SeenRun { status, alone, outcomes, cancelled_so_far, attempts, duplicates, planned },
            ));
        }
        let mut unfinished = Vec::new();
        for account in accounts {
            unfinished.push(store.unfinished(account).await.map_err(failed)?);
        }
        let mut protections = Vec::new();
        for account in accounts {
            let all = store.protections(account).await.map_err(failed)?;
            protections.push((all.version, all.list));
        }
        let (entries, head) =
            (store.audit(0, MANY).await.map_err(failed)?, store.audit_head().await.map_err(failed)?);
        let audit = (entries, head, store.audit_last().await.map_err(failed)?);
        let listed = Listed::of(store, accounts).await.map_err(failed)?;
        let outbox = store.outbox(ENDPOINT, None, MANY).await.map_err(failed)?;
        Ok(Self { runs, unfinished, protections, audit, listed, outbox })
    }

    /// What the store shows otherwise than the model, as a text.
    pub fn difference(store: &Self, model: &Self) -> Option<String> {
        if store == model {
            return None;
        }
        let ids = |seen: &Self| seen.runs.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        if ids(store) != ids(model) {
            return Some(two("runs", &ids(store), &ids(model)));
        }
        for ((id, one), (_, other)) in store.runs.iter().zip(&model.runs) {
            let what = |what: &str| format!("{what} of {id}");
            let (status, expected) = (&one.status, &other.status);
            let parts = [
                two(&what("counters"), &status.counters, &expected.counters),
                two(&what("effort"), &status.effort, &expected.effort),
                two(&what("status"), status, expected),
                two(&what("status asked for alone"), &one.alone, &other.alone),
                two(&what("outcomes"), &one.outcomes, &other.outcomes),
                two(&what("attempts"), &one.attempts, &other.attempts),
                two(&what("duplicates"), &one.duplicates, &other.duplicates),
                two(&what("plan"), &one.planned, &other.planned),
                two(&what("cancelled so far"), &one.cancelled_so_far, &other.cancelled_so_far),
            ];
            if let Some(part) = parts.into_iter().find(|part| !part.is_empty()) {
                return Some(part);
            }
        }
        let lists = two("protected users", &store.protections, &model.protections);
        let audits = two("audit", &store.audit, &model.audit);
        let listed = two("lists", &store.listed, &model.listed);
        let outboxes = two("outbox", &store.outbox, &model.outbox);
        if let Some(part) = [lists, audits, listed, outboxes].into_iter().find(|part| !part.is_empty()) {
            return Some(part);
        }
        let order = |seen: &Self| {
            let ids = |list: &Vec<RunStatus>| list.iter().map(|status| status.run.id.clone()).collect();
            seen.unfinished.iter().map(ids).collect::<Vec<Vec<RunId>>>()
        };
        let listed = two("order of the unfinished", &order(store), &order(model));
        Some(if listed.is_empty() { two("unfinished", &store.unfinished, &model.unfinished) } else { listed })
    }
}

/// Empty where the two are the same.
fn two<T: Debug + PartialEq>(what: &str, store: &T, model: &T) -> String {
    if store == model {
        return String::new();
    }
    format!("{what}\n    store: {store:?}\n    model: {model:?}")
}

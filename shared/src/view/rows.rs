//! The outcomes of a run, page by page, so that a report of a million users needs no more memory than one of ten.

use crate::{
    Outcome, OutcomeRow, RunId,
    store::{SharedStore, StoreError},
};

const PAGE: usize = 1000;

/// Which rows a report shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only these outcomes; all where it is empty.
    pub outcomes: Vec<Outcome>,
    /// Only users who are not as wished.
    pub failed: bool,
}

impl Filter {
    /// Whether a report shows this row.
    #[must_use]
    pub fn keeps(&self, row: &OutcomeRow) -> bool {
        (self.outcomes.is_empty() || self.outcomes.contains(&row.outcome))
            && !(self.failed && row.outcome.is_as_wished())
    }
}

/// Reads a run's outcomes in file order.
#[derive(Debug)]
pub struct Rows {
    store: SharedStore,
    run: RunId,
    filter: Filter,
    next_seq: Option<u64>,
}

impl Rows {
    /// The rows of `run` that `filter` keeps.
    pub fn new(store: &SharedStore, run: &RunId, filter: Filter) -> Self {
        Self { store: store.clone(), run: run.clone(), filter, next_seq: Some(0) }
    }

    /// The next page; `None` at the end. A page may be empty where the filter keeps nothing of it.
    pub async fn page(&mut self) -> Result<Option<Vec<OutcomeRow>>, StoreError> {
        let Some(from) = self.next_seq else { return Ok(None) };
        let mut page = self.store.outcomes(&self.run, from, PAGE).await?;
        self.next_seq = if page.len() < PAGE { None } else { page.last().map(|row| row.seq + 1) };
        page.retain(|row| self.filter.keeps(row));
        Ok(Some(page))
    }
}

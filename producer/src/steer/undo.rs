//! Undoing a run: a run of its own, planned first, of exactly those whom it changed.

use usher_shared::{
    Priority, Request, RunId, RunStatus, Terms,
    store::SharedStore,
    view::{Filter, Rows},
};

use super::{Barred, SteerError, Who};
use crate::{
    submit::{Description, Draft, FillOptions, Filled, Key, Submitted, distinct},
    undo::{Choice, Decided, LeftOut, choose},
};

/// Runs looked at in one call.
const PAGE: usize = 500;

/// Whom an undo puts back, and who is left out.
#[derive(Clone, Debug, Default)]
pub struct Undo {
    /// What puts them back.
    pub requests: Vec<Request>,
    /// Whom the run changed, or may have changed, and who are left alone.
    pub left_out: Vec<LeftOut>,
}

/// On what terms an undo is submitted.
#[derive(Clone, Debug, Default)]
pub struct UndoTerms {
    /// How soon.
    pub priority: Priority,
    /// Why; by default it says what it undoes, and why that was done.
    pub reason: Option<String>,
    /// When it begins and ends. That it is a plan, and of what it is the undo, is added.
    pub terms: Terms,
}

impl UndoTerms {
    /// Why, where nothing else is said: what it undoes, and why that was done.
    #[must_use]
    pub fn reason_of(&self, undone: &RunStatus) -> String {
        let undoes = &undone.run.id;
        self.reason.clone().unwrap_or_else(|| match &undone.run.reason {
            Some(reason) => format!("undo of {undoes} ({reason})"),
            None => format!("undo of {undoes}"),
        })
    }
}

/// The run that undoes another.
#[derive(Clone, Debug)]
pub struct Undoing<'a> {
    /// The run that is undone.
    pub undone: &'a RunStatus,
    /// On what terms.
    pub terms: UndoTerms,
    /// Who submits it.
    pub who: Who,
}

/// Whether the run can be undone.
///
/// # Errors
/// [`SteerError::Barred`] where it is not over.
pub fn can_be_undone(status: &RunStatus) -> Result<(), SteerError> {
    if status.phase.is_over() { Ok(()) } else { Err(SteerError::barred(status, Barred::Undo)) }
}

/// A run that undoes this one, and is not over: whoever asks twice gets the same.
///
/// # Errors
/// What the store answers.
pub async fn undo_under_way(
    store: &SharedStore,
    undone: &RunStatus,
) -> Result<Option<RunStatus>, SteerError> {
    let mut unfinished = store.unfinished(&undone.run.account).await?;
    unfinished.retain(|status| status.run.terms.undoes.as_ref() == Some(&undone.run.id) && !status.cancelled);
    Ok(unfinished.pop())
}

impl Undo {
    /// Finds whom the run changed, and who is left out of them.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn of(store: &SharedStore, undone: &RunStatus) -> Result<Self, SteerError> {
        let decided = decided_since(store, undone).await?;
        let mut undo = Self::default();
        let mut rows = Rows::new(store, &undone.run.id, Filter::default());
        while let Some(page) = rows.page().await? {
            for row in &page {
                match choose(row, &decided) {
                    Choice::PutBack(request) => undo.requests.push(request),
                    Choice::LeftOut(left_out) => undo.left_out.push(left_out),
                    Choice::Untouched => {}
                }
            }
        }
        Ok(undo)
    }
}

impl Undoing<'_> {
    /// Submits it as a plan, which somebody has to apply.
    ///
    /// # Errors
    /// [`SteerError::ChangedTwice`], [`SteerError::Submit`].
    pub async fn submit(
        self,
        store: &SharedStore,
        requests: Vec<Request>,
        key: Key,
        options: FillOptions,
    ) -> Result<Submitted, SteerError> {
        let Self { undone, terms, who } = self;
        let reason = terms.reason_of(undone);
        let UndoTerms { priority, terms, .. } = terms;
        let undoes = &undone.run.id;
        let description = Description {
            priority,
            reason: Some(reason),
            from: who.from,
            terms: Terms { plan: true, undoes: Some(undoes.clone()), ..terms },
            ..Description::new(undone.run.account.clone(), &who.by)
        };
        match Draft::fill(store, description, distinct(requests), options).await? {
            Filled::Clean(draft) => Ok(draft.seal(key).await?),
            // Two rows of one user can't both have changed it within a run, unless the ledger is broken.
            Filled::Flawed(flawed) => {
                flawed.discard().await?;
                Err(SteerError::ChangedTwice(undoes.clone()))
            }
        }
    }
}

/// Whom newer runs of the account have changed since.
async fn decided_since(store: &SharedStore, undone: &RunStatus) -> Result<Decided, SteerError> {
    let account = &undone.run.account;
    // A plan may have been opened long before the run that is undone, and applied, which numbers it anew, after it.
    let mut newer: Vec<(Option<u64>, RunId)> = Vec::new();
    let mut before = None;
    loop {
        let page = store.runs(before.as_ref(), PAGE).await?;
        let of_account = page.iter().filter(|status| status.run.account == *account);
        let since = of_account.filter(|status| status.admission > undone.admission);
        newer.extend(since.map(|status| (status.admission, status.run.id.clone())));
        if page.len() < PAGE {
            break;
        }
        before = page.last().map(|status| status.run.id.clone());
    }
    newer.sort();
    let mut decided = Decided::default();
    for (_, run) in &newer {
        let mut rows = Rows::new(store, run, Filter::default());
        while let Some(page) = rows.page().await? {
            page.iter().for_each(|row| decided.add(run, row));
        }
    }
    Ok(decided)
}

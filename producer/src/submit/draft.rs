//! A submission that lies in the store and that nobody sees yet.

use usher_shared::{
    RunId,
    store::{Seal, Sealed, SharedStore, StoreError},
};

use super::{
    Contents, Description, FillOptions, Key, Patience, SubmitError, Submitted,
    fill::{fill, forget},
};
use crate::intake::{IntakeError, Row};

/// A submission that lies in the store, and that nobody sees until it is sealed. Every row of it is good, or its bad
/// ones were expressly skipped.
///
/// Dropped unsealed, it expires in the store, an hour after its last append; [`Draft::discard`] frees the room at once.
#[derive(Debug)]
#[must_use = "a draft that is not sealed never becomes a run"]
pub struct Draft {
    store: SharedStore,
    run: RunId,
    contents: Contents,
    description: Description,
    patience: Patience,
}

/// A submission of which some rows are bad. It can't be sealed; it can become a [`Draft`] without them.
#[derive(Debug)]
#[must_use = "a flawed draft is to be discarded, or to go on without its bad rows"]
pub struct FlawedDraft {
    /// Without any request, there is no run.
    draft: Result<Draft, Contents>,
}

/// What [`Draft::fill`] made of the rows.
#[derive(Debug)]
#[must_use = "a draft that is not sealed never becomes a run"]
pub enum Filled {
    /// Every row is good.
    Clean(Draft),
    /// Some are not.
    Flawed(FlawedDraft),
}

impl Filled {
    /// What it holds.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        match self {
            Self::Clean(draft) => draft.contents(),
            Self::Flawed(flawed) => flawed.contents(),
        }
    }
}

impl Draft {
    /// Reads all rows (an [`Intake`](crate::intake::Intake), or requests through [`distinct`](super::distinct)) and puts
    /// the requests into the store as an open run, chunk by chunk, several at a time.
    ///
    /// The rows are read on one of the runtime's blocking threads; dropping the future stops that at the next chunk.
    /// A reader that waits for standard input can't be stopped, and a runtime waits for it when it shuts down, unless
    /// it is told not to (`Runtime::shutdown_background`).
    ///
    /// # Errors
    /// [`SubmitError::Intake`] where the file is unusable, [`SubmitError::Empty`] where there are no rows,
    /// [`SubmitError::Store`] and [`SubmitError::Expired`] for what the store answers. What was opened is discarded.
    ///
    /// # Panics
    /// Where the rows' own iterator, or a callback of the options, panics.
    pub async fn fill<R>(
        store: &SharedStore,
        description: Description,
        rows: R,
        options: FillOptions,
    ) -> Result<Filled, SubmitError>
    where
        R: Iterator<Item = Result<Row, IntakeError>> + Send + 'static,
    {
        let patience = options.patience;
        let (run, contents) = fill(store, &description, rows, options).await?;
        let clean = contents.bad.total == 0;
        match run {
            Some(run) => {
                let draft = Self { store: store.clone(), run, contents, description, patience };
                Ok(if clean {
                    Filled::Clean(draft)
                } else {
                    Filled::Flawed(FlawedDraft { draft: Ok(draft) })
                })
            }
            None if clean => Err(SubmitError::Empty),
            None => Ok(Filled::Flawed(FlawedDraft { draft: Err(contents) })),
        }
    }

    /// The id of the run that this becomes, where its content is new.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// What it holds.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Makes it a run, in one step; or finds the run that the key stands for. The audit is told before.
    ///
    /// # Errors
    /// [`SubmitError::Key`] for a key that can't be one; [`SubmitError::Store`], with a conflict where the key stands for
    /// other content; [`SubmitError::Expired`] where too much time has passed since it was filled.
    pub async fn seal(self, key: Key) -> Result<Submitted, SubmitError> {
        let Self { store, run, contents, description, patience } = self;
        let idempotency = match key.bind(&contents.digest, &run, &description) {
            Ok(bound) => bound,
            Err(error) => {
                forget(&store, &run).await;
                return Err(error);
            }
        };
        let event = description.event(&run, &contents);
        let seal = Seal { total: contents.requests, by_action: contents.by_action, idempotency };
        // Told first: what is not in the audit is not done.
        patience.call(|| store.tell(&event)).await?;
        match patience.call(|| store.seal(&run, &seal)).await {
            Ok(Sealed::New { previous }) => Ok(Submitted::New { run, previous }),
            Ok(Sealed::Existing(run)) => Ok(Submitted::Existing { run }),
            Err(error @ StoreError::Conflict { .. }) => {
                forget(&store, &run).await;
                Err(SubmitError::of_seal(error, &key))
            }
            Err(error) => Err(SubmitError::of_draft(error)),
        }
    }

    /// Forgets it.
    ///
    /// # Errors
    /// [`SubmitError::Store`] where the store does not answer. It then expires by itself.
    pub async fn discard(self) -> Result<(), SubmitError> {
        match self.patience.call(|| self.store.discard(&self.run)).await {
            // Gone already is what was wanted.
            Ok(()) | Err(StoreError::NoSuchRun(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl FlawedDraft {
    /// What it holds, the bad rows among it.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        match &self.draft {
            Ok(draft) => draft.contents(),
            Err(contents) => contents,
        }
    }

    /// Goes on without the bad rows. Of two rows that contradict each other the first stays: show the submitter
    /// [`Contents::bad`] before.
    ///
    /// # Errors
    /// [`SubmitError::Empty`] where every row is bad.
    pub fn skip_invalid(self) -> Result<Draft, SubmitError> {
        self.draft.map_err(|_| SubmitError::Empty)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// As [`Draft::discard`].
    pub async fn discard(self) -> Result<(), SubmitError> {
        match self.draft {
            Ok(draft) => draft.discard().await,
            Err(_) => Ok(()),
        }
    }
}

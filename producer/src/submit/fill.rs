//! The storing side of a submission: opens a run and appends chunks to it, several at a time.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use futures::{StreamExt, stream::FuturesUnordered};
use rand::{Rng, rngs::StdRng};
use tokio::sync::mpsc;
use usher_shared::{
    Clock, NewRun, RunId, SystemClock,
    identity::{IdentityError, PersonalToken, Proof, submission_text},
    store::{SharedStore, StoreError},
};

use super::{
    Contents, Description, Patience, SubmitError,
    gather::{Chunk, Notice, gather},
};
use crate::intake::{IntakeError, Row};

/// Chunks that are read ahead of the store.
const READ_AHEAD: usize = 4;

/// Ids tried before giving up: there are 729 million for each day.
pub(super) const IDS: usize = 10;

/// How a draft is filled.
pub struct FillOptions {
    /// Tells when the run was opened.
    pub clock: Arc<dyn Clock>,
    /// Makes the run's id.
    pub random: Box<dyn Rng + Send>,
    /// How long to wait for a store that does not answer.
    pub patience: Patience,
    /// Appends in flight at a time. Default: 4.
    pub in_flight: NonZeroUsize,
    /// Told how far it has come, after each chunk that is stored.
    pub progress: Option<Box<dyn FnMut(Progress) + Send>>,
    /// Proves who submits.
    pub signer: Option<Signer>,
    /// Told of every duplicate and bad row as it is read, however many; called from the thread that reads.
    pub notice: Option<Notice>,
}

impl Default for FillOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Box::new(rand::make_rng::<StdRng>()),
            patience: Patience::default(),
            in_flight: NonZeroUsize::MIN.saturating_add(3),
            progress: None,
            signer: None,
            notice: None,
        }
    }
}

/// Proves who submits: a personal token, and the name by which workers know it.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The name of the token.
    pub by: String,
    /// The token.
    pub token: PersonalToken,
}

impl Signer {
    fn sign(&self, run: &NewRun) -> Result<Proof, IdentityError> {
        let text = submission_text(&run.id, &run.account, &self.by, run.created_at);
        Ok(Proof { by: self.by.clone(), signature: self.token.sign(&text)? })
    }
}

impl fmt::Debug for FillOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FillOptions")
            .field("clock", &self.clock)
            .field("patience", &self.patience)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

/// How far a draft has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows read: requests, duplicates and bad ones.
    pub read: u64,
    /// Requests that lie in the store.
    pub stored: u64,
    /// Bad rows so far.
    pub bad: u64,
}

/// Reads all rows and puts the requests into the store as an open run. No run is opened where there is none.
/// After an error the run that was opened is discarded.
pub(super) async fn fill(
    store: &SharedStore,
    description: &Description,
    rows: impl Iterator<Item = Result<Row, IntakeError>> + Send + 'static,
    options: FillOptions,
) -> Result<(Option<RunId>, Contents), SubmitError> {
    let FillOptions { clock, random, patience, in_flight, progress, signer, notice } = options;
    let mut filling = Filling { store, description, clock, random, patience, progress, signer, run: None };
    let result = filling.all(rows, notice, in_flight.get()).await;
    if result.is_err()
        && let Some(run) = &filling.run
    {
        forget(store, run).await;
    }
    result.map(|contents| (filling.run, contents))
}

/// Discards a run that nobody will seal. One call: if it fails, the run expires by itself.
pub(super) async fn forget(store: &SharedStore, run: &RunId) {
    if let Err(error) = store.discard(run).await {
        tracing::debug!(%run, %error, "an unsealed run is left to expire");
    }
}

struct Filling<'a> {
    store: &'a SharedStore,
    description: &'a Description,
    clock: Arc<dyn Clock>,
    random: Box<dyn Rng + Send>,
    patience: Patience,
    progress: Option<Box<dyn FnMut(Progress) + Send>>,
    signer: Option<Signer>,
    run: Option<RunId>,
}

impl Filling<'_> {
    async fn all(
        &mut self,
        rows: impl Iterator<Item = Result<Row, IntakeError>> + Send + 'static,
        notice: Option<Notice>,
        in_flight: usize,
    ) -> Result<Contents, SubmitError> {
        let (send, mut chunks) = mpsc::channel(READ_AHEAD);
        let account = self.description.account.clone();
        let reading = tokio::task::spawn_blocking(move || {
            gather(&account, rows, notice, |chunk| send.blocking_send(chunk).is_ok())
        });
        let (store, patience) = (self.store, self.patience);
        let mut appends = FuturesUnordered::new();
        let mut progress = Progress::default();
        let mut more = true;
        while more || !appends.is_empty() {
            tokio::select! {
                chunk = chunks.recv(), if more && appends.len() < in_flight => match chunk {
                    Some(chunk) => {
                        let run = self.opened().await?;
                        appends.push(append(store, patience, run, chunk));
                    }
                    None => more = false,
                },
                Some(stored) = appends.next() => {
                    let chunk: Chunk = stored?;
                    progress.read = progress.read.max(chunk.read);
                    progress.bad = progress.bad.max(chunk.bad);
                    progress.stored += chunk.requests.len() as u64;
                    if let Some(tell) = &mut self.progress {
                        tell(progress);
                    }
                }
            }
        }
        match reading.await {
            // Nobody stops taking chunks before they end, so there always are contents; without, nothing was sent.
            Ok(contents) => contents?.ok_or(SubmitError::Empty),
            Err(stopped) => match stopped.try_into_panic() {
                // The caller's own iterator or notice panicked: its panic, on its task.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is being shut down.
                Err(cancelled) => Err(StoreError::Unavailable(Box::new(cancelled)).into()),
            },
        }
    }

    /// The run that takes the requests, opened with the first of them.
    async fn opened(&mut self) -> Result<RunId, SubmitError> {
        if let Some(run) = &self.run {
            return Ok(run.clone());
        }
        let mut ids = 0;
        loop {
            ids += 1;
            let run = new_run(self.description, &*self.clock, &mut self.random, self.signer.as_ref())?;
            match self.patience.call(|| self.store.open_run(&run)).await {
                Ok(()) => return Ok(self.run.insert(run.id).clone()),
                Err(StoreError::IdTaken(_)) if ids < IDS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A run that is opened now, under an id that is most likely free.
pub(super) fn new_run(
    description: &Description,
    clock: &dyn Clock,
    random: &mut impl Rng,
    signer: Option<&Signer>,
) -> Result<NewRun, IdentityError> {
    let now = clock.now();
    let mut run = description.run(RunId::new(now, random), now);
    if let Some(signer) = signer {
        run.terms.proof = Some(signer.sign(&run)?);
    }
    Ok(run)
}

async fn append(
    store: &SharedStore,
    patience: Patience,
    run: RunId,
    chunk: Chunk,
) -> Result<Chunk, SubmitError> {
    let Chunk { first_seq, requests, .. } = &chunk;
    patience.call(|| store.append(&run, *first_seq, requests)).await.map_err(SubmitError::of_draft)?;
    Ok(chunk)
}

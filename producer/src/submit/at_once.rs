//! Small submissions: told, stored and sealed in one call of the store.

use usher_shared::{
    Request,
    store::{CHUNK, Seal, Sealed, SharedStore, StoreError},
};

use super::{
    Contents, Description, Draft, FillOptions, Filled, Key, SubmitError, Submitted, distinct,
    fill::{IDS, new_run},
    gather::gather,
};

/// Submits requests that are at hand as one run, and says what they hold. Up to [`CHUNK`] of them cost one call of the store,
/// so that many small submissions a second are borne; more go chunk by chunk, as by [`Draft`]. Of the options, clock,
/// randomness, patience and signer count here.
///
/// # Errors
/// [`SubmitError::Empty`] without a request; [`SubmitError::Flawed`] where two of them want different things of one user;
/// [`SubmitError::Key`] for a key that can't be one; [`SubmitError::Store`], with a conflict where the key stands for other
/// content. Nothing is left in the store then.
pub async fn submit_at_once(
    store: &SharedStore,
    description: Description,
    requests: Vec<Request>,
    key: Key,
    mut options: FillOptions,
) -> Result<(Submitted, Contents), SubmitError> {
    if requests.len() > CHUNK {
        return submit_in_chunks(store, description, requests, key, options).await;
    }
    let mut kept = Vec::new();
    let gathered = gather(&description.account, distinct(requests), None, |chunk| {
        kept.extend(chunk.requests);
        true
    });
    let contents = gathered?.unwrap_or_default();
    if kept.is_empty() || contents.bad.total > 0 {
        return Err(SubmitError::flawed(&contents));
    }
    let mut ids = 0;
    loop {
        ids += 1;
        let run = new_run(&description, &*options.clock, &mut options.random, options.signer.as_ref())?;
        let idempotency = key.bind(&contents.digest, &run.id, &description)?;
        let seal = Seal { total: contents.requests, by_action: contents.by_action.clone(), idempotency };
        let event = description.event(&run.id, &contents);
        let sealed = options.patience.call(|| store.submit(&run, &kept, &seal, &event)).await;
        let submitted = match sealed {
            Ok(Sealed::New { previous }) => Submitted::New { run: run.id, previous },
            Ok(Sealed::Existing(run)) => Submitted::Existing { run },
            Err(StoreError::IdTaken(_)) if ids < IDS => continue,
            Err(error) => return Err(SubmitError::of_seal(error, &key)),
        };
        return Ok((submitted, contents));
    }
}

async fn submit_in_chunks(
    store: &SharedStore,
    description: Description,
    requests: Vec<Request>,
    key: Key,
    options: FillOptions,
) -> Result<(Submitted, Contents), SubmitError> {
    match Draft::fill(store, description, distinct(requests), options).await? {
        Filled::Clean(draft) => {
            let contents = draft.contents().clone();
            Ok((draft.seal(key).await?, contents))
        }
        Filled::Flawed(flawed) => {
            let error = SubmitError::flawed(flawed.contents());
            flawed.discard().await?;
            Err(error)
        }
    }
}

//! Looking at what a file would do, without storing anything: in a store of its own that is gone afterwards.

use std::sync::Arc;

use usher_producer::submit::Key;
use usher_shared::{
    AccountName, Terms,
    config::StoreAddress,
    store::{SharedStore, sqlite::SqliteStore},
};

use crate::{
    cli::{DryRun, Submission},
    commands::plan::{self, Manner},
    exit::{Exit, Failure, Outcome},
    limits,
    submission::draft,
    wiring::{self, Context},
    work,
};

/// Looks the users of a file up from this process and shows what would be done. The store keeps nothing of it.
pub async fn dry_run(context: &Context, asked: &Submission, how: &DryRun, json: bool) -> Outcome {
    let Some(account) = context.config.accounts.get(&asked.account) else {
        return Err(Failure::new(
            Exit::Configuration,
            format!(
                "a dry run asks the vendor from this machine, and {} has no [accounts.{}] with its credentials; `usher plan` \
                 has a worker look instead",
                context.config.place(),
                asked.account
            ),
        ));
    };
    let real = context.config.store_address(context.global.store.clone())?;
    // The fleet's token and the list of protected users lie in the real store, where there is one.
    let known = if limits::exists(&real) { Some(wiring::open(&real).await?) } else { None };
    let shelf = known.as_ref().map(|store| wiring::shelf(store, wiring::worker_id(None)));
    let provider = wiring::provider(&context.config, &asked.account, account, shelf)?;

    let dir = tempfile::Builder::new().prefix("usher-dry-run-").tempdir()?;
    let address = StoreAddress::Sqlite(dir.path().join("usher.db"));
    let StoreAddress::Sqlite(path) = &address else { return Ok(Exit::Internal) };
    let store: SharedStore = Arc::new(SqliteStore::open(path, wiring::clock())?);
    if let Some(known) = &known {
        protect_alike(known, &store, &asked.account).await?;
    }
    // The key and the head of the real store's audit are no matter of this one.
    let mut aside = context.clone();
    aside.config.data_dir = Some(dir.path().to_owned());
    let context = &aside;
    let draft = draft(context, &store, asked, Terms { plan: true, ..Terms::default() }).await?;
    let submitted = draft.seal(Key::Fresh).await?;
    let status = work::until_planned(context, &store, &address, submitted.run(), Some(&provider)).await?;
    plan::show(context, &store, &status, &Manner { all: how.all, json, dry: true, asks: false }).await?;
    Ok(plan::exit(&status))
}

async fn protect_alike(from: &SharedStore, to: &SharedStore, account: &AccountName) -> Result<(), Failure> {
    for protection in from.protections(account).await?.list {
        to.protect(account, &protection).await?;
    }
    Ok(())
}

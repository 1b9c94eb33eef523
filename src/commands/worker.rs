//! `usher worker`: works the queue until told to stop.

use usher_api::observe::Scrape;
use usher_shared::{AccountName, config::StoreAddress, store::SharedStore};
use usher_worker::{Drained, Engine, EngineError};

use crate::{
    cli::WorkerArgs,
    exit::{Exit, Failure, Outcome},
    metrics, telling,
    wiring::{self, Context},
};

/// Works the accounts asked for, or all, until Ctrl-C or SIGTERM; then lets calls in flight finish.
pub async fn worker(context: &Context, args: &WorkerArgs) -> Outcome {
    // Before anything is counted; kept to the end of this function, so that the last seconds can be scraped, too.
    let _metrics = match args.metrics_listen {
        Some(address) => Some(metrics::serve(address, Scrape::of_process(metrics::record()?))?),
        None => None,
    };
    let (store, address) = context.open_store().await?;
    let engine = start(context, &store, &address, &args.account, args.name.as_deref()).await?;
    let telling = telling::start(context, &store, args.name.as_deref())?;
    context.stop.clone().asked().await;
    tracing::info!("stopping: nothing more is leased, calls in flight finish");
    let exit = stopped(engine.shutdown().await);
    telling::stop(telling).await;
    Ok(exit)
}

/// Begins to work these accounts, or all that are configured where none is named. `name`: how this process is named in
/// outcomes.
pub async fn start(
    context: &Context,
    store: &SharedStore,
    address: &StoreAddress,
    accounts: &[AccountName],
    name: Option<&str>,
) -> Result<Engine, Failure> {
    let config = &context.config;
    let names =
        if accounts.is_empty() { config.accounts.keys().cloned().collect() } else { accounts.to_vec() };
    if names.is_empty() {
        return Err(Failure::new(
            Exit::Configuration,
            format!("{} has no accounts to work: add [accounts.NAME], as the README shows", config.place()),
        ));
    }
    warn_of_danger(store, address).await;
    let worker = wiring::worker_id(name);
    let mut accounts = Vec::new();
    for name in &names {
        let shelf = wiring::shelf(store, worker.clone());
        let provider = wiring::provider(config, name, config.account(name)?, Some(shelf))?;
        accounts.push(wiring::account(config, name, &provider)?);
    }
    let mut engine = wiring::engine(context, store, address, accounts, None)?;
    engine.worker = worker.clone();
    let engine = match Engine::start(engine).await {
        Ok(engine) => engine,
        Err(EngineError::Store(error)) => return Err(error.into()),
        Err(error) => return Err(Failure { exit: Exit::Configuration, error: error.into() }),
    };
    let accounts = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    tracing::info!(%worker, store = %address, accounts, "working until told to stop");
    if matches!(address, StoreAddress::Sqlite(_)) {
        tracing::info!("one worker at a time on the embedded store; a redis:// store takes any number");
    }
    Ok(engine)
}

/// The exit code of a worker that was told to stop.
pub fn stopped(drained: Drained) -> Exit {
    match drained {
        Drained::Clean => Exit::Success,
        // Their leases lapse, and other workers run them again.
        Drained::TimeUp { .. } => Exit::Interrupted,
    }
}

/// Says in the log what `usher doctor` would say of a server that a ledger can't be trusted to. An embedded store is not
/// read through for it.
async fn warn_of_danger(store: &SharedStore, address: &StoreAddress) {
    if !matches!(address, StoreAddress::Redis(_)) {
        return;
    }
    for finding in store.examine().await.iter().filter(|finding| finding.endangers_data()) {
        let told = finding.diagnosis();
        tracing::warn!(cure = told.cure, "{}; {}", told.found, told.why);
    }
}

//! `usher serve`: the HTTP API, until told to stop.

use usher_api::{Api, Parts, server::Server};
use usher_shared::config::Config;

use super::worker;
use crate::{
    cli::ServeArgs,
    exit::{Exit, Failure, Outcome},
    metrics, telling,
    wiring::{self, Context},
};

/// Serves until Ctrl-C or SIGTERM; then lets calls under way finish. With `--work`, works the queue, too: the calls end first.
pub async fn serve(context: &Context, args: &ServeArgs) -> Outcome {
    let config = &context.config;
    let listen = args.listen.unwrap_or(config.serve.listen);
    // The configured address was looked at when the configuration was read.
    if let Some(problem) = config.serve.refuses(listen) {
        return Err(Failure::new(Exit::Configuration, format!("--listen: {problem}")));
    }
    somebody_may_call(config)?;
    // Before anything is counted.
    metrics::record()?;
    let (store, address) = context.open_store().await?;
    let parts = Parts {
        store: store.clone(),
        address: address.clone(),
        config: config.clone(),
        clock: wiring::clock(),
        stop: context.stop.watch(),
    };
    let api = Api::new(parts);
    let metrics_listen = args.metrics_listen.or(config.serve.metrics_listen);
    // Kept to the end of this function, so that the last seconds can be scraped, too.
    let _metrics = metrics_listen.map(|address| metrics::serve(address, api.scrape())).transpose()?;
    // Before anything is worked: an address that is taken should not cost a worker's start.
    let server = Server::bind(api, listen)
        .map_err(|error| Failure { exit: Exit::Configuration, error: error.into() })?;
    let engine =
        if args.work { Some(worker::start(context, &store, &address, &[], None).await?) } else { None };
    let telling = telling::start(context, &store, None)?;
    let scheme = if server.is_encrypted() { "https" } else { "http" };
    let listening = server.address()?;
    tracing::info!(address = %format_args!("{scheme}://{listening}"), store = %address, "serving until told to stop");
    let served = server.run().await;
    let exit = match engine {
        Some(engine) => {
            tracing::info!("stopping: nothing more is leased, calls in flight finish");
            worker::stopped(engine.shutdown().await)
        }
        None => Exit::Success,
    };
    telling::stop(telling).await;
    served?;
    Ok(exit)
}

/// Without a token nobody could make a call.
fn somebody_may_call(config: &Config) -> Result<(), Failure> {
    if !config.tokens.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Configuration,
        format!(
            "{} has no [tokens.NAME], so nobody could call: `usher token new NAME --role submit --role read` makes a token and \
             prints the lines",
            config.place()
        ),
    ))
}

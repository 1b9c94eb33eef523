//! `usher serve`: the HTTP API, until told to stop.

use usher_api::{Api, Parts, server::Server};

use crate::{
    cli::ServeArgs,
    exit::{Exit, Failure, Outcome},
    wiring::{self, Context},
};

/// Serves until Ctrl-C or SIGTERM; then lets calls under way finish.
pub async fn serve(context: &Context, args: &ServeArgs) -> Outcome {
    let (store, address) = context.open_store().await?;
    let parts = Parts {
        store,
        address: address.clone(),
        config: context.config.clone(),
        clock: wiring::clock(),
        stop: context.stop.watch(),
    };
    let listen = args.listen.unwrap_or(context.config.serve.listen);
    let server =
        Server::bind(Api::new(parts), listen).map_err(|error| Failure::new(Exit::Configuration, error))?;
    let listening = server.address()?;
    let scheme = if server.is_encrypted() { "https" } else { "http" };
    tracing::info!(address = %format_args!("{scheme}://{listening}"), store = %address, "serving until told to stop");
    server.run().await?;
    Ok(Exit::Success)
}

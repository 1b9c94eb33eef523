//! One account's worker: apalis over the leases, the steward of its runs, and the view of both.

use std::{convert::Infallible, sync::Arc};

use apalis::prelude::{WorkerBuilder, WorkerBuilderExt, WorkerError};
use futures::FutureExt;
use tokio::sync::watch;

use crate::{
    account::Account,
    backend::LeaseBackend,
    backoff::Backoff,
    execute::execute,
    metrics,
    pulse::telling,
    steward::steward,
    view::{AccountView, REFRESH},
};

/// Works an account until the worker is to stop: then leases nothing more, finishes what is in flight, gives back the rest.
pub(crate) async fn work(account: Arc<Account>, views: watch::Sender<AccountView>) {
    metrics::begin(&account);
    let display = show(&account, &views);
    let working = telling(&account, async {
        tokio::join!(lease_and_execute(&account), steward(Arc::clone(&account)));
    });
    tokio::select! {
        () = working => {}
        never = display => match never {},
    }
    metrics::observe(&account);
    views.send_replace(AccountView::of(&account));
}

/// Runs apalis over the account's leases. It ends only when the worker is to stop; should it break off before, it is
/// begun again, for the other accounts live on.
async fn lease_and_execute(account: &Arc<Account>) {
    let mut failures = 0;
    while !account.is_stopping() {
        match run_apalis(account).await {
            Ok(()) if account.is_stopping() => return,
            Ok(()) => tracing::error!(account = %account.name, "the worker ended by itself; begun again"),
            Err(error) => {
                tracing::error!(account = %account.name, %error, "the worker broke off; begun again")
            }
        }
        failures += 1;
        account.unless_stopping(tokio::time::sleep(Backoff::SERVICE.ceiling(failures))).await;
    }
}

async fn run_apalis(account: &Arc<Account>) -> Result<(), WorkerError> {
    let stopping = {
        let account = Arc::clone(account);
        async move {
            account.stopping().await;
            Ok::<(), WorkerError>(())
        }
    };
    WorkerBuilder::new(format!("{}/{}", account.worker, account.name))
        .backend(LeaseBackend::start(account))
        .concurrency(account.config.max_in_flight.max(1))
        .catch_panic()
        .build(execute)
        .run_until(stopping)
        // Boxed, for the compiler can't see through the whole tower that this future is `Send`.
        .boxed()
        .await
}

/// Keeps the view up to date; never ends.
async fn show(account: &Account, views: &watch::Sender<AccountView>) -> Infallible {
    loop {
        tokio::time::sleep(REFRESH).await;
        metrics::observe(account);
        let now = AccountView::of(account);
        views.send_if_modified(|view| {
            let changed = *view != now;
            if changed {
                *view = now;
            }
            changed
        });
    }
}

//! The store as apalis sees it: a `Backend` that yields leased jobs, each with the permit for its call.
//!
//! A [`Feeder`](feeder::Feeder) leases by need and hands over; apalis runs what it is given. No store error ever reaches
//! apalis, which would end the worker for it: they are retried where they happen.

mod feeder;
mod slots;
mod work;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, ready},
};

use apalis::prelude::{Backend, Task, TaskBuilder, WorkerContext};
use apalis_core::{
    backend::{BackendConfig, finalize::Ephemeral},
    layers::Identity,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{account::Account, execute::give_back};

pub(crate) use slots::Slots;
pub(crate) use work::{Carried, Work};

/// The store as apalis sees it, for one account.
pub(crate) struct LeaseBackend {
    account: Arc<Account>,
    parts: Option<(mpsc::UnboundedReceiver<Work>, JoinHandle<()>)>,
    closing: Option<BoxFuture<'static, ()>>,
}

impl LeaseBackend {
    /// Begins to lease.
    pub fn start(account: &Arc<Account>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let feeder = tokio::spawn(feeder::Feeder::new(Arc::clone(account), sender).run());
        Self { account: Arc::clone(account), parts: Some((receiver, feeder)), closing: None }
    }
}

impl Drop for LeaseBackend {
    fn drop(&mut self) {
        if let Some((_, feeder)) = &self.parts {
            feeder.abort();
        }
    }
}

impl Backend for LeaseBackend {
    type Task = Task<Box<Carried>>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        let Some((receiver, _)) = &mut self.parts else { return Poll::Ready(None) };
        match ready!(receiver.poll_recv(cx)) {
            Some(work) => {
                let carried = Carried { work, account: Arc::clone(&self.account) };
                Poll::Ready(Some(Ok(TaskBuilder::new(Box::new(carried)).build())))
            }
            // The feeder ends when the worker is to stop, or by a panic: apalis is told so either way.
            None => Poll::Ready(None),
        }
    }

    /// Lets the lease call under way finish, and gives back what has not been begun. apalis itself waits for what is in
    /// flight before it closes.
    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        let account = Arc::clone(&self.account);
        let parts = &mut self.parts;
        let closing = self.closing.get_or_insert_with(|| {
            let parts = parts.take();
            async move {
                let Some((receiver, feeder)) = parts else { return };
                if let Err(error) = feeder.await {
                    tracing::error!(account = %account.name, %error, "the feeder broke off; its leases lapse");
                }
                stream::unfold(receiver, |mut receiver| async move {
                    receiver.recv().await.map(|work| (work, receiver))
                })
                .for_each_concurrent(16, |work| give_back(&account, work))
                .await;
            }
            .boxed()
        });
        closing.poll_unpin(cx).map(Ok)
    }
}

impl BackendConfig for LeaseBackend {
    type Args = Box<Carried>;
    type Id = ();
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

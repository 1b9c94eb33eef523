//! Ctrl-C and SIGTERM: the first asks for an orderly stop, the second ends the process at once.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::exit::{Exit, Failure};

/// Tells when the process is asked to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens from now on. A second signal ends the process at once; what is in flight is then found out at the next start.
    pub fn listen() -> Result<Self, Failure> {
        let (asked, stop) = watch::channel(false);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            loop {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                if asked.send_replace(true) {
                    std::process::exit(Exit::Interrupted as i32);
                }
            }
        });
        Ok(Self(stop))
    }

    /// Becomes true once a stop is asked for.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }

    /// Whether a stop was asked for.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until a stop is asked for.
    pub async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // The listener is gone only when the runtime is; nobody will ask any more.
            std::future::pending::<()>().await;
        }
    }
}

//! The right to make one provider call, from a moment on.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::day::Ticket;
use crate::provider::Label;

/// The right to make one provider call, from a moment on. Void once a refusal has been seen since it was given.
#[derive(Debug)]
pub struct Permit {
    /// What it is for.
    pub label: Label,
    /// The call may start now or later.
    pub starts_at: Instant,
    /// The pause that it was given after.
    pub(super) epoch: u64,
    /// The last pause that this process has heard of.
    pub(super) heard: watch::Receiver<Heard>,
    /// What was drawn for it from the day's quota; goes back unless the call starts.
    pub(super) ticket: Option<Ticket>,
}

/// The last pause that this process has heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Which.
    pub epoch: u64,
    /// When it ends.
    pub until: Instant,
}

/// A refusal was seen since the permit was given: its call must not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawn;

impl Permit {
    pub(super) fn new(label: Label, starts_at: Instant, epoch: u64, heard: watch::Receiver<Heard>) -> Self {
        Self { label, starts_at, epoch, heard, ticket: None }
    }

    /// Whether no refusal has been seen since it was given.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.epoch >= self.heard.borrow().epoch
    }

    /// Waits for its start. Answers how much later it is than that by now. From then on its call counts as made.
    pub async fn start(&mut self) -> Result<Duration, Withdrawn> {
        let started = self.wait().await;
        if let (Ok(_), Some(ticket)) = (started, self.ticket.take()) {
            ticket.spend();
        }
        started
    }

    async fn wait(&mut self) -> Result<Duration, Withdrawn> {
        let (epoch, starts_at) = (self.epoch, self.starts_at);
        if starts_at <= Instant::now() {
            let late = Instant::now().saturating_duration_since(starts_at);
            return if self.is_live() { Ok(late) } else { Err(Withdrawn) };
        }
        let withdrawn = async {
            let gone = self.heard.wait_for(|heard| heard.epoch > epoch).await.is_err();
            // The limiter itself is gone, and with it whoever could withdraw anything.
            if gone {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            () = withdrawn => return Err(Withdrawn),
            () = tokio::time::sleep_until(starts_at) => {}
        }
        if self.is_live() { Ok(Instant::now().saturating_duration_since(starts_at)) } else { Err(Withdrawn) }
    }
}

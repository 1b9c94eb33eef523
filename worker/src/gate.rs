//! Permits for the calls that are not about a leased job: the listings and look-ups of a resolve or a verification.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use usher_shared::{Action, Clock, Priority, Status, Timestamp};

use crate::{
    account::Account,
    decide::{Decision, JobFacts, RetryPolicy, decide, quota_hold},
    execute::{hold_account, rebased},
    limiter::{Limiter, Parked, Permit},
    provider::{Call, Label, Reply, SharedProvider},
    resolve::{CallGate, GateClosed},
};

/// Paces calls by a limiter alone: for whoever asks the vendor something outside of an engine, such as a verification.
#[derive(Debug)]
pub struct PacedGate {
    limiter: Arc<dyn Limiter>,
    provider: SharedProvider,
    clock: Arc<dyn Clock>,
    /// The last permit of each label: what a refusal is told by.
    last: Mutex<HashMap<Label, Arc<Permit>>>,
}

impl PacedGate {
    /// Paces this provider's calls by this limiter.
    #[must_use]
    pub fn new(limiter: Arc<dyn Limiter>, provider: SharedProvider, clock: Arc<dyn Clock>) -> Self {
        Self { limiter, provider, clock, last: Mutex::default() }
    }

    /// Waits for one permit and its start; `None` where it was withdrawn meanwhile: ask again.
    async fn permit(&self, call: Call, priority: Priority) -> Result<Option<()>, Parked> {
        let label = self.provider.label(call);
        let Some(mut permit) = self.limiter.acquire(label, 1, priority).await?.pop() else { return Ok(None) };
        if permit.start().await.is_err() {
            return Ok(None);
        }
        // A map of permits is whole after a panic of another holder, too.
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(label, Arc::new(permit));
        Ok(Some(()))
    }

    /// Lets a refusal hold back everybody who shares the limit.
    fn refused(&self, call: Call, decision: &Decision) -> bool {
        let label = self.provider.label(call);
        let permit = self.last.lock().unwrap_or_else(PoisonError::into_inner).get(&label).cloned();
        let (Some(pause), Some(permit)) = (decision.pause, permit) else { return false };
        let limiter = Arc::clone(&self.limiter);
        tokio::spawn(async move { limiter.throttled(&permit, pause).await });
        true
    }
}

#[async_trait]
impl CallGate for PacedGate {
    async fn acquire(&self, call: Call, priority: Priority) -> Result<(), GateClosed> {
        while self.permit(call, priority).await?.is_none() {}
        Ok(())
    }

    fn replied(&self, call: Call, reply: &Reply) {
        self.refused(call, &about_the_account(reply, self.clock.now()));
    }
}

/// An account's permits, for whoever makes calls beside the leased jobs: closed while the account is on hold.
#[derive(Debug)]
pub(crate) struct AccountGate {
    account: Arc<Account>,
    paced: PacedGate,
}

impl AccountGate {
    pub fn new(account: &Arc<Account>) -> Self {
        let paced = PacedGate::new(
            Arc::clone(&account.limiter),
            Arc::clone(&account.provider),
            Arc::clone(&account.clock),
        );
        Self { account: Arc::clone(account), paced }
    }

    async fn permit(&self, call: Call, priority: Priority) -> Result<(), GateClosed> {
        loop {
            if self.account.holds.in_force(self.account.now()).is_some() {
                return Err(GateClosed::Stopped);
            }
            match self.paced.permit(call, priority).await {
                Ok(Some(())) => {
                    self.account.meter.began(self.account.provider.label(call));
                    return Ok(());
                }
                Ok(None) => {}
                Err(parked) => {
                    if parked.urgent_too {
                        hold_account(&self.account, &quota_hold(&parked, self.account.now()));
                    }
                    return Err(parked.into());
                }
            }
        }
    }
}

#[async_trait]
impl CallGate for AccountGate {
    async fn acquire(&self, call: Call, priority: Priority) -> Result<(), GateClosed> {
        self.account.unless_stopping(self.permit(call, priority)).await.unwrap_or(Err(GateClosed::Stopped))
    }

    fn replied(&self, call: Call, reply: &Reply) {
        let account = &self.account;
        let decision = about_the_account(&rebased(reply.clone(), account), account.now());
        if let Some(hold) = &decision.hold {
            hold_account(account, hold);
        }
        if self.paced.refused(call, &decision) {
            account.meter.throttled();
        }
    }
}

/// What a reply means for the account; its facts are of no job, so the rest of the decision counts for nothing.
fn about_the_account(reply: &Reply, now: Timestamp) -> Decision {
    let facts = JobFacts {
        action: Action::Deactivate,
        before: Status::Active,
        attempt: 1,
        may_have_applied: false,
        outage_until: None,
    };
    decide(&facts, reply, RetryPolicy { max_attempts: u32::MAX }, now, Duration::ZERO)
}

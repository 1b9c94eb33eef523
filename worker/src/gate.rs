//! Permits for the calls that are not about a leased job: the listings and look-ups of a resolve.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use usher_shared::{Action, Priority, Status};

use crate::{
    account::{Account, locked},
    decide::{JobFacts, RetryPolicy, decide},
    execute::{hold_account, rebased},
    limiter::Permit,
    provider::{Call, Label, Reply},
    resolve::{CallGate, GateClosed},
};

/// An account's permits, for whoever makes calls beside the leased jobs.
#[derive(Debug)]
pub(crate) struct AccountGate {
    account: Arc<Account>,
    /// The last permit of each label: what a refusal is told by.
    last: Mutex<HashMap<Label, Arc<Permit>>>,
}

impl AccountGate {
    pub fn new(account: &Arc<Account>) -> Self {
        Self { account: Arc::clone(account), last: Mutex::default() }
    }

    async fn permit(&self, label: Label, priority: Priority) -> Result<(), GateClosed> {
        loop {
            if self.account.holds.in_force(self.account.now()).is_some() {
                return Err(GateClosed);
            }
            let Some(mut permit) = self.account.limiter.acquire(label, 1, priority).await.pop() else {
                continue;
            };
            if permit.start().await.is_ok() {
                locked(&self.last).insert(label, Arc::new(permit));
                return Ok(());
            }
        }
    }
}

#[async_trait]
impl CallGate for AccountGate {
    async fn acquire(&self, call: Call, priority: Priority) -> Result<(), GateClosed> {
        let permit = self.permit(self.account.provider.label(call), priority);
        self.account.unless_stopping(permit).await.unwrap_or(Err(GateClosed))
    }

    fn replied(&self, call: Call, reply: &Reply) {
        let account = &self.account;
        let reply = rebased(reply.clone(), account);
        // Of the decision only what is about the account counts; these facts are of no job.
        let facts = JobFacts {
            action: Action::Deactivate,
            before: Status::Active,
            attempt: 1,
            may_have_applied: false,
            outage_until: None,
        };
        let now = account.now();
        let decision =
            decide(&facts, &reply, RetryPolicy { max_attempts: u32::MAX }, now, std::time::Duration::ZERO);
        if let Some(hold) = &decision.hold {
            hold_account(account, hold);
        }
        let permit = locked(&self.last).get(&account.provider.label(call)).cloned();
        if let (Some(pause), Some(permit)) = (decision.pause, permit) {
            account.meter.throttled();
            let limiter = Arc::clone(&account.limiter);
            tokio::spawn(async move { limiter.throttled(&permit, pause).await });
        }
    }
}

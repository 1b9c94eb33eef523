//! What a fleet shares: quotas of a day, pulses, the token.

use std::collections::{BTreeMap, HashMap};

use crate::{
    AccountName, Drawn, Pulse, QuotaWindow, Timestamp, WorkerId,
    store::{PULSE_LASTS, Refresh, RefreshClaim, ShelvedToken, StoreError},
};

/// Everything of one account.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// Calls drawn, by label and hour.
    drawn: HashMap<String, BTreeMap<Timestamp, u64>>,
    pulses: BTreeMap<WorkerId, (Timestamp, Pulse)>,
    token: Option<(ShelvedToken, Timestamp)>,
    generation: u64,
    claims: u64,
    claimed_until: Option<Timestamp>,
}

impl Fleet {
    pub(super) fn draw(
        &mut self,
        label: &str,
        window: QuotaWindow,
        calls: u64,
        cap: u64,
        now: Timestamp,
    ) -> Drawn {
        let hours = self.drawn.entry(label.to_owned()).or_default();
        let used = |hours: &BTreeMap<Timestamp, u64>| {
            hours.range(window.begins(now)..).map(|(_, calls)| calls).sum()
        };
        let granted = calls.min(cap.saturating_sub(used(hours)));
        if granted > 0 {
            *hours.entry(QuotaWindow::bucket(now)).or_default() += granted;
        }
        let oldest = hours.range(window.begins(now)..).next().map(|(hour, _)| *hour);
        Drawn { granted, used: used(hours), at: now, frees_at: window.frees_at(now, oldest) }
    }

    pub(super) fn give_back(&mut self, label: &str, drawn_at: Timestamp, calls: u64) {
        let hours = self.drawn.entry(label.to_owned()).or_default();
        let hour = QuotaWindow::bucket(drawn_at);
        if let Some(drawn) = hours.get_mut(&hour) {
            *drawn = drawn.saturating_sub(calls);
        }
        hours.retain(|_, calls| *calls > 0);
    }

    pub(super) fn publish(&mut self, pulse: &Pulse, now: Timestamp) {
        self.pulses.insert(pulse.worker.clone(), (now, pulse.clone()));
    }

    pub(super) fn pulses(&self, now: Timestamp) -> Vec<Pulse> {
        let fresh = self.pulses.values().filter(|(told_at, _)| now < told_at.after(PULSE_LASTS));
        fresh.map(|(_, pulse)| pulse.clone()).collect()
    }

    pub(super) fn token(&self, now: Timestamp) -> Option<ShelvedToken> {
        self.token.as_ref().filter(|(_, expires)| *expires > now).map(|(token, _)| token.clone())
    }

    pub(super) fn claim(
        &mut self,
        account: &AccountName,
        worker: &WorkerId,
        instead_of: Option<u64>,
        until: Timestamp,
        now: Timestamp,
    ) -> Refresh {
        if let Some(token) = self.token(now).filter(|token| instead_of != Some(token.generation)) {
            return Refresh::Newer(token);
        }
        if let Some(until) = self.claimed_until.filter(|until| *until > now) {
            return Refresh::Underway(until);
        }
        self.claims += 1;
        self.claimed_until = Some(until);
        Refresh::Yours(RefreshClaim { account: account.clone(), claim: self.claims, worker: worker.clone() })
    }

    pub(super) fn shelve(
        &mut self,
        claim: &RefreshClaim,
        sealed: &[u8],
        expires: Timestamp,
    ) -> Result<u64, StoreError> {
        if claim.claim != self.claims || self.claimed_until.take().is_none() {
            return Err(StoreError::LeaseLapsed(format!("the token of account {}", claim.account)));
        }
        self.generation += 1;
        self.token = Some((ShelvedToken { generation: self.generation, sealed: sealed.to_vec() }, expires));
        Ok(self.generation)
    }

    pub(super) fn abandon(&mut self, claim: &RefreshClaim) {
        if claim.claim == self.claims {
            self.claimed_until = None;
        }
    }
}

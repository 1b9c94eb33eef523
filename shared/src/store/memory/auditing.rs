//! The audit, and the lists of protected users.

use super::State;
use crate::{
    AccountName, Protection, Timestamp,
    audit::{AuditEntry, AuditEvent, AuditHead},
    store::StoreError,
};

impl State {
    pub(super) fn tell(&mut self, event: &AuditEvent, now: Timestamp) -> Result<u64, StoreError> {
        let event = serde_json::to_string(event).map_err(|problem| StoreError::Refused(Box::new(problem)))?;
        let number = self.audit.len() as u64 + 1;
        self.audit.push(AuditEntry { number, at: now, event, seal: None });
        Ok(number)
    }

    pub(super) fn audit_head(&self) -> Option<AuditHead> {
        let sealed = self.audit.iter().rev().find_map(|entry| Some((entry.number, entry.seal.clone()?)));
        sealed.map(|(number, seal)| AuditHead { number, seal })
    }

    pub(super) fn seal_audit(&mut self, head: Option<&AuditHead>, seals: &[String]) -> bool {
        let last = self.audit_head();
        let next = last.as_ref().map_or(0, |head| head.number as usize);
        if last.as_ref() != head || self.audit.len() - next < seals.len() {
            return false;
        }
        for (entry, seal) in self.audit[next..].iter_mut().zip(seals) {
            entry.seal = Some(seal.clone());
        }
        true
    }

    pub(super) fn protect(&mut self, account: &AccountName, protection: &Protection) {
        let protections = self.protections.entry(account.clone()).or_default();
        protections.version += 1;
        protections.list.retain(|entry| entry.pattern != protection.pattern);
        protections.list.push(protection.clone());
        protections.list.sort_by(|one, other| one.pattern.as_str().cmp(other.pattern.as_str()));
    }

    pub(super) fn unprotect(&mut self, account: &AccountName, pattern: &str) -> bool {
        let protections = self.protections.entry(account.clone()).or_default();
        let before = protections.list.len();
        protections.list.retain(|entry| entry.pattern.as_str() != pattern);
        let found = protections.list.len() < before;
        protections.version += u64::from(found);
        found
    }
}

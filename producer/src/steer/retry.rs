//! Trying users of a run that is over again, as part of the same run.

use std::collections::BTreeMap;

use usher_shared::{
    Outcome, OutcomeRow, RunPhase, RunStatus, Timestamp,
    audit::AuditKind,
    store::{CHUNK, SharedStore},
    view::{Filter, Rows, numbers::count},
};

use super::{Barred, SteerError, Who};

/// Which users are to be tried again: by default all who failed, but for those about whom a newer run decides and those who
/// are no longer as the plan says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryOf {
    /// Only these outcomes; the default's where it is empty.
    pub outcomes: Vec<Outcome>,
    /// Only these codes of the vendor; all where it is empty.
    pub codes: Vec<String>,
}

/// Users to be tried again.
#[derive(Clone, Debug, Default)]
pub struct Retry {
    /// Their places in the run.
    seqs: Vec<u64>,
    /// How many of them ended as what.
    pub counts: BTreeMap<Outcome, u64>,
}

impl RetryOf {
    /// Refuses to try those again who are as wished.
    ///
    /// # Errors
    /// [`SteerError::AsWished`].
    pub fn check(&self) -> Result<(), SteerError> {
        match self.outcomes.iter().find(|outcome| outcome.is_as_wished()) {
            Some(wished) => Err(SteerError::AsWished(*wished)),
            None => Ok(()),
        }
    }

    /// Whether a row is to be tried again.
    fn takes(&self, row: &OutcomeRow) -> bool {
        if row.outcome.is_as_wished() {
            return false;
        }
        let by_outcome = if self.outcomes.is_empty() {
            // A newer run decides about the one; the plan that was approved is not of the other as it is now.
            !matches!(row.outcome, Outcome::Superseded | Outcome::Drifted)
        } else {
            self.outcomes.contains(&row.outcome)
        };
        let code = row.code.as_deref().unwrap_or_default();
        by_outcome && (self.codes.is_empty() || self.codes.iter().any(|wanted| wanted == code))
    }

    fn nobody(&self, status: &RunStatus) -> SteerError {
        let codes = if self.codes.is_empty() {
            String::new()
        } else {
            format!(" with the code {}", self.codes.join(" or "))
        };
        let ended = named(&status.counters.outcomes);
        SteerError::NobodyToRetry { run: status.run.id.clone(), codes, ended }
    }
}

/// Whether users of the run can be tried again at that moment of the store's clock.
///
/// # Errors
/// [`SteerError::Barred`] where it is not over, [`SteerError::TooLate`] where its deadline has passed.
pub fn can_be_retried(status: &RunStatus, now: Timestamp) -> Result<(), SteerError> {
    // A retry that was interrupted while it reopened.
    let broken_off = status.phase == RunPhase::Sealed && status.paused;
    if !status.phase.is_over() && !broken_off {
        return Err(SteerError::barred(status, Barred::Retry));
    }
    // A run's deadline outlives its end: past it, every user would end as expired at once.
    match status.run.terms.deadline.filter(|deadline| *deadline <= now) {
        None => Ok(()),
        Some(deadline) => Err(SteerError::TooLate { run: status.run.id.clone(), deadline }),
    }
}

impl Retry {
    /// Finds those who are meant.
    ///
    /// # Errors
    /// [`SteerError::NobodyToRetry`] where that is nobody, unless a retry that was broken off is to go on.
    pub async fn find(store: &SharedStore, status: &RunStatus, of: &RetryOf) -> Result<Self, SteerError> {
        let mut found = Self::default();
        let mut rows = Rows::new(store, &status.run.id, Filter::default());
        while let Some(page) = rows.page().await? {
            for row in page.iter().filter(|row| of.takes(row)) {
                found.seqs.push(row.seq);
                *found.counts.entry(row.outcome).or_default() += 1;
            }
        }
        if found.seqs.is_empty() && status.phase.is_over() {
            return Err(of.nobody(status));
        }
        Ok(found)
    }

    /// How many users.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.seqs.len() as u64
    }

    /// How many ended as what, in words.
    #[must_use]
    pub fn named(&self) -> String {
        named(&self.counts)
    }

    /// Opens the run again for them. It stays paused until it is let go on. Returns how many are tried again.
    ///
    /// # Errors
    /// What the store answers; the same again goes on where it was broken off.
    pub async fn reopen(
        &self,
        store: &SharedStore,
        status: &RunStatus,
        who: &Who,
    ) -> Result<u64, SteerError> {
        who.tell(store, AuditKind::Retried, status, None, Some(self.named())).await?;
        let mut reopened = 0;
        for chunk in self.seqs.chunks(CHUNK) {
            reopened += store.reopen(&status.run.id, chunk).await?;
        }
        tracing::debug!(run = %status.run.id, reopened, "jobs are tried again");
        Ok(reopened)
    }
}

fn named(counts: &BTreeMap<Outcome, u64>) -> String {
    let named: Vec<String> =
        counts.iter().map(|(outcome, number)| format!("{} {outcome}", count(*number))).collect();
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use usher_shared::Action;

    use super::*;

    fn of(outcomes: &[Outcome], codes: &[&str]) -> RetryOf {
        RetryOf { outcomes: outcomes.to_vec(), codes: codes.iter().map(|code| (*code).to_owned()).collect() }
    }

    fn row(outcome: Outcome, code: Option<&str>) -> OutcomeRow {
        OutcomeRow {
            seq: 0,
            line: 1,
            user: "ann@corp.example".parse().unwrap(),
            resolved: None,
            action: Action::Deactivate,
            reason: None,
            outcome,
            code: code.map(str::to_owned),
            message: None,
            attempts: 1,
            first_attempt_at: None,
            last_attempt_at: None,
            worker: None,
        }
    }

    #[test]
    fn all_that_failed_is_tried_again_and_superseded_and_drifted_only_when_named() {
        for outcome in Outcome::ALL {
            let expected =
                !outcome.is_as_wished() && !matches!(outcome, Outcome::Superseded | Outcome::Drifted);
            assert_eq!(of(&[], &[]).takes(&row(outcome, None)), expected, "{outcome}");
            assert_eq!(of(&[outcome], &[]).takes(&row(outcome, None)), !outcome.is_as_wished());
            assert_eq!(of(&[outcome], &[]).check().is_err(), outcome.is_as_wished());
        }
    }

    #[test]
    fn outcomes_and_codes_narrow_it_down_together() {
        let events = row(Outcome::Rejected, Some("300"));
        assert!(of(&[], &["300"]).takes(&events));
        assert!(of(&[Outcome::Rejected], &["200", "300"]).takes(&events));
        assert!(!of(&[Outcome::Exhausted], &["300"]).takes(&events));
        assert!(!of(&[], &["200"]).takes(&events));
        assert!(!of(&[], &["300"]).takes(&row(Outcome::Superseded, Some("300"))));
    }
}

//! What is different where a run that stood still is resolved again.

use std::{collections::HashMap, time::Duration};

use usher_shared::{
    Action, Outcome,
    store::{Remaining, Resolution},
};

/// What earlier attempts left of the jobs of a run that stood still.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// Jobs with an attempt that may have applied, by place, with what was wanted. Few.
    may_have_applied: HashMap<u64, Action>,
}

impl Again {
    /// Takes note of a job.
    pub(super) fn note(&mut self, job: &Remaining) {
        if job.may_have_applied {
            self.may_have_applied.insert(job.seq, job.action);
        }
    }

    /// A user who must not be changed any more, but whom a lost attempt of ours has changed before, is told as changed: a report
    /// that says "protected" of somebody who was deactivated by us would be wrong.
    pub(super) fn weigh(&self, found: &mut [(u64, Resolution)]) {
        if self.may_have_applied.is_empty() {
            return;
        }
        for (seq, resolution) in found {
            let Some(action) = self.may_have_applied.get(seq) else { continue };
            let Resolution::Settled { outcome, code, message, user: Some(user) } = resolution else {
                continue;
            };
            if user.before.status == action.desired() {
                let why = message.as_deref().unwrap_or("it is not to be changed");
                *message = Some(format!(
                    "seen by a look at the user: done by an attempt whose reply was lost. Since then: {why}"
                ));
                (*outcome, *code) = (Outcome::Applied, None);
            }
        }
    }
}

/// How long something took, in hours and minutes.
pub(super) fn told(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::{ResolvedUser, Status, UserState};

    use super::*;

    fn user(status: Status) -> ResolvedUser {
        let before = UserState { status, license: None, role: None, groups: vec![] };
        ResolvedUser { id: "id".into(), email: None, before }
    }

    #[test]
    fn who_was_changed_by_a_lost_attempt_is_told_as_changed_whatever_protects_the_user_now() {
        let job = |seq, may_have_applied| Remaining {
            seq,
            line: seq + 1,
            action: Action::Deactivate,
            user: user(Status::Active),
            may_have_applied,
        };
        let mut again = Again::default();
        (0..4).for_each(|seq| again.note(&job(seq, seq > 0)));
        let protected = |status| Resolution::Settled {
            outcome: Outcome::Protected,
            code: Some("admin".into()),
            message: Some("an admin".into()),
            user: Some(user(status)),
        };
        let change = Resolution::Change(user(Status::Inactive));
        let mut found = vec![
            (0, protected(Status::Inactive)),
            (1, protected(Status::Inactive)),
            (2, protected(Status::Active)),
            (3, change.clone()),
        ];
        again.weigh(&mut found);
        assert_eq!((&found[0].1, &found[2].1), (&protected(Status::Inactive), &protected(Status::Active)));
        let Resolution::Settled { outcome, code, message: Some(message), .. } = &found[1].1 else { panic!() };
        assert_eq!((outcome, code), (&Outcome::Applied, &None));
        assert!(message.contains("lost") && message.ends_with("an admin"), "{message}");
        assert_eq!(found[3].1, change);
    }

    #[test]
    fn times_are_told_in_hours_and_minutes() {
        let words = [59, 3_600, 3_661, 7_200, 90_061].map(|seconds| told(Duration::from_secs(seconds)));
        assert_eq!(words, ["0 min", "1 h", "1 h 1 min", "2 h", "25 h 1 min"]);
    }
}

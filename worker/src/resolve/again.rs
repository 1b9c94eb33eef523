//! What is different where a run that stood still is resolved again.

use std::{collections::HashMap, time::Duration};

use usher_shared::{
    Action, Outcome, ResolvedUser, UserState,
    plan::drift,
    store::{Remaining, Resolution},
};

use super::policy::settled;

/// The code of a user who is no longer what the plan said.
const DRIFTED: &str = "drifted";

/// What is known of the jobs of a run that stood still.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// Jobs with an attempt that may have applied, by place, with what was wanted. Few.
    may_have_applied: HashMap<u64, Action>,
    bound: Bound,
    /// What the plan said of the other jobs' users, as far as what is done is bound to it.
    planned: HashMap<u64, UserState>,
}

/// Whose change is bound to what was seen of the user before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Bound {
    /// Nobody's: what is true now counts.
    #[default]
    Nobody,
    /// Theirs who were as wished when the run was admitted: no cap has counted them.
    Uncounted,
    /// Everybody's: the run was planned or approved.
    Everybody,
}

impl Again {
    /// A run that is resolved again.
    pub(super) fn new(bound: Bound) -> Self {
        Self { bound, ..Self::default() }
    }

    /// Takes note of a job.
    pub(super) fn note(&mut self, job: &Remaining) {
        if job.may_have_applied {
            self.may_have_applied.insert(job.seq, job.action);
            return;
        }
        let uncounted = job.user.before.status == job.action.desired();
        if self.bound == Bound::Everybody || (self.bound == Bound::Uncounted && uncounted) {
            self.planned.insert(job.seq, job.user.before.clone());
        }
    }

    /// What was found, in the light of what was known before.
    pub(super) fn weigh(&self, found: &mut [(u64, Resolution)]) {
        self.tell_own_changes(found);
        for (seq, resolution) in found {
            let Some(planned) = self.planned.get(seq) else { continue };
            if let Some(drifted) = drifted(planned, resolution) {
                *resolution = drifted;
            }
        }
    }

    /// A user who must not be changed any more, but whom a lost attempt of ours has changed before, is told as changed: a report
    /// that says "protected" of somebody who was deactivated by us would be wrong.
    fn tell_own_changes(&self, found: &mut [(u64, Resolution)]) {
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

/// A user who is no longer what the plan said, whatever else may be said of it now: what was approved was something else.
fn drifted(planned: &UserState, found: &Resolution) -> Option<Resolution> {
    let as_drifted = |message, user: Option<ResolvedUser>| {
        Some(settled(Outcome::Drifted, DRIFTED, format!("changed since the plan: {message}"), user))
    };
    match found {
        Resolution::Change(user) => as_drifted(drift(planned, &user.before)?, Some(user.clone())),
        Resolution::Settled { user: Some(user), message, .. } => {
            let since = drift(planned, &user.before)?;
            let besides = message.as_deref().map(|message| format!("; {message}")).unwrap_or_default();
            as_drifted(format!("{since}{besides}"), Some(user.clone()))
        }
        Resolution::Settled { outcome: Outcome::NotFound, .. } => as_drifted(
            format!("status was {}, and the account has no such user any more", planned.status),
            None,
        ),
        Resolution::Settled { .. } | Resolution::Duplicate { .. } => None,
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
    fn who_is_not_what_the_plan_said_has_drifted_and_our_own_doing_is_no_drift() {
        let job = |seq, may_have_applied| Remaining {
            seq,
            line: seq + 1,
            action: Action::Deactivate,
            user: user(Status::Active),
            may_have_applied,
        };
        let mut admin = user(Status::Active);
        admin.before.role = Some("1".into());
        let protected = |user| settled(Outcome::Protected, "admin", "the user is admin".into(), Some(user));
        let found = || {
            vec![
                (0, Resolution::Change(user(Status::Active))),
                (1, Resolution::Change(user(Status::Inactive))),
                (2, Resolution::Change(user(Status::Inactive))),
                (3, super::super::policy::gone()),
                (4, protected(admin.clone())),
                (5, protected(user(Status::Active))),
            ]
        };
        let mut again = Again::new(Bound::Everybody);
        (0..6).for_each(|seq| again.note(&job(seq, seq == 2)));
        let mut weighed = found();
        again.weigh(&mut weighed);
        let said: Vec<_> = weighed
            .iter()
            .map(|(_, resolution)| match resolution {
                Resolution::Settled { outcome, message, .. } => (Some(*outcome), message.clone().unwrap()),
                _ => (None, String::new()),
            })
            .collect();
        let drifted = |words: &str| (Some(Outcome::Drifted), format!("changed since the plan: {words}"));
        assert_eq!(said[0], (None, String::new()));
        assert_eq!(said[1], drifted("status was active and is inactive"));
        assert_eq!(said[2], (None, String::new()), "an attempt of ours may have done it");
        assert_eq!(said[3], drifted("status was active, and the account has no such user any more"));
        assert_eq!(said[4], drifted("role was none and is 1; the user is admin"));
        assert_eq!(said[5].0, Some(Outcome::Protected));
        let mut free = Again::new(Bound::Nobody);
        (0..6).for_each(|seq| free.note(&job(seq, false)));
        let mut unweighed = found();
        free.weigh(&mut unweighed);
        assert_eq!(unweighed, found(), "a run that nobody planned goes by what is true now");
    }

    #[test]
    fn under_a_cap_nobody_is_changed_who_was_as_wished_when_the_run_was_counted() {
        let job = |seq, before| Remaining {
            seq,
            line: seq + 1,
            action: Action::Deactivate,
            user: user(before),
            may_have_applied: false,
        };
        let mut again = Again::new(Bound::Uncounted);
        again.note(&job(0, Status::Active));
        again.note(&job(1, Status::Inactive));
        again.note(&job(2, Status::Inactive));
        let change = |status| Resolution::Change(user(status));
        let mut found =
            vec![(0, change(Status::Active)), (1, change(Status::Active)), (2, change(Status::Inactive))];
        again.weigh(&mut found);
        assert_eq!((&found[0].1, &found[2].1), (&change(Status::Active), &change(Status::Inactive)));
        assert!(matches!(&found[1].1, Resolution::Settled { outcome: Outcome::Drifted, .. }), "{found:?}");
    }

    #[test]
    fn times_are_told_in_hours_and_minutes() {
        let words = [59, 3_600, 3_661, 7_200, 90_061].map(|seconds| told(Duration::from_secs(seconds)));
        assert_eq!(words, ["0 min", "1 h", "1 h 1 min", "2 h", "25 h 1 min"]);
    }
}

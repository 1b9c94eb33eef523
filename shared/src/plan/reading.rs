//! What a run would do, as its users were when they were looked up: read back from the store, counted, and hashed again.

use std::collections::BTreeMap;

use super::{PlanHash, PlanHasher, PlanKind, Planned};
use crate::{
    Action, ResolvedUser, Restore, RunId, RunStatus,
    store::{Resolution, SharedStore, StoreError},
};

/// Rows read at once.
const PAGE: usize = 1_000;

/// What of a user's past an account's provider never gives back, in words.
pub type NeverGivenBack<'a> = &'a (dyn Fn(&Restore) -> Vec<String> + Sync);

/// What a run would do to whom.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How many requests came to what.
    pub counts: BTreeMap<PlanKind, u64>,
    /// Users who would be changed, by what is wanted.
    pub changes: BTreeMap<Action, u64>,
    /// The first users of each kind but those to be changed and those there already.
    pub named: BTreeMap<PlanKind, Vec<Named>>,
    /// Licence types, in the vendor's words, of those who would be deactivated, and how many.
    pub freed: BTreeMap<String, u64>,
    /// Licence types that activations give back, and how many.
    pub needed: BTreeMap<String, u64>,
    /// Users to whom a role or groups are given back.
    pub restored: u64,
    /// Calls for what is given back.
    pub extra_calls: u64,
    /// What is never given back of what users had, in words, and to how many.
    pub never: BTreeMap<String, u64>,
    /// The hash, made anew of what is in the store.
    pub hash: Option<PlanHash>,
}

/// One user of a plan who would not be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The line of the file.
    pub line: u64,
    /// The user as written, and the address beside it where the file has an id.
    pub user: String,
    /// Why, where the kind does not say all.
    pub why: Option<String>,
}

impl Plan {
    /// Reads a resolved run's plan. `named`: how many users of a kind are kept; `never`: what the account's provider does
    /// not give back, where that is known.
    pub async fn read(
        store: &SharedStore,
        status: &RunStatus,
        named: usize,
        never: Option<NeverGivenBack<'_>>,
    ) -> Result<Self, StoreError> {
        let mut plan = Self::default();
        let mut hasher = PlanHasher::new(&status.run.account);
        let mut rows = PlanPages::new(store, &status.run.id);
        while let Some(page) = rows.page().await? {
            for row in &page {
                hasher.take(row);
                plan.take(row, named, never);
            }
        }
        plan.hash = Some(hasher.finish());
        Ok(plan)
    }

    /// Takes the next row in.
    pub fn take(&mut self, row: &Planned, named: usize, never: Option<NeverGivenBack<'_>>) {
        let (kind, action) = (row.kind(), row.request.action);
        *self.counts.entry(kind).or_default() += 1;
        if let Some(user) = row.changes() {
            *self.changes.entry(action).or_default() += 1;
            let licence = match action {
                Action::Deactivate => user.before.license.as_ref().map(|licence| (&mut self.freed, licence)),
                Action::Activate => row.request.restore.as_ref().and_then(|restore| {
                    self.give_back(restore, user, never);
                    let licence =
                        restore.license.as_ref().filter(|had| user.before.license.as_ref() != Some(had));
                    licence.map(|licence| (&mut self.needed, licence))
                }),
            };
            if let Some((licences, licence)) = licence {
                *licences.entry(licence.clone()).or_default() += 1;
            }
        }
        if matches!(kind, PlanKind::Change | PlanKind::AlreadyThere) {
            return;
        }
        let list = self.named.entry(kind).or_default();
        if list.len() < named {
            list.push(Named::of(row));
        }
    }

    /// Counts what one user is given back beside the sign-in and the licence.
    fn give_back(&mut self, restore: &Restore, user: &ResolvedUser, never: Option<NeverGivenBack<'_>>) {
        let has = &user.before;
        let role = restore.role.is_some() && restore.role != has.role;
        let groups = restore.groups.iter().filter(|group| !has.groups.contains(group)).count() as u64;
        let licence = restore.license.is_some() && restore.license != has.license;
        self.restored += u64::from(role || groups > 0);
        if *restore != Restore::default() {
            // Whoever is to be given something back is looked at first.
            self.extra_calls += 1 + u64::from(licence) + u64::from(role) + groups;
        }
        for reason in never.map(|never| never(restore)).unwrap_or_default() {
            *self.never.entry(reason).or_default() += 1;
        }
    }

    /// Calls that carrying it out takes. Who is there already is asked about, too: a listing may be stale.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.of(PlanKind::Change) + self.of(PlanKind::AlreadyThere) + self.extra_calls
    }

    /// How many requests came to this.
    #[must_use]
    pub fn of(&self, kind: PlanKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl Named {
    /// How a row of a plan is named.
    #[must_use]
    pub fn of(row: &Planned) -> Self {
        let written = row.request.user.as_str();
        let (user, why) = match &row.resolution {
            Resolution::Change(user) => (Some(user), None),
            Resolution::Settled { code, message, user, .. } => {
                let why = match row.kind() {
                    PlanKind::Protected => code.as_ref().map(|rule| format!("by the rule {rule}")),
                    PlanKind::AdminOrOwner => code.clone(),
                    PlanKind::Rejected => message.clone().or_else(|| code.clone()),
                    _ => None,
                };
                (user.as_ref(), why)
            }
            Resolution::Duplicate { of_line } => (None, Some(format!("the same user as line {of_line}"))),
        };
        let email = user.and_then(|user| user.email.as_deref());
        let user = match email.filter(|email| !email.eq_ignore_ascii_case(written)) {
            Some(email) => format!("{written} ({email})"),
            None => written.to_owned(),
        };
        Self { line: row.request.line, user, why }
    }
}

/// A plan's rows, page by page, so that a plan of a million users needs no more memory than one of ten.
#[derive(Debug)]
pub struct PlanPages {
    store: SharedStore,
    run: RunId,
    from: Option<u64>,
}

impl PlanPages {
    /// From the first on.
    #[must_use]
    pub fn new(store: &SharedStore, run: &RunId) -> Self {
        Self { store: store.clone(), run: run.clone(), from: Some(0) }
    }

    /// The next; `None` at the end.
    pub async fn page(&mut self) -> Result<Option<Vec<Planned>>, StoreError> {
        let Some(from) = self.from else { return Ok(None) };
        let page = self.store.planned(&self.run, from, PAGE).await?;
        self.from = if page.len() < PAGE { None } else { page.last().map(|row| row.seq + 1) };
        Ok(Some(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Request, Status, UserState};

    fn row(seq: u64, user: &str, action: Action, resolution: Resolution) -> Planned {
        let user = user.parse().unwrap();
        Planned {
            seq,
            request: Request { line: seq + 2, user, action, reason: None, restore: None },
            resolution,
        }
    }

    fn user(status: Status, licence: &str) -> ResolvedUser {
        let before = UserState { status, license: Some(licence.into()), role: None, groups: vec![] };
        ResolvedUser { id: "KD9".into(), email: Some("Ann@corp.example".into()), before }
    }

    fn settled(outcome: Outcome, code: &str) -> Resolution {
        let user = Some(user(Status::Active, "2"));
        Resolution::Settled { outcome, code: Some(code.into()), message: None, user }
    }

    fn plan(rows: &[Planned], named: usize) -> Plan {
        let mut plan = Plan::default();
        rows.iter().for_each(|row| plan.take(row, named, None));
        plan
    }

    #[test]
    fn each_request_is_counted_once_and_licences_by_what_becomes_of_them() {
        use Action::{Activate, Deactivate};
        let mut back = row(5, "KD9", Activate, Resolution::Change(user(Status::Inactive, "1")));
        back.request.restore =
            Some(Restore { license: Some("2".into()), groups: vec!["g".into()], ..Restore::default() });
        let rows = [
            row(0, "ann@corp.example", Deactivate, Resolution::Change(user(Status::Active, "2"))),
            row(1, "KD9", Deactivate, Resolution::Change(user(Status::Inactive, "2"))),
            row(2, "KD9", Deactivate, settled(Outcome::Protected, "*@corp.example")),
            row(3, "ann@corp.example", Deactivate, settled(Outcome::Protected, "owner")),
            row(4, "KD9", Deactivate, Resolution::Duplicate { of_line: 2 }),
            back,
        ];
        let plan = plan(&rows, 20);
        assert_eq!(plan.total(), 6);
        assert_eq!((plan.of(PlanKind::Change), plan.of(PlanKind::AlreadyThere)), (2, 1));
        assert_eq!(plan.changes, BTreeMap::from([(Deactivate, 1), (Activate, 1)]));
        assert_eq!(plan.freed, BTreeMap::from([("2".into(), 1)]));
        assert_eq!((&plan.needed, plan.restored), (&BTreeMap::from([("2".into(), 1)]), 1));
        assert_eq!(plan.calls(), 2 + 1 + 3, "looked at, a licence, a group");
        let protected = &plan.named[&PlanKind::Protected][0];
        assert_eq!((protected.line, protected.user.as_str()), (4, "KD9 (Ann@corp.example)"));
        assert_eq!(protected.why.as_deref(), Some("by the rule *@corp.example"));
        assert_eq!(plan.named[&PlanKind::AdminOrOwner][0].user, "ann@corp.example");
        assert_eq!(plan.named[&PlanKind::Duplicate][0].why.as_deref(), Some("the same user as line 2"));
        assert!(!plan.named.contains_key(&PlanKind::Change));
    }

    #[test]
    fn no_more_users_are_kept_than_are_named() {
        let rows: Vec<Planned> = (0..30)
            .map(|seq| {
                row(seq, "x@corp.example", Action::Deactivate, settled(Outcome::NotFound, "not_found"))
            })
            .collect();
        let plan = plan(&rows, 20);
        assert_eq!((plan.of(PlanKind::NotFound), plan.named[&PlanKind::NotFound].len()), (30, 20));
    }
}

//! Caps: which one a run is over, in figures, and what to do about it.

use usher_shared::{HeldReason, PlanNote, RunStatus, config::Caps};

/// The cap that a run is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// One that counts a run's users.
    Run { figures: String, cure: String },
    /// The day's.
    Day { figures: String, cure: String, fits_another_day: bool },
    /// Whether it is over can't be said.
    Unknown(String),
}

impl Over {
    pub(super) fn figures(&self) -> &str {
        match self {
            Self::Run { figures, .. } | Self::Day { figures, .. } | Self::Unknown(figures) => figures,
        }
    }

    /// What to do where nobody can approve.
    pub(super) fn cure(&self) -> &str {
        match self {
            Self::Run { cure, .. } | Self::Day { cure, .. } => cure,
            Self::Unknown(_) => "",
        }
    }

    /// What happens if nobody does anything.
    pub(super) fn waits(&self) -> &'static str {
        match self {
            Self::Day { fits_another_day: true, .. } => ", or it goes on by itself after 00:00 UTC",
            _ => "",
        }
    }

    pub(super) fn held(&self) -> HeldReason {
        match self {
            Self::Run { .. } => HeldReason::OverRunCap,
            Self::Day { .. } => HeldReason::OverDayCap,
            Self::Unknown(_) => HeldReason::Unknown,
        }
    }
}

/// Whether the run is over one of the caps of a run: the fixed number first, which needs nothing else to be known.
pub(super) fn over_run(run: &RunStatus, plan: &PlanNote, caps: &Caps) -> Option<Over> {
    let (id, account, change) = (&run.run.id, &run.run.account, plan.change);
    let over = |allowed: String, key: &str| Over::Run {
        figures: format!("run {id} would change {}; account {account} allows {allowed} a run", users(change)),
        cure: format!(
            "Nobody was changed: split the file, or raise accounts.{account}.caps.{key} in the workers' usher.toml and \
             `usher retry {id}`"
        ),
    };
    if let Some(cap) = caps.users_per_run.filter(|cap| change > *cap) {
        return Some(over(cap.to_string(), "users_per_run"));
    }
    let share = caps.share_per_run.filter(|_| change > 0)?;
    let Some(active) = plan.active_users else {
        return Some(Over::Unknown(format!(
            "account {account} allows {share} of its active users a run, and how many are active is not known yet: the \
             vendor has not told. It is asked again; accounts.{account}.caps.users_per_run needs no such number"
        )));
    };
    let cap = share.of(active);
    (change > cap)
        .then(|| over(format!("{share} of its {active} active users, which is {cap},"), "share_per_run"))
}

/// The run did not fit into the day's cap, of which so much is used.
pub(super) fn over_day(run: &RunStatus, plan: &PlanNote, caps: &Caps, used: u64) -> Over {
    let (id, account, change) = (&run.run.id, &run.run.account, plan.change);
    let cap = caps.users_per_day.unwrap_or(u64::MAX);
    let fits_another_day = change <= cap;
    let later = if fits_another_day { "wait for 00:00 UTC" } else { "split the file" };
    Over::Day {
        figures: format!(
            "run {id} would change {}; account {account} allows {cap} a day (UTC), over all runs, and {used} of them are \
             used",
            users(change)
        ),
        cure: format!(
            "Nobody was changed: {later} and `usher retry {id}`, or raise accounts.{account}.caps.users_per_day in the \
             workers' usher.toml"
        ),
        fits_another_day,
    }
}

fn users(count: u64) -> String {
    if count == 1 { "1 user".to_owned() } else { format!("{count} users") }
}

//! What Zoom allows. Source: Zoom's "Rate limits" page, "Rate limits by account type": per account, summed over all apps.

use usher_shared::{
    DayQuota, QuotaWindow,
    config::{ZoomConfig, ZoomPlan},
};

use crate::provider::{Call, Label, PartKind, ProviderError, Rate};

/// Changes of single users, and look-ups.
pub const LIGHT: Label = Label("light");
/// Listings, and the members of groups and roles.
pub const MEDIUM: Label = Label("medium");

/// The label a call counts under.
pub(in crate::provider) fn label(call: Call) -> Label {
    match call {
        Call::Apply(_) | Call::LookUp | Call::GiveBack(PartKind::License) => LIGHT,
        Call::List | Call::GiveBack(PartKind::Role | PartKind::Group) => MEDIUM,
    }
}

/// The account's limits: its plan's, or those that the configuration sets in their place. The day's limits stay the plan's.
pub(in crate::provider) fn rates(account: &str, config: &ZoomConfig) -> Result<Vec<Rate>, ProviderError> {
    let (light, light_a_day, medium, medium_a_day) = match config.plan {
        ZoomPlan::Free => (4.0, Some(6_000), 2.0, Some(2_000)),
        ZoomPlan::Pro => (30.0, None, 20.0, None),
        ZoomPlan::Business => (80.0, None, 60.0, None),
    };
    Ok(vec![
        Rate {
            label: LIGHT,
            per_second: chosen(account, "light", config.light, light)?,
            per_day: light_a_day.map(utc_day),
        },
        Rate {
            label: MEDIUM,
            per_second: chosen(account, "medium", config.medium, medium)?,
            per_day: medium_a_day.map(utc_day),
        },
    ])
}

/// Zoom's days end at 00:00 UTC.
fn utc_day(calls: u64) -> DayQuota {
    DayQuota { calls, window: QuotaWindow::UtcDay }
}

fn chosen(account: &str, key: &'static str, set: Option<f64>, plan: f64) -> Result<f64, ProviderError> {
    match set {
        None => Ok(plan),
        Some(rate) if rate > 0.0 && rate <= 1_000.0 => Ok(rate),
        Some(rate) => Err(ProviderError::Value {
            account: account.to_owned(),
            key,
            problem: format!("{rate} is not a rate: write calls a second, more than 0 and at most 1000"),
        }),
    }
}

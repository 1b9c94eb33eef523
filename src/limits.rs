//! An account's limits, as far as they are known without its credentials.

use usher_shared::{
    AccountName, Action, DayUse,
    config::{Config, StoreAddress},
    store::{SharedStore, StoreError},
};
use usher_worker::provider::{self, Call, Rate};

/// The limit on changes that the configuration gives an account; `None` where it does not know the account, or has a value
/// that can't be used, which whoever works it is told of.
pub fn of_changes(config: &Config, account: &AccountName) -> Option<Rate> {
    let account_config = config.accounts.get(account)?;
    let label = provider::label(account_config, Call::Apply(Action::Deactivate));
    let rates = provider::rates(account, account_config).ok()?;
    rates.into_iter().find(|rate| rate.label == label)
}

/// How far a day's quota is used up; `None` where there is none.
pub async fn day(
    store: &SharedStore,
    account: &AccountName,
    rate: &Rate,
) -> Result<Option<DayUse>, StoreError> {
    let Some(quota) = rate.per_day else { return Ok(None) };
    let drawn = store.draw_quota(account, rate.label.0, quota.window, 0, quota.calls).await?;
    Ok(Some(DayUse { calls: quota.calls, urgent_only: quota.kept_for_urgent(), drawn }))
}

/// Whether there is a store at all: looking must not make one.
pub fn exists(address: &StoreAddress) -> bool {
    match address {
        StoreAddress::Sqlite(path) => path.exists(),
        StoreAddress::Redis(_) => true,
    }
}

//! `usher accounts check`: can the accounts be reached, and what may their tokens do?

use usher_shared::AccountName;

use crate::{
    console,
    doctor::{self, account, shown},
    exit::{Exit, Failure, Outcome},
    limits, wiring,
    wiring::Context,
};

/// Checks one account, or all: what `usher doctor` tells of accounts.
pub async fn check(context: &Context, name: Option<&AccountName>) -> Outcome {
    let accounts = context.accounts(name)?;
    if accounts.is_empty() {
        return Err(Failure::new(
            Exit::Configuration,
            format!("{} has no accounts: add [accounts.NAME], as the README shows", context.config.place()),
        ));
    }
    // The store tells what is used of a day, who works and what is on hold. Accounts can be checked without one.
    let store = match context.config.store_address(context.global.store.clone()) {
        Ok(address) if limits::exists(&address) => wiring::open(&address).await.ok(),
        _ => None,
    };
    let mut sections = Vec::new();
    for (name, config) in accounts {
        sections.push(account::look(context, name, config, store.as_ref()).await);
    }
    console::print(&shown::text(&sections))?;
    Ok(doctor::exit(&sections))
}

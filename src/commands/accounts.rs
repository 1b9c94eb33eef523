//! `usher accounts check`: can the accounts be reached, and what may their tokens do?

use std::fmt::Write;

use usher_shared::{AccountName, Verdict, config::AccountConfig};
use usher_worker::provider::{Access, Page, Rate, Reply, SharedProvider};

use crate::{
    console,
    exit::{Exit, Failure, Outcome},
    limits,
    report::{numbers::count, table::printable},
    wiring::{self, Context},
};

/// Checks one account, or all.
pub async fn check(context: &Context, name: Option<&AccountName>) -> Outcome {
    let accounts: Vec<(&AccountName, &AccountConfig)> = match name {
        Some(name) => vec![(name, context.config.account(name)?)],
        None => context.config.accounts.iter().collect(),
    };
    if accounts.is_empty() {
        return Err(Failure::new(
            Exit::Configuration,
            format!("{} has no accounts: add [accounts.NAME], as the README shows", context.config.place()),
        ));
    }
    let mut worst = Exit::Success;
    for (name, account) in accounts {
        // Without the fleet's shelf: a token that lies there says nothing about the credentials that are configured here.
        let found = match wiring::provider(&context.config, name, account, None) {
            Ok(provider) => look(context, name, &provider).await,
            Err(Failure { exit, error }) => Found { exit, text: format!("  {error}\n") },
        };
        console::print(&format!("{name} ({})\n{}", account.provider(), found.text))?;
        worst = worse(worst, found.exit);
    }
    Ok(worst)
}

struct Found {
    exit: Exit,
    text: String,
}

async fn look(context: &Context, name: &AccountName, provider: &SharedProvider) -> Found {
    let access = match provider.access().await {
        Ok(access) => access,
        Err(reply) => return failed("no token", &reply),
    };
    let mut found = scopes(&access);
    for rate in provider.rates() {
        let a_day = a_day(context, name, &rate).await;
        // Writing into a String can't fail.
        let _ = writeln!(found.text, "  {:<11} {} calls a second{a_day}", rate.label, rate.per_second);
    }
    let Some(first) = provider.listings().into_iter().next() else { return found };
    match provider.list(&first).await {
        Ok(Page { users, total, .. }) => {
            let of = total.map(|total| format!(" of {}", count(total))).unwrap_or_default();
            let _ = writeln!(
                found.text,
                "  {:<11} read {}{of} {}",
                "users",
                count(users.len() as u64),
                first.listing
            );
        }
        Err(reply) => {
            let failed = failed("no users", &reply);
            found.text += &failed.text;
            found.exit = worse(found.exit, failed.exit);
        }
    }
    found
}

/// `, 6,000 a day: 1,200 used today, the last 120 are for urgent work`
async fn a_day(context: &Context, name: &AccountName, rate: &Rate) -> String {
    let Some(quota) = rate.per_day else { return String::new() };
    let used = match used(context, name, rate).await {
        Ok(used) => format!("{} used today", count(used)),
        Err(error) => format!("what is used today is not known ({})", printable(&error.error.to_string())),
    };
    let kept = count(quota.kept_for_urgent());
    format!(", {} a day: {used}, the last {kept} are for urgent work", count(quota.calls))
}

/// Calls of the day that usher itself has drawn.
async fn used(context: &Context, name: &AccountName, rate: &Rate) -> Result<u64, Failure> {
    let address = context.config.store_address(context.global.store.clone())?;
    if !limits::exists(&address) {
        return Ok(0);
    }
    let store = wiring::open(&address).await?;
    Ok(limits::day(&store, name, rate).await?.map_or(0, |day| day.drawn.used))
}

fn scopes(access: &Access) -> Found {
    let mut text = format!("  {:<11} granted\n", "token");
    let _ = writeln!(text, "  {:<11} {}", "scopes", printable(&access.granted.join(" ")));
    for (what, any_of) in &access.missing {
        let _ = writeln!(text, "  {what:<11} MISSING: add the scope {} to the app", any_of.join(" or "));
    }
    let exit = if access.missing.is_empty() { Exit::Success } else { Exit::Configuration };
    Found { exit, text }
}

fn failed(what: &str, reply: &Reply) -> Found {
    let passing = reply.halt.is_none() && matches!(reply.verdict, Verdict::Transient | Verdict::Throttled);
    let code = reply.code.as_deref().map(|code| format!(" ({})", printable(code))).unwrap_or_default();
    let why = printable(reply.message.as_deref().unwrap_or(reply.verdict.as_str()));
    Found {
        exit: if passing { Exit::Unavailable } else { Exit::Configuration },
        text: format!("  {what}: {why}{code}\n"),
    }
}

/// A wrong configuration is told before a vendor that does not answer.
fn worse(one: Exit, other: Exit) -> Exit {
    match (one, other) {
        (Exit::Configuration, _) | (_, Exit::Configuration) => Exit::Configuration,
        (Exit::Success, other) => other,
        (one, _) => one,
    }
}

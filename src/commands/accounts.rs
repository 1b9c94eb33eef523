//! `usher accounts check`: can the accounts be reached, and what may their tokens do?

use std::fmt::Write;

use usher_shared::{AccountName, Verdict, config::AccountConfig};
use usher_worker::provider::{Access, Page, Reply, SharedProvider};

use crate::{
    console,
    exit::{Exit, Failure, Outcome},
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
            Ok(provider) => look(&provider).await,
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

async fn look(provider: &SharedProvider) -> Found {
    let access = match provider.access().await {
        Ok(access) => access,
        Err(reply) => return failed("no token", &reply),
    };
    let mut found = scopes(&access);
    for rate in provider.rates() {
        let a_day = rate.per_day.map(|day| format!(", {} a day", count(day.calls))).unwrap_or_default();
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

//! `usher protect`: an account's list of protected users.

use serde::Serialize;
use usher_shared::{
    AccountName, Protection,
    audit::AuditKind,
    config::{AccountConfig, ProtectedPattern},
    store::SharedStore,
};

use crate::{
    audit::{self, About},
    cli::ProtectCommand,
    console,
    exit::{Exit, Failure, Outcome},
    report::table::printable,
    submission::now,
    wiring::{self, Context},
};

/// Adds to the list, takes off it, or shows it.
pub async fn protect(context: &Context, command: &ProtectCommand) -> Outcome {
    let (ProtectCommand::Add { account, .. }
    | ProtectCommand::Remove { account, .. }
    | ProtectCommand::List { account, .. }) = command;
    // Whoever only submits needs no account of its own; whoever has some gets a wrong name told now.
    if !context.config.accounts.is_empty() {
        context.config.account(account)?;
    }
    let (store, _) = context.open_store().await?;
    match command {
        ProtectCommand::Add { pattern, reason, .. } => {
            add(context, &store, account, pattern, reason.as_deref()).await
        }
        ProtectCommand::Remove { pattern, yes, .. } => remove(context, &store, account, pattern, *yes).await,
        ProtectCommand::List { json, .. } => list(context, &store, account, *json).await,
    }
}

async fn add(
    context: &Context,
    store: &SharedStore,
    account: &AccountName,
    pattern: &ProtectedPattern,
    reason: Option<&str>,
) -> Outcome {
    let detail = reason.map_or_else(|| pattern.to_string(), |reason| format!("{pattern}: {reason}"));
    let about = About { account: Some(account.clone()), ..About::default() }.saying(detail);
    audit::tell(store, AuditKind::ProtectionAdded, about).await?;
    let protection = Protection {
        pattern: pattern.clone(),
        reason: reason.map(str::to_owned),
        by: wiring::asked_by(),
        at: now(store).await,
    };
    store.protect(account, &protection).await?;
    console::hint(
        context.global.quiet,
        format_args!(
            "{} is protected on {account}: no call that has not started yet is made for whom it matches, in runs under way, too.",
            printable(pattern.as_str())
        ),
    );
    Ok(Exit::Success)
}

async fn remove(
    context: &Context,
    store: &SharedStore,
    account: &AccountName,
    pattern: &str,
    yes: bool,
) -> Outcome {
    let shown = printable(pattern);
    if !store.protections(account).await?.list.iter().any(|entry| entry.pattern.as_str() == pattern.trim()) {
        let configured = configured(context, account).iter().any(|known| known.as_str() == pattern.trim());
        let cure = if configured {
            format!(
                "it stands in the configuration: take it out of `protected` in [accounts.{account}], on every worker"
            )
        } else {
            format!("`usher protect list {account}` shows what is")
        };
        return Err(Failure::new(
            Exit::InvalidInput,
            format!("{shown} is not on the list of {account}; {cure}"),
        ));
    }
    if !yes {
        let question = format!("Take {shown} off the list of protected users of {account}?");
        console::confirm(question, false).await?;
    }
    let about = About { account: Some(account.clone()), ..About::default() }.saying(pattern.trim());
    audit::tell(store, AuditKind::ProtectionRemoved, about).await?;
    store.unprotect(account, pattern.trim()).await?;
    console::hint(
        context.global.quiet,
        format_args!("{shown} is not protected by the list of {account} any more."),
    );
    Ok(Exit::Success)
}

/// A column of patterns is no wider, so that what stands behind them fits.
const LONGEST_PATTERN: usize = 40;

#[derive(Serialize)]
struct View<'a> {
    pattern: &'a str,
    /// `list` or `configuration`.
    from: &'static str,
    reason: Option<&'a str>,
    by: Option<&'a str>,
    at: Option<String>,
}

async fn list(context: &Context, store: &SharedStore, account: &AccountName, json: bool) -> Outcome {
    let protections = store.protections(account).await?;
    let listed = protections.list.iter().map(|entry| View {
        pattern: entry.pattern.as_str(),
        from: "list",
        reason: entry.reason.as_deref(),
        by: Some(&entry.by),
        at: Some(entry.at.to_string()),
    });
    let fixed = configured(context, account).iter().map(|pattern| View {
        pattern: pattern.as_str(),
        from: "configuration",
        reason: None,
        by: None,
        at: None,
    });
    let views: Vec<View<'_>> = listed.chain(fixed).collect();
    if json {
        let text = serde_json::to_string_pretty(&views).map_err(std::io::Error::from)?;
        console::print(&format!("{text}\n"))?;
        return Ok(Exit::Success);
    }
    if views.is_empty() {
        console::print(&format!(
            "Nobody is protected on {account} by a rule; the owner and admins are never changed.\n"
        ))?;
        return Ok(Exit::Success);
    }
    let (width, longest) =
        (console::out_width(), views.iter().map(|view| view.pattern.chars().count()).max());
    let column = longest.unwrap_or(0).min(LONGEST_PATTERN);
    let text: String = views.iter().map(|view| shown(view, width, column)).collect();
    console::print(&text)?;
    Ok(Exit::Success)
}

/// A pattern in one piece, for it is copied, and where it comes from.
fn shown(view: &View<'_>, width: usize, column: usize) -> String {
    let at: String = view.at.as_deref().unwrap_or_default().replace('T', " ").chars().take(16).collect();
    let from = match view.by {
        Some(by) => format!("added {at} UTC by {}", printable(by)),
        None => "in the configuration here".to_owned(),
    };
    let reason = view.reason.map(|reason| format!(": {}", printable(reason))).unwrap_or_default();
    console::indented(&format!("{:<column$}  {from}{reason}", printable(view.pattern)), width, 0, 4)
}

/// Whom the configuration here protects; the workers' own decides.
fn configured<'a>(context: &'a Context, account: &AccountName) -> &'a [ProtectedPattern] {
    context.config.accounts.get(account).map(AccountConfig::protected).unwrap_or_default()
}

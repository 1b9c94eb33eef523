//! An account: may usher do at the vendor what it is there to do? `usher accounts check` tells this part alone.

use std::collections::BTreeMap;

use usher_shared::{
    AccountName, Diagnosis, Hold, HoldReason, Verdict, config::AccountConfig, store::SharedStore,
};
use usher_worker::provider::{Access, Examined, Page, Rate, Reply};

use super::{Section, clocks, guards};
use crate::{
    exit::{Exit, Failure},
    limits,
    report::{
        numbers::{count, of},
        table::printable,
    },
    wiring::{self, Context},
};

/// Looks at an account: its vendor, and what the store knows of it.
pub async fn look(
    context: &Context,
    name: &AccountName,
    account: &AccountConfig,
    store: Option<&SharedStore>,
) -> Section {
    let mut section = Section::new(format!("account {name}"), account.provider());
    // Without the fleet's shelf: a token that lies there says nothing about the credentials that are configured here.
    match wiring::provider(&context.config, name, account, None) {
        Ok(provider) => {
            let examined = provider.examine().await;
            vendor(&mut section, name, &examined);
            for rate in provider.rates() {
                let day = a_day(store, name, &rate).await;
                section.add(rated(
                    &rate,
                    &day,
                    examined.told.filter(|(label, _)| *label == rate.label).map(|(_, calls)| calls),
                ));
            }
        }
        Err(Failure { exit, error }) => section.add_with(
            Diagnosis::failure(
                "token",
                error.to_string(),
                "no call can be made for this account",
                format!("correct what is named in [accounts.{name}]"),
            ),
            exit,
        ),
    }
    guards::account(&mut section, name, account);
    if let Some(store) = store {
        work(&mut section, name, store).await;
    }
    section
}

fn vendor(section: &mut Section, name: &AccountName, examined: &Examined) {
    match &examined.access {
        Ok(access) => {
            section.add(Diagnosis::ok("token", "granted"));
            scopes(section, access);
            scopes_to_restore(section, access);
        }
        Err(reply) => failed(section, "token", "no token", reply, name),
    }
    match &examined.page {
        Some(Ok(Page { users, total, .. })) => {
            let all = total.map(|total| format!(" of {}", count(total))).unwrap_or_default();
            section.add(Diagnosis::ok("users", format!("read {}{all} active", count(users.len() as u64))));
        }
        Some(Err(reply)) => failed(section, "users", "no users", reply, name),
        None => {}
    }
    if let Some((vendors, ours)) = examined.clocks {
        section.add(clocks::with_vendor(ours, vendors));
    }
}

fn scopes(section: &mut Section, access: &Access) {
    // What lacks the same scopes is one finding.
    let mut lacking: BTreeMap<&[&str], Vec<&str>> = BTreeMap::new();
    for (what, any_of) in &access.missing {
        lacking.entry(any_of).or_default().push(what);
    }
    if lacking.is_empty() {
        section.add(Diagnosis::ok("scopes", printable(&access.granted.join(" "))));
    }
    for (any_of, what) in lacking {
        let found = format!("{}: MISSING {}", what.join(", "), any_of.join(" or "));
        let cure = format!("add the scope {} to the app", any_of.join(" or "));
        section.add(match what.as_slice() {
            // Either way of reading users is enough where the other is there.
            ["list"] | ["look up"] => Diagnosis::warning(
                "scopes",
                found,
                "runs that are read that way stop at their first call; no user fails for it",
                cure,
            ),
            ["activate"] => Diagnosis::warning("scopes", found, "nobody can be shown back in", cure),
            _ => Diagnosis::failure(
                "scopes",
                found,
                "every run that needs it stops at its first call; no user fails for it",
                cure,
            ),
        });
    }
}

/// What only an undo needs: who never undoes needs none of it.
fn scopes_to_restore(section: &mut Section, access: &Access) {
    for (what, any_of) in &access.missing_to_restore {
        let scopes = any_of.join(" or ");
        section.add(Diagnosis::warning(
            "scopes",
            format!("{what} (optional): MISSING {scopes}"),
            "an undo stops at the first user who is to get it back; no user fails for it",
            format!("add the scope {scopes} to the app, if runs are to be undone"),
        ));
    }
}

/// A reply that is none: what it says, and what to do about it.
fn failed(section: &mut Section, check: &'static str, what: &str, reply: &Reply, name: &AccountName) {
    let passing = reply.halt.is_none() && matches!(reply.verdict, Verdict::Transient | Verdict::Throttled);
    let code = reply.code.as_deref().map(|code| format!(" ({})", printable(code))).unwrap_or_default();
    let message = printable(reply.message.as_deref().unwrap_or(reply.verdict.as_str()));
    let cure = match (reply.code.as_deref(), reply.halt) {
        (Some("redirect"), _) => {
            format!("curl -sI the address; set base_url and token_url in [accounts.{name}] to the vendor's own")
        }
        (_, Some(HoldReason::Scope)) => "add the scope to the app, as the message says".into(),
        (_, Some(_)) => format!("correct the credentials in [accounts.{name}], then: usher accounts check {name}"),
        (_, None) if reply.verdict == Verdict::Throttled => "wait as the vendor says, then look again".into(),
        (_, None) if passing => {
            "see that this machine reaches the vendor: name service, proxy, firewall, the vendor's status page".into()
        }
        _ => format!("see that base_url in [accounts.{name}] is the vendor's API"),
    };
    let found = format!("{what}: {message}{code}");
    let why = "no call can be made for this account; no user fails for it";
    let exit = if passing { Exit::Unavailable } else { Exit::Configuration };
    section.add_with(Diagnosis::failure(check, found, why, cure), exit);
}

/// A limit as configured, against what the vendor told of it.
fn rated(rate: &Rate, day: &str, told: Option<f64>) -> Diagnosis {
    let check = rate.label.0;
    let found = format!("{} calls a second{day}", rate.per_second);
    match told {
        Some(told) if told < rate.per_second => Diagnosis::warning(
            check,
            format!("{found}; the vendor says {told}"),
            "the plan is set too high: calls are refused until the pace has been lowered, in every run anew",
            format!("{check} = {told} in usher.toml, or the plan that the account has"),
        ),
        Some(told) => Diagnosis::ok(check, format!("{found}; the vendor allows {told}")),
        None => Diagnosis::ok(check, found),
    }
}

/// `, 6,000 a day: 1,200 used today, the last 120 are for urgent work`
async fn a_day(store: Option<&SharedStore>, name: &AccountName, rate: &Rate) -> String {
    let Some(quota) = rate.per_day else { return String::new() };
    let used = match store {
        None => "0 used today".to_owned(),
        Some(store) => match limits::day(store, name, rate).await {
            Ok(day) => format!("{} used today", count(day.map_or(0, |day| day.drawn.used))),
            Err(error) => format!("what is used today is not known ({})", printable(&error.to_string())),
        },
    };
    let kept = count(quota.kept_for_urgent());
    format!(", {} a day: {used}, the last {kept} are for urgent work", count(quota.calls))
}

/// A hold in force, and whether anybody works.
async fn work(section: &mut Section, name: &AccountName, store: &SharedStore) {
    let Ok(unfinished) = store.unfinished(name).await else { return };
    if let Some(hold) = unfinished.iter().find_map(|status| status.hold.as_ref()) {
        section.add(held(hold));
    }
    let waiting = unfinished.iter().filter(|status| !status.paused).count() as u64;
    let Ok(pulses) = store.pulses(name).await else { return };
    section.add(if waiting > 0 && pulses.is_empty() {
        Diagnosis::warning(
            "workers",
            format!("none, and {} to be worked", of(waiting, "unfinished run")),
            "nobody is shown in or out until one runs",
            "usher worker, or usher resume <run>",
        )
    } else {
        let runs = of(unfinished.len() as u64, "unfinished run");
        Diagnosis::ok("workers", format!("{} at work, {runs}", count(pulses.len() as u64)))
    });
}

fn held(hold: &Hold) -> Diagnosis {
    let found = format!("on hold: {}", printable(&hold.message));
    let why = "nothing of this account is worked meanwhile";
    match hold.until {
        Some(until) => {
            Diagnosis::warning("hold", found, why, format!("nothing: it goes on by itself at {until}"))
        }
        None => Diagnosis::failure("hold", found, why, "put right what it names, then: usher resume <run>"),
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::Level;
    use usher_worker::provider::{self, Label};

    use super::*;

    fn access(missing: &[(&'static str, &'static str)]) -> Access {
        Access {
            granted: vec!["a".into()],
            missing: missing.iter().map(|(what, scope)| (*what, vec![*scope])).collect(),
            missing_to_restore: BTreeMap::new(),
        }
    }

    #[test]
    fn scopes_that_every_run_needs_fail_and_others_warn() {
        let levels = |missing: &[(&'static str, &'static str)]| {
            let mut section = Section::new("", "");
            scopes(&mut section, &access(missing));
            section.diagnoses.iter().map(|told| told.level).collect::<Vec<_>>()
        };
        assert_eq!(levels(&[]), [Level::Ok]);
        assert_eq!(levels(&[("deactivate", "w"), ("activate", "w")]), [Level::Failure]);
        assert_eq!(levels(&[("activate", "w")]), [Level::Warning]);
        assert_eq!(levels(&[("look up", "r")]), [Level::Warning]);
        assert_eq!(levels(&[("list", "r"), ("look up", "r")]), [Level::Failure]);
    }

    #[test]
    fn what_only_an_undo_needs_is_named_and_no_failure() {
        let mut section = Section::new("", "");
        let missing_to_restore = BTreeMap::from([("give back roles", vec!["role:write:member:admin"])]);
        scopes_to_restore(&mut section, &Access { missing_to_restore, ..access(&[]) });
        let [told] = section.diagnoses.as_slice() else { panic!() };
        assert_eq!(told.level, Level::Warning);
        assert_eq!(told.found, "give back roles (optional): MISSING role:write:member:admin");
    }

    #[test]
    fn a_plan_above_what_the_vendor_tells_is_a_warning() {
        let rate = provider::Rate { label: Label("light"), per_second: 80.0, per_day: None };
        assert_eq!(rated(&rate, "", Some(30.0)).level, Level::Warning);
        assert_eq!(rated(&rate, "", Some(80.0)).level, Level::Ok);
        assert_eq!(rated(&rate, "", None).found, "80 calls a second");
    }
}

//! What a configuration that reads well can still have wrong: contradictions, and values out of range.

use std::ops::RangeInclusive;

use url::{Host, Url};

use super::{
    AccountConfig, ApprovalConfig, Caps, Config, ConfigError, Role, ServeConfig, Submitter, TokenConfig,
};
use crate::AccountName;

/// Refuses contradictions and values out of range.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let worker = &config.worker;
    within("worker.max_attempts", f64::from(worker.max_attempts), 1.0..=100.0)?;
    within("worker.call_timeout_seconds", worker.call_timeout_seconds, 1.0..=300.0)?;
    within("worker.lease_seconds", worker.lease_seconds, 2.0..=3600.0)?;
    within("worker.drain_seconds", worker.drain_seconds, 0.0..=3600.0)?;
    #[expect(clippy::cast_precision_loss, reason = "the range ends long before precision does")]
    within("worker.max_in_flight", worker.max_in_flight as f64, 1.0..=1000.0)?;
    if worker.lease_seconds < worker.call_timeout_seconds + 1.0 {
        return Err(invalid(
            "worker.lease_seconds",
            format!(
                "{} s is not a second longer than call_timeout_seconds ({} s), so no call could start under a lease",
                worker.lease_seconds, worker.call_timeout_seconds
            ),
        ));
    }
    if config.data_dir.as_ref().is_some_and(|dir| dir.as_os_str().is_empty()) {
        return Err(invalid("data_dir", "it is empty: name a directory, or leave it out".into()));
    }
    let (cert, key) = ("store_client_cert_file", "store_client_key_file");
    match (&config.store_client_cert_file, &config.store_client_key_file) {
        (Some(_), None) => return Err(invalid(cert, format!("it needs {key} beside it"))),
        (None, Some(_)) => return Err(invalid(key, format!("it needs {cert} beside it"))),
        _ => {}
    }
    check_serve(&config.serve)?;
    if let Some(days) = config.retention.keep_days {
        within("retention.keep_days", f64::from(days), 1.0..=36_500.0)?;
    }
    for (name, token) in &config.tokens {
        check_token(name, token, config)?;
    }
    let known: Vec<&AccountName> = config.accounts.keys().collect();
    for (name, webhook) in &config.webhooks {
        webhook.check(name, &known)?;
    }
    for (name, account) in &config.accounts {
        check_caps(name, account.caps())?;
        if let Some(approval) = account.approval() {
            check_approval(name, approval, account.caps(), config)?;
        }
        match account {
            AccountConfig::Zoom(zoom) => {
                let key = |field: &str| format!("accounts.{name}.{field}");
                require_tls(&key("base_url"), &zoom.base_url)?;
                require_tls(&key("token_url"), &zoom.token_url)?;
                for (field, rate) in [("light", zoom.light), ("medium", zoom.medium)] {
                    if let Some(rate) = rate {
                        within(&key(field), rate, 0.01..=10_000.0)?;
                    }
                }
            }
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "the ranges end long before precision does")]
fn check_serve(serve: &ServeConfig) -> Result<(), ConfigError> {
    within("serve.calls_per_second", f64::from(serve.calls_per_second), 1.0..=100_000.0)?;
    let unknown = f64::from(serve.unknown_calls_per_minute);
    within("serve.unknown_calls_per_minute", unknown, 1.0..=100_000.0)?;
    within("serve.max_stream_mib", serve.max_stream_mib as f64, 1.0..=65_536.0)?;
    within("serve.max_body_mib", serve.max_body_mib as f64, 1.0..=256.0)?;
    within("serve.streams", serve.streams as f64, 1.0..=256.0)?;
    within("serve.followers", serve.followers as f64, 1.0..=100_000.0)?;
    within("serve.drain_seconds", serve.drain_seconds, 0.0..=3600.0)?;
    let (cert, key) = ("tls_cert_file", "tls_key_file");
    match (&serve.tls_cert_file, &serve.tls_key_file) {
        (Some(_), None) => Err(invalid(format!("serve.{cert}"), format!("it needs {key} beside it"))),
        (None, Some(_)) => Err(invalid(format!("serve.{key}"), format!("it needs {cert} beside it"))),
        _ => serve.refuses(serve.listen).map_or(Ok(()), |problem| Err(invalid("serve.listen", problem))),
    }
}

/// A cap of 0 would refuse every run: whoever wants that takes the account out, or pauses.
fn check_caps(account: &AccountName, caps: &Caps) -> Result<(), ConfigError> {
    for (field, cap) in [("users_per_run", caps.users_per_run), ("users_per_day", caps.users_per_day)] {
        if cap == Some(0) {
            let problem =
                "0 would refuse every run: write how many users are allowed, or leave it out for no cap";
            return Err(invalid(format!("accounts.{account}.caps.{field}"), problem.into()));
        }
    }
    match (caps.users_per_run, caps.users_per_day) {
        (Some(run), Some(day)) if run > day => Err(invalid(
            format!("accounts.{account}.caps.users_per_run"),
            format!(
                "{run} users in a run can't be more than users_per_day allows ({day}): lower it, or raise that"
            ),
        )),
        _ => Ok(()),
    }
}

/// Approval that nobody could give would hold every run for ever.
fn check_approval(
    account: &AccountName,
    approval: &ApprovalConfig,
    caps: &Caps,
    config: &Config,
) -> Result<(), ConfigError> {
    let key = |field: &str| format!("accounts.{account}.approval{field}");
    within(&key(".valid_hours"), approval.valid_hours, 0.1..=720.0)?;
    if approval.required == super::ApprovalRequired::OverCap && caps.is_empty() {
        let problem =
            format!("\"over_cap\" needs a cap: set one in [accounts.{account}.caps], or write \"always\"");
        return Err(invalid(key(".required"), problem));
    }
    let who_may = |roles: &[Role]| -> Vec<&str> {
        let may = |token: &TokenConfig| roles.iter().any(|role| token.allows(*role, account));
        config.tokens.iter().filter(|(_, token)| may(token)).map(|(name, _)| name.as_str()).collect()
    };
    let approvers = who_may(&[Role::Approve]);
    if approvers.is_empty() {
        let problem = format!(
            "no token may approve for this account: `usher token new` prints a [tokens.NAME] section; give it roles = \
             [\"approve\"], and accounts = [\"{account}\"] or none"
        );
        return Err(invalid(key(""), problem));
    }
    if approval.submitter == Submitter::Token {
        let submitters = who_may(&[Role::Submit, Role::Approve]);
        let two_people = submitters.iter().any(|one| approvers.iter().any(|other| one != other));
        if !two_people {
            let problem = format!(
                "only {} may submit and approve for this account, and nobody approves a run of their own: add a token \
                 with roles = [\"submit\"], or write \"anyone\"",
                approvers.join(", ")
            );
            return Err(invalid(key(".submitter"), problem));
        }
    }
    Ok(())
}

fn check_token(name: &str, token: &TokenConfig, config: &Config) -> Result<(), ConfigError> {
    let key = |field: &str| format!("tokens.{name}.{field}");
    if token.roles.is_empty() {
        let words: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        return Err(invalid(
            key("roles"),
            format!("it is empty, so the token could do nothing: use {}", words.join(", ")),
        ));
    }
    let strange = token.accounts.iter().flatten().find(|account| !config.accounts.contains_key(*account));
    // A configuration without accounts is a submitter's: it may know tokens all the same.
    if let Some(account) = strange.filter(|_| !config.accounts.is_empty()) {
        let known: Vec<&str> = config.accounts.keys().map(AccountName::as_str).collect();
        return Err(invalid(
            key("accounts"),
            format!("there is no account {account}; there is {}", known.join(", ")),
        ));
    }
    let twin = config.tokens.iter().find(|(other, found)| other.as_str() < name && found.key == token.key);
    if let Some((other, _)) = twin {
        let problem = format!(
            "it is the key of {other}, too: one token under two names could approve its own runs; make another with \
             `usher token new`"
        );
        return Err(invalid(key("key"), problem));
    }
    Ok(())
}

fn within(key: &str, value: f64, range: RangeInclusive<f64>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(invalid(key, format!("{value} is not between {} and {}", range.start(), range.end())))
}

/// A token must not travel in clear text. Loopback is where simulators are.
fn require_tls(key: &str, url: &Url) -> Result<(), ConfigError> {
    if !url.username().is_empty() || url.password().is_some() {
        // Not shown: what stands there may be a secret.
        let problem = "the address must not have a user name or password; client_id and client_secret are the credentials";
        return Err(invalid(key, problem.into()));
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.host().is_some() && (url.scheme() == "https" || (url.scheme() == "http" && loopback)) {
        Ok(())
    } else {
        Err(invalid(key, format!("{url} must be an https address, or tokens would travel in clear text")))
    }
}

fn invalid(key: impl Into<String>, problem: String) -> ConfigError {
    ConfigError::Invalid { key: key.into(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::PersonalToken;

    fn account(guard: &str) -> String {
        format!(
            "[accounts.zoom-main]\nprovider = \"zoom\"\naccount_id = \"a\"\nclient_id = \"c\"\n\
             client_secret = {{ env = \"S\" }}\nplan = \"pro\"\n{guard}"
        )
    }

    fn token(name: &str, rest: &str) -> String {
        let key = PersonalToken::generate().unwrap().key().unwrap();
        format!("[tokens.{name}]\nkey = \"{key}\"\n{rest}\n")
    }

    fn problem(text: &str) -> Option<String> {
        Config::read(Some("usher.toml".into()), Some(text), &[]).err().map(|error| error.to_string())
    }

    #[test]
    fn caps_and_approvals_that_contradict_themselves_are_refused_with_their_key_and_the_cure() {
        let approve = token("bob", "roles = [\"approve\"]");
        let elsewhere =
            token("bob", "roles = [\"approve\"]\naccounts = [\"zoom-main\"]").replace("main", "test");
        let approval = |rest: &str| account(&format!("[accounts.zoom-main.approval]\n{rest}\n"));
        let caps = |rest: &str| account(&format!("[accounts.zoom-main.caps]\n{rest}\n"));
        let cases = [
            (caps("users_per_run = 0"), "caps.users_per_run", "no cap"),
            (caps("users_per_day = 0"), "caps.users_per_day", "no cap"),
            (caps("users_per_run = 9\nusers_per_day = 8"), "caps.users_per_run", "raise"),
            (approval(""), "accounts.zoom-main.approval", "usher token new"),
            (approval("") + &elsewhere, "tokens.bob.accounts", "there is zoom-main"),
            (approval("") + &token("bob", "roles = [\"submit\"]"), "accounts.zoom-main.approval", "approve"),
            (approval("") + &approve, "approval.submitter", "\"submit\""),
            (approval("valid_hours = 0.01") + &approve, "approval.valid_hours", "0.1"),
            (approval("valid_hours = 721") + &approve, "approval.valid_hours", "720"),
            (
                approval("required = \"over_cap\"\nsubmitter = \"anyone\"") + &approve,
                "approval.required",
                "always",
            ),
            (token("bob", "roles = []"), "tokens.bob.roles", "approve"),
            ("[retention]\nkeep_days = 0".to_owned(), "retention.keep_days", "36500"),
        ];
        for (text, key, cure) in cases {
            let problem = problem(&text).unwrap_or_else(|| panic!("taken: {text}"));
            assert!(problem.contains(key) && problem.contains(cure), "{text}: {problem}");
        }
        let twins =
            format!("{approve}{}", approve.replace("bob", "eve").replace("\"approve\"", "\"submit\""));
        assert!(problem(&twins).unwrap().contains("tokens.eve.key"));
    }

    #[test]
    fn an_account_with_caps_and_two_people_is_taken() {
        let guard = "[accounts.zoom-main.caps]\nusers_per_run = 250\nshare_per_run = \"10%\"\nusers_per_day = 500\n\
                     [accounts.zoom-main.approval]\nrequired = \"over_cap\"\n";
        let people = token("ann", "roles = [\"submit\"]") + &token("bob", "roles = [\"approve\", \"read\"]");
        assert_eq!(problem(&(account(guard) + &people)), None);
        let anyone = guard.to_owned() + "submitter = \"anyone\"\n";
        assert_eq!(problem(&(account(&anyone) + &token("bob", "roles = [\"approve\"]"))), None);
        assert_eq!(problem("[retention]\nkeep_days = 90"), None);
    }

    #[test]
    fn a_server_that_other_machines_reach_in_clear_text_is_refused_unless_that_is_meant() {
        let serve = |lines: &str| problem(&format!("[serve]\n{lines}\n"));
        for good in [
            "",
            "listen = \"127.0.0.1:1\"",
            "listen = \"[::1]:1\"",
            "listen = \"0.0.0.0:1\"\nbehind_proxy = true",
            "listen = \"0.0.0.0:1\"\ntls_cert_file = \"a\"\ntls_key_file = \"b\"",
        ] {
            assert_eq!(serve(good), None, "{good}");
        }
        for (bad, key, cure) in [
            ("listen = \"0.0.0.0:1\"", "serve.listen", "behind_proxy"),
            ("listen = \"[::]:1\"", "serve.listen", "tls_cert_file"),
            ("tls_cert_file = \"a\"", "serve.tls_cert_file", "tls_key_file"),
            ("tls_key_file = \"a\"", "serve.tls_key_file", "tls_cert_file"),
            ("calls_per_second = 0", "serve.calls_per_second", "100000"),
            ("unknown_calls_per_minute = 0", "serve.unknown_calls_per_minute", "100000"),
            ("max_stream_mib = 0", "serve.max_stream_mib", "65536"),
            ("max_body_mib = 257", "serve.max_body_mib", "256"),
            ("streams = 0", "serve.streams", "256"),
            ("followers = 100001", "serve.followers", "100000"),
            ("drain_seconds = -1", "serve.drain_seconds", "3600"),
        ] {
            let problem = serve(bad).unwrap_or_else(|| panic!("taken: {bad}"));
            assert!(problem.contains(key) && problem.contains(cure), "{bad}: {problem}");
        }
    }
}

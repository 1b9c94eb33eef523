//! `[webhooks.NAME]`: whom operators' events go to.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::{ConfigError, SecretSource};
use crate::AccountName;

/// What an operator is told of by webhook: its word is the message's `type`, an interface, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WebhookEvent {
    /// Every job of a run has its outcome: it is finished, cancelled, expired or refused.
    #[serde(rename = "run.finished")]
    RunFinished,
    /// A run waits for a person: an approval is missing, or it touches more users than the account's caps allow.
    #[serde(rename = "run.held")]
    RunHeld,
    /// A run waits for the next day, as the day's calls are used up.
    #[serde(rename = "run.parked")]
    RunParked,
    /// A run's deadline is near and work is left.
    #[serde(rename = "run.deadline_near")]
    DeadlineNear,
    /// A run is over, or past its deadline, and deactivations did not happen.
    #[serde(rename = "run.leavers_still_active")]
    LeaversStillActive,
    /// All work on an account stands still: credentials, a scope, a vendor that fails, workers that disagree.
    #[serde(rename = "account.halted")]
    AccountHalted,
    /// An account that stood still goes on.
    #[serde(rename = "account.resumed")]
    AccountResumed,
    /// `usher webhook test` was typed.
    #[serde(rename = "webhook.test")]
    Test,
}

impl WebhookEvent {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::RunFinished,
        Self::RunHeld,
        Self::RunParked,
        Self::DeadlineNear,
        Self::LeaversStillActive,
        Self::AccountHalted,
        Self::AccountResumed,
        Self::Test,
    ];

    /// The word in configurations and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunFinished => "run.finished",
            Self::RunHeld => "run.held",
            Self::RunParked => "run.parked",
            Self::DeadlineNear => "run.deadline_near",
            Self::LeaversStillActive => "run.leavers_still_active",
            Self::AccountHalted => "account.halted",
            Self::AccountResumed => "account.resumed",
            Self::Test => "webhook.test",
        }
    }
}

impl fmt::Display for WebhookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `[webhooks.NAME]`: an endpoint that is told what an operator must hear of, signed by the Standard Webhooks scheme.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where it is. https, unless it is loopback and `allow_private` is set. Its path may be a secret, and is shown nowhere.
    pub url: Url,
    /// What messages are signed with: `whsec_...`, as `usher webhook new` prints one.
    pub secret: SecretSource,
    /// The secret before this one, while a receiver changes over: messages are signed with both.
    #[serde(default)]
    pub previous_secret: Option<SecretSource>,
    /// Only these kinds of events, such as `run.held`; without it, all.
    #[serde(default)]
    pub events: Option<Vec<WebhookEvent>>,
    /// Only events of these accounts; without it, of all.
    #[serde(default)]
    pub accounts: Option<Vec<AccountName>>,
    /// Lets it be a private or loopback address, which is refused otherwise.
    #[serde(default)]
    pub allow_private: bool,
    /// After how many hours a message is given up on. Default: 72. 0.1 to 720.
    #[serde(default = "three_days")]
    pub give_up_hours: f64,
}

fn three_days() -> f64 {
    72.0
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("host", &self.url.host_str())
            .field("secret", &self.secret)
            .field("previous_secret", &self.previous_secret)
            .field("events", &self.events)
            .field("accounts", &self.accounts)
            .field("allow_private", &self.allow_private)
            .field("give_up_hours", &self.give_up_hours)
            .finish()
    }
}

impl WebhookConfig {
    /// Whether it is told of this kind of event of this account.
    #[must_use]
    pub fn wants(&self, event: WebhookEvent, account: &AccountName) -> bool {
        self.events.as_ref().is_none_or(|events| events.contains(&event)) && self.wants_account(account)
    }

    /// Whether it is told of this account at all.
    #[must_use]
    pub fn wants_account(&self, account: &AccountName) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.contains(account))
    }

    /// Refuses what contradicts itself. `name`: as in `[webhooks.NAME]`; `known`: the accounts that are configured.
    pub(super) fn check(&self, name: &str, known: &[&AccountName]) -> Result<(), ConfigError> {
        let refuse = |field: &str, problem: String| {
            let dot = if field.is_empty() { "" } else { "." };
            Err(ConfigError::Invalid { key: format!("webhooks.{name}{dot}{field}"), problem })
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return refuse("", "its name needs 1 to 64 of a-z, A-Z, 0-9, - and _".to_owned());
        }
        if let Some(problem) = self.wrong_address() {
            return refuse("url", problem);
        }
        if self.previous_secret.as_ref() == Some(&self.secret) {
            let problem = format!("it is the same as secret ({}): take it out", self.secret);
            return refuse("previous_secret", problem);
        }
        if self.events.as_ref().is_some_and(Vec::is_empty) {
            let words: Vec<&str> = WebhookEvent::ALL.iter().map(|event| event.as_str()).collect();
            let problem = format!(
                "it is empty, so nothing would be sent: leave it out for all, or use {}",
                words.join(", ")
            );
            return refuse("events", problem);
        }
        if self.accounts.as_ref().is_some_and(Vec::is_empty) {
            let problem = "it is empty, so nothing would be sent: leave it out for all, or name accounts";
            return refuse("accounts", problem.to_owned());
        }
        let strange = self.accounts.iter().flatten().find(|account| !known.contains(account));
        // A configuration without accounts is that of a process without vendors' credentials.
        if let Some(account) = strange.filter(|_| !known.is_empty()) {
            let known: Vec<&str> = known.iter().map(|account| account.as_str()).collect();
            let problem = format!("there is no account {account}; there is {}", known.join(", "));
            return refuse("accounts", problem);
        }
        if !(0.1..=720.0).contains(&self.give_up_hours) {
            return refuse("give_up_hours", format!("{} is not between 0.1 and 720", self.give_up_hours));
        }
        Ok(())
    }

    /// What is wrong with the address. Never repeats its path: receivers put secrets there.
    fn wrong_address(&self) -> Option<String> {
        let url = &self.url;
        if !url.username().is_empty() || url.password().is_some() {
            return Some(
                "it must not have a user name or password; messages prove themselves by their signature"
                    .into(),
            );
        }
        if url.fragment().is_some() {
            return Some("it has a fragment (#...), which is never sent: take it out".into());
        }
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => return Some("it names no host".into()),
        };
        match url.scheme() {
            "https" => None,
            "http" if loopback && self.allow_private => None,
            "http" if loopback => Some("a receiver on this machine needs allow_private = true".into()),
            other => Some(format!(
                "{other}:// is refused: it must be https, or what is told would travel in clear text"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const ACCOUNT: &str = "[accounts.zoom-main]\nprovider = \"zoom\"\naccount_id = \"a\"\nclient_id = \"c\"\n\
                           client_secret = { env = \"S\" }\nplan = \"pro\"\n";

    fn problem(lines: &str) -> Option<String> {
        let text = format!("{ACCOUNT}[webhooks.ops]\nsecret = {{ env = \"S\" }}\n{lines}\n");
        Config::read(Some("usher.toml".into()), Some(&text), &[]).err().map(|error| error.to_string())
    }

    #[test]
    fn every_kind_reads_back_from_its_word() {
        for event in WebhookEvent::ALL {
            assert_eq!(serde_json::to_string(&event).unwrap(), format!("\"{event}\""));
        }
    }

    #[test]
    fn endpoints_that_could_not_work_are_refused_with_their_key_and_the_cure() {
        let good = "url = \"https://hooks.corp.example/u\"\n";
        let cases = [
            ("url = \"http://hooks.corp.example/s3cret\"".to_owned(), "webhooks.ops.url", "https"),
            ("url = \"http://127.0.0.1:1/s3cret\"".to_owned(), "webhooks.ops.url", "allow_private"),
            ("url = \"https://u:s3cret@hooks.corp.example/\"".to_owned(), "webhooks.ops.url", "signature"),
            ("url = \"https://hooks.corp.example/#s3cret\"".to_owned(), "webhooks.ops.url", "#"),
            (format!("{good}events = [\"run.ended\"]"), "run.ended", "run.finished"),
            (format!("{good}events = []"), "webhooks.ops.events", "run.held"),
            (format!("{good}accounts = []"), "webhooks.ops.accounts", "leave it out"),
            (format!("{good}accounts = [\"zoom\"]"), "webhooks.ops.accounts", "there is zoom-main"),
            (format!("{good}give_up_hours = 0"), "webhooks.ops.give_up_hours", "0.1"),
            (
                format!("{good}previous_secret = {{ env = \"S\" }}"),
                "webhooks.ops.previous_secret",
                "take it out",
            ),
            (
                format!("{good}[webhooks.\"a b\"]\nsecret = {{ env = \"T\" }}\n{good}"),
                "webhooks.a b",
                "1 to 64",
            ),
        ];
        for (lines, key, cure) in cases {
            let problem = problem(&lines).unwrap_or_else(|| panic!("taken: {lines}"));
            assert!(problem.contains(key) && problem.contains(cure), "{lines}: {problem}");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
        assert_eq!(problem(good), None);
        assert_eq!(
            problem("url = \"http://127.0.0.1:1/x\"\nallow_private = true\naccounts = [\"zoom-main\"]"),
            None
        );
    }

    #[test]
    fn an_address_s_path_is_not_shown() {
        let config: WebhookConfig =
            toml::from_str("url = \"https://h.example/s3cret\"\nsecret = { env = \"S\" }").unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("h.example") && !shown.contains("s3cret"), "{shown}");
    }
}

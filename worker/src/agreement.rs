//! What all workers of an account have to agree about, as digests, and what shows that they do not: pure.

use ring::digest::{SHA256, digest};
use usher_shared::{
    AccountName, Pulse, WorkerId,
    config::{ApprovalRequired, ProtectedPattern, Role, Submitter},
};

use crate::{admit::Rules, provider::Rate};

/// What guards an account, as `part=digest` words: workers tell it in their pulses, so that a difference can be named.
pub(crate) fn policy(
    account: &AccountName,
    rates: &[Rate],
    protected: &[ProtectedPattern],
    rules: &Rules,
) -> String {
    let rates = sorted(rates.iter().map(|Rate { label, per_second, per_day }| {
        let day = per_day.as_ref().map(|day| format!("{} {:?}", day.calls, day.window));
        format!("{label} {per_second} {}", or_none(day))
    }));
    let caps = &rules.caps;
    let caps = [or_none(caps.users_per_run), or_none(caps.share_per_run), or_none(caps.users_per_day)];
    let approval = rules.approval.as_ref().map(|approval| {
        let required = match approval.required {
            ApprovalRequired::Always => "always",
            ApprovalRequired::OverCap => "over_cap",
        };
        let submitter = match approval.submitter {
            Submitter::Token => "token",
            Submitter::Anyone => "anyone",
        };
        format!("{required} {} {submitter}", approval.valid_hours)
    });
    let may = |role| move |(_, token): &(_, &usher_shared::config::TokenConfig)| token.allows(role, account);
    let tokens = sorted([Role::Submit, Role::Approve].into_iter().flat_map(|role| {
        rules
            .tokens
            .iter()
            .filter(may(role))
            .map(move |(name, token)| format!("{} {name} {}", role.as_str(), token.key))
    }));
    let protected = sorted(protected.iter().map(|pattern| pattern.as_str().to_owned()));
    [
        ("plan", rates),
        ("caps", caps.join(" ")),
        ("approval", or_none(approval)),
        ("tokens", tokens),
        ("protected", protected),
    ]
    .map(|(part, text)| format!("{part}={}", short_digest(&text)))
    .join(" ")
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn sorted(lines: impl Iterator<Item = String>) -> String {
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn short_digest(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first worker at work whose policy is another than ours, and in what.
pub(crate) fn disagreement(ours: &str, me: &WorkerId, pulses: &[Pulse]) -> Option<(WorkerId, Vec<String>)> {
    pulses.iter().find_map(|pulse| {
        let theirs = pulse.policy.as_deref()?;
        // One that tells no lanes has ended.
        let at_work = pulse.worker != *me && !pulse.lanes.is_empty();
        (at_work && theirs != ours).then(|| (pulse.worker.clone(), differing(ours, theirs)))
    })
}

fn differing(ours: &str, theirs: &str) -> Vec<String> {
    let parts = |text: &str| -> Vec<(String, String)> {
        text.split(' ').filter_map(|word| word.split_once('=')).map(|(a, b)| (a.into(), b.into())).collect()
    };
    let theirs = parts(theirs);
    parts(ours).into_iter().filter(|part| !theirs.contains(part)).map(|(part, _)| part).collect()
}

/// What a person has to know of it, and to do.
pub(crate) fn message(account: &AccountName, me: &WorkerId, other: &WorkerId, parts: &[String]) -> String {
    let parts = if parts.is_empty() { "what guards it".to_owned() } else { parts.join(", ") };
    format!(
        "the workers {me} and {other} have different configurations of account {account} ({parts}): give both the same \
         usher.toml and start them again, or stop one; it goes on by itself then"
    )
}

#[cfg(test)]
mod tests {
    use usher_shared::{LanePulse, Timestamp, config::Caps};

    use super::*;
    use crate::provider::Label;

    #[test]
    fn workers_agree_whatever_the_order_and_a_difference_is_named() {
        let account: AccountName = "zoom-main".parse().unwrap();
        let rate = |per_second| Rate { label: Label("light"), per_second, per_day: None };
        let rates = [rate(80.0)];
        let patterns = ["a@b.example", "role:7"].map(|text| ProtectedPattern::new(text).unwrap());
        let turned = [patterns[1].clone(), patterns[0].clone()];
        let rules = Rules::default();
        let ours = policy(&account, &rates, &patterns, &rules);
        assert_eq!(policy(&account, &rates, &turned, &rules), ours);
        let capped = Rules { caps: Caps { users_per_run: Some(1), ..Caps::default() }, ..Rules::default() };
        let (me, you) = (WorkerId::new("a"), WorkerId::new("b"));
        let pulse = |policy: &str, working: bool| Pulse {
            account: account.clone(),
            worker: you.clone(),
            at: Timestamp::default(),
            in_flight: 0,
            lanes: if working { vec![LanePulse::default()] } else { vec![] },
            policy: Some(policy.to_owned()),
            active_users: None,
        };
        for (theirs, parts) in [
            (policy(&account, &[rate(30.0)], &patterns, &rules), vec!["plan"]),
            (policy(&account, &rates, &[], &rules), vec!["protected"]),
            (policy(&account, &[rate(30.0)], &patterns, &capped), vec!["plan", "caps"]),
        ] {
            let (other, found) = disagreement(&ours, &me, &[pulse(&theirs, true)]).unwrap();
            assert_eq!((other.as_str(), found), ("b", parts.iter().map(ToString::to_string).collect()));
            assert_eq!(disagreement(&ours, &me, &[pulse(&theirs, false)]), None, "it works no more");
            assert_eq!(disagreement(&ours, &you, &[pulse(&theirs, true)]), None, "that is ourselves");
        }
        assert_eq!(disagreement(&ours, &me, &[pulse(&ours, true)]), None);
        let words = message(&account, &me, &you, &["caps".to_owned()]);
        assert!(
            words.contains("a and b") && words.contains("(caps)") && words.contains("usher.toml"),
            "{words}"
        );
    }
}

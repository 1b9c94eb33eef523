//! What guards an account, and the audit: said where it is there, and what would be guarded where it is not.

use usher_shared::{
    AccountName, Diagnosis,
    config::{AccountConfig, ApprovalRequired, Config, StoreAddress},
};

use super::Section;
use crate::report::numbers::of;

/// Caps and approval. Without them nothing is wrong: a word about what they would do.
pub fn account(section: &mut Section, name: &AccountName, account: &AccountConfig) {
    let caps = account.caps();
    let parts = [
        caps.users_per_run.map(|cap| format!("{} a run", of(cap, "user"))),
        caps.share_per_run.map(|share| format!("{share} of the active users a run")),
        caps.users_per_day.map(|cap| format!("{} a day", of(cap, "user"))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    section.add(Diagnosis::ok(
        "caps",
        if parts.is_empty() {
            format!("none: one run may change everybody; users_per_run in [accounts.{name}.caps] is a limit")
        } else {
            format!("at most {}", parts.join(", "))
        },
    ));
    section.add(Diagnosis::ok(
        "approval",
        match account.approval().map(|approval| approval.required) {
            None => format!("none: nobody but the submitter has to say yes; [accounts.{name}.approval] asks another person"),
            Some(ApprovalRequired::Always) => "every run, by another person".to_owned(),
            Some(ApprovalRequired::OverCap) => "runs over a cap, by another person".to_owned(),
        },
    ));
}

/// Whether the audit is sealed.
pub fn audit(section: &mut Section, config: &Config, address: &StoreAddress) {
    section.add(Diagnosis::ok(
        "audit",
        match (&config.audit.key, address) {
            (Some(source), _) => format!("sealed with the key in {source}"),
            (None, StoreAddress::Sqlite(_)) => "sealed with audit.key in the data directory".to_owned(),
            (None, StoreAddress::Redis(_)) => {
                "kept unsealed by workers configured like this: a change to it would not show; set key in [audit] on the \
                 workers"
                    .to_owned()
            }
        },
    ));
}

#[cfg(test)]
mod tests {
    use usher_shared::Level;

    use super::*;

    #[test]
    fn what_is_not_guarded_is_said_and_is_no_failure() {
        let mut section = Section::new("", "");
        account(&mut section, &"zoom-main".parse().unwrap(), &crate::plan::shown::tests::account());
        audit(&mut section, &Config::default(), &"redis://localhost:1".parse().unwrap());
        assert!(section.diagnoses.iter().all(|told| told.level == Level::Ok));
        let told: Vec<&str> = section.diagnoses.iter().map(|told| told.found.as_str()).collect();
        assert!(told[0].contains("[accounts.zoom-main.caps]"), "{told:?}");
        assert!(told[1].contains("[accounts.zoom-main.approval]"), "{told:?}");
        assert!(told[2].contains("unsealed"), "{told:?}");
    }
}

//! What guards an account, as far as the configuration at hand knows: caps and approval. The workers' own decides.

use super::numbers::{count, of};
use crate::{
    AccountName,
    config::{AccountConfig, ApprovalRequired, Caps, Config, Submitter},
};

/// What applies to a run, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// A line each.
    pub lines: Vec<String>,
    /// Whether the run is over a cap of one run.
    pub over: bool,
}

/// What applies to a run that changes so many users; `most`: it may be fewer, for nobody has been looked up yet. An undo is
/// exempt from caps, for it repairs.
pub fn guards(
    config: &Config,
    account: &AccountName,
    change: u64,
    active: Option<u64>,
    most: bool,
    undo: bool,
) -> Guards {
    let mut guards = Guards::default();
    let Some(found) = config.accounts.get(account) else {
        guards.lines.push(format!(
            "Caps and approval are the workers' to know: [accounts.{account}] is not in the configuration here."
        ));
        return guards;
    };
    let caps = found.caps();
    if undo && !caps.is_empty() {
        guards.lines.push("The account's caps do not count an undo: it repairs.".to_owned());
    } else {
        guards.of_a_run(caps, change, active, most);
        if let Some(cap) = caps.users_per_day {
            guards.lines.push(format!("Cap: at most {} a day (UTC), over all runs.", of(cap, "user")));
        }
    }
    guards.approval(found);
    guards
}

impl Guards {
    fn of_a_run(&mut self, caps: &Caps, change: u64, active: Option<u64>, most: bool) {
        let changes = if most { "may change" } else { "changes" };
        if let Some(cap) = caps.users_per_run {
            let over = change > cap;
            self.over |= over;
            let verdict =
                if over { format!("; this one {changes} {}: OVER it", count(change)) } else { String::new() };
            self.lines.push(format!("Cap: at most {} a run{verdict}.", of(cap, "user")));
        }
        let Some(share) = caps.share_per_run else { return };
        self.lines.push(match active {
            Some(active) => {
                let cap = share.of(active);
                let over = change > cap;
                self.over |= over;
                let verdict = if over {
                    format!("; this one {changes} {}: OVER it", count(change))
                } else {
                    String::new()
                };
                format!(
                    "Cap: at most {share} of the active users a run, which is {}{verdict}.",
                    of(cap, "user")
                )
            }
            None => format!(
                "Cap: at most {share} of the active users a run; how many are active is not known here."
            ),
        });
    }

    fn approval(&mut self, account: &AccountConfig) {
        let Some(approval) = account.approval() else {
            if self.over {
                self.lines.push("Workers refuse a run over a cap: nobody is changed.".to_owned());
            }
            return;
        };
        let proved = match approval.submitter {
            Submitter::Token => {
                ", and only what was submitted with a personal token (USHER_TOKEN) can be approved"
            }
            Submitter::Anyone => "",
        };
        match approval.required {
            ApprovalRequired::Always => {
                self.lines.push(format!("Another person has to approve it{proved}."));
            }
            ApprovalRequired::OverCap if self.over => {
                self.lines.push(format!("Over a cap, another person has to approve it{proved}."));
            }
            ApprovalRequired::OverCap => {}
        }
    }
}

/// `It touches 12.4% of the account's 990 active users.`
pub fn share(change: u64, active: u64) -> Option<String> {
    if active == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of users are far below 2^52")]
    let percent = 100.0 * change as f64 / active as f64;
    let percent = match percent {
        p if p > 0.0 && p < 0.1 => "less than 0.1".to_owned(),
        p if p >= 10.0 => format!("{p:.0}"),
        p => format!("{p:.1}"),
    };
    Some(format!("{} of the account's {} active users: {percent}%", count(change), count(active)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lines: &str) -> Config {
        let text = format!(
            "[accounts.zoom-main]\nprovider = \"zoom\"\naccount_id = \"a\"\nclient_id = \"c\"\nclient_secret = {{ env = \"S\" }}\n\
             plan = \"business\"\n{lines}\n"
        );
        toml::from_str(&text).unwrap()
    }

    fn told(lines: &str, change: u64, active: Option<u64>) -> (String, bool) {
        let found = guards(&config(lines), &"zoom-main".parse().unwrap(), change, active, false, false);
        (found.lines.join(" "), found.over)
    }

    #[test]
    fn caps_and_approval_are_told_with_what_they_mean_for_this_run() {
        assert_eq!(told("", 9_999, Some(10)), (String::new(), false));
        let caps =
            "[accounts.zoom-main.caps]\nusers_per_run = 100\nshare_per_run = \"10%\"\nusers_per_day = 500";
        let (words, over) = told(caps, 50, Some(1_000));
        assert!(
            !over && words.contains("at most 100 users a run.") && words.contains("which is 100 users."),
            "{words}"
        );
        let (words, over) = told(caps, 101, None);
        assert!(over && words.contains("101: OVER it") && words.contains("not known here"), "{words}");
        assert!(words.contains("refuse"), "{words}");
        let (words, over) = told(caps, 60, Some(500));
        assert!(over && words.contains("which is 50 users; this one changes 60: OVER it"), "{words}");
        let approval = format!("{caps}\n[accounts.zoom-main.approval]\nrequired = \"over_cap\"");
        assert!(told(&approval, 101, None).0.contains("another person has to approve"));
        assert!(!told(&approval, 1, None).0.contains("approve"));
        let always = "[accounts.zoom-main.approval]\nsubmitter = \"anyone\"";
        assert_eq!(told(always, 1, None).0, "Another person has to approve it.");
    }

    #[test]
    fn an_account_that_is_not_known_here_and_an_undo_say_so() {
        let nobody = guards(&Config::default(), &"zoom-main".parse().unwrap(), 1, None, false, false);
        assert!(nobody.lines[0].contains("workers' to know") && !nobody.over);
        let caps = config("[accounts.zoom-main.caps]\nusers_per_run = 1");
        let undo = guards(&caps, &"zoom-main".parse().unwrap(), 9, None, false, true);
        assert!(undo.lines[0].contains("do not count an undo") && !undo.over);
    }

    #[test]
    fn a_share_is_told_as_a_person_would() {
        assert_eq!(share(951, 990).unwrap(), "951 of the account's 990 active users: 96%");
        assert!(share(1, 90_000).unwrap().ends_with("less than 0.1%"));
        assert!(share(3, 400).unwrap().ends_with("0.8%"));
        assert_eq!(share(3, 0), None);
    }
}

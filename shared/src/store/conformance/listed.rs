//! Every check of every file is in the suite.

/// A check that no implementation runs would prove nothing.
#[test]
fn every_check_is_in_the_suite() {
    let list = include_str!("suite.rs");
    let files = [
        ("accounts", include_str!("accounts.rs")),
        ("auditing", include_str!("auditing.rs")),
        ("capping", include_str!("capping.rs")),
        ("claiming", include_str!("claiming.rs")),
        ("confirming", include_str!("confirming.rs")),
        ("counters", include_str!("counters.rs")),
        ("dying", include_str!("dying.rs")),
        ("ending", include_str!("ending.rs")),
        ("finishing", include_str!("finishing.rs")),
        ("lapsing", include_str!("lapsing.rs")),
        ("leasing", include_str!("leasing.rs")),
        ("listing", include_str!("listing.rs")),
        ("one_user", include_str!("one_user.rs")),
        ("planning", include_str!("planning.rs")),
        ("posting", include_str!("posting.rs")),
        ("protecting", include_str!("protecting.rs")),
        ("pruning", include_str!("pruning.rs")),
        ("pulses", include_str!("pulses.rs")),
        ("quotas", include_str!("quotas.rs")),
        ("reopening", include_str!("reopening.rs")),
        ("resolving", include_str!("resolving.rs")),
        ("resolving_again", include_str!("resolving_again.rs")),
        ("seeing", include_str!("seeing.rs")),
        ("sharing", include_str!("sharing.rs")),
        ("standing_still", include_str!("standing_still.rs")),
        ("steering", include_str!("steering.rs")),
        ("submitting", include_str!("submitting.rs")),
        ("submitting_whole", include_str!("submitting_whole.rs")),
        ("tokens", include_str!("tokens.rs")),
        ("waiting", include_str!("waiting.rs")),
    ];
    for (subject, text) in files {
        let start = list.find(&format!("$fixture, {subject}:\n")).expect(subject);
        let listed = list[start..].split(");").next().unwrap();
        let listed: Vec<&str> =
            listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
        let checks: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn "))
            .filter_map(|line| line.split('(').next())
            .collect();
        assert_eq!(listed, checks, "in {subject}.rs");
    }
}

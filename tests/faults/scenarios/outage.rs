//! A vendor that is away: refused connections, then 503s, then calls that hang; and replies that are lost.

use std::time::Duration;

use usher_shared::{Attempt, Outcome, Status, Verdict};

use crate::{
    chronicle::What,
    fleet::{Fleet, Post},
    proxy::{Line, Proxy},
    scenario::{Scenario, vendor},
    support::{Kind, Layout},
    watch::Watch,
};

const SHORT_CALLS: &str = "[worker]\ncall_timeout_seconds = 2\nlease_seconds = 3.5";

/// How long each kind of outage lasts: together 30 s by hand (`USHER_FAULT_LONG=1`), less in CI.
fn each() -> Duration {
    if std::env::var_os("USHER_FAULT_LONG").is_some() {
        Duration::from_secs(10)
    } else {
        Duration::from_secs(4)
    }
}

#[test]
fn an_outage_of_three_kinds_exhausts_nobody_and_spends_few_attempts() {
    let name = "an_outage_of_three_kinds_exhausts_nobody_and_spends_few_attempts";
    let account_lines = SHORT_CALLS.to_owned();
    let scenario = Scenario::new(name, Layout { account_lines, ..Layout::new(Kind::Redis, vendor(500)) });
    let proxy = Proxy::to(scenario.place.sim.addr());
    let posts = ["w1", "w2"].map(|name| Post::straight(&scenario.place, name).vendor_by(proxy.addr()));
    let fleet = Fleet::start_at(&scenario.place, &scenario.chronicle, posts.to_vec());
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    watch.wait_for_finished(60);
    let away = scenario.chronicle.begin(What::VendorAway, None);
    proxy.set(Line::Cut);
    std::thread::park_timeout(each());
    scenario.place.sim.change_settings(|settings| settings.faults.errors = 1.0).unwrap();
    proxy.set(Line::Open);
    std::thread::park_timeout(each());
    scenario
        .place
        .sim
        .change_settings(|settings| (settings.faults.errors, settings.faults.hangs) = (0.0, 1.0))
        .unwrap();
    std::thread::park_timeout(each());
    scenario.place.sim.change_settings(|settings| settings.faults.hangs = 0.0).unwrap();
    scenario.chronicle.end(&away);
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 500, "{}", ended.findings);
    let store = scenario.place.store();
    let mut most = 0;
    for seq in 0..500 {
        let attempts = scenario.place.block_on(store.attempts(&run, seq)).unwrap();
        most = most.max(attempts.iter().filter(|attempt| attempt.verdict != Verdict::Throttled).count());
    }
    eprintln!("at most {most} attempts at one job, of the 8 that it has");
    // While the account's breaker is open only probes call, and what they spend is theirs alone.
    let status = ended.seen.status.unwrap();
    assert!(status.effort.attempts < 500 + 250, "{:?}", status.effort);
}

#[test]
fn a_lost_reply_followed_by_already_there_is_applied_and_the_ledger_keeps_what_was_before() {
    let name = "a_lost_reply_followed_by_already_there_is_applied_and_the_ledger_keeps_what_was_before";
    let mut settings = vendor(200);
    settings.rules.already_there = usher_simulator::zoom::AlreadyThere::Refused(1009);
    let scenario = Scenario::new(name, Layout::new(Kind::Sqlite, settings));
    // The listing goes through; then every third reply is lost.
    let fleet = scenario.fleet(1);
    scenario.place.sim.change_settings(|settings| settings.faults.lost = 0.33).unwrap();
    let run = scenario.deactivate(&scenario.place.ordinary());
    let watch = Watch::start(&scenario.place, &run);
    let ended = scenario.to_its_end(&run, fleet, watch);
    assert_eq!(ended.findings.of(Outcome::Applied), 200, "{}", ended.findings);
    let store = scenario.place.store();
    let mut twice = 0;
    for row in scenario.place.block_on(store.outcomes(&run, 0, 1000)).unwrap() {
        let mut attempts = scenario.place.block_on(store.attempts(&run, row.seq)).unwrap();
        // A refusal for the rate was not carried out, and says nothing about replies.
        attempts.retain(|attempt| attempt.verdict != Verdict::Throttled);
        // What undo goes by: the user as it was before the first attempt, not as the second one found it.
        assert_eq!(row.resolved.as_ref().unwrap().before.status, Status::Active, "{row:?}");
        let verdicts: Vec<Verdict> = attempts.iter().map(|attempt: &Attempt| attempt.verdict).collect();
        if verdicts.len() > 1 {
            assert_eq!(verdicts.last(), Some(&Verdict::AlreadyApplied), "{attempts:#?}");
            assert!(attempts[..attempts.len() - 1].iter().all(|attempt| attempt.calls == 1), "{attempts:#?}");
            twice += 1;
        }
    }
    assert!(twice > 20, "only {twice} replies were lost");
}
